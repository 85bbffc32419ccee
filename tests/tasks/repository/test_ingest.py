"""Ingest: each file whole or not at all, each refusal a sentence, the same call again finishes the rest."""

from __future__ import annotations

import errno
import multiprocessing
import os
import pickle
import signal
import sqlite3
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from shutil import copy
from typing import Any

import pytest
from lsst.daf.butler import Butler
from lsst.daf.butler.datastores.fileDatastore import FileDatastore
from lsst.pipe.base import Instrument
from lsst.utils import doImportType
from sqlalchemy.exc import OperationalError
from tests.tasks.camera_scenes import BEGIN_MJD, camera, cards_of, forget, image_hdu, kept, write_image, write_night

from diapipe.catalogs.ids import dia_source_ids
from diapipe.cli.main import main
from diapipe.errors import UsageError, WriteError
from diapipe.tasks.repository import open_repository
from diapipe.tasks.repository.camera_description import load_camera
from diapipe.tasks.repository.ingest import ingest
from diapipe.tasks.repository.ingest_files import files_in
from diapipe.tasks.repository.ingest_sorting import DATASET
from diapipe.tasks.repository.instrument import register_camera
from diapipe.tasks.running import status_of
from diapipe.tasks.running.reasons import sentence_of

ingest_module = sys.modules[ingest.__module__]
RUN = "TestCam/raw"


def take(root: Path, files: list[str], which=None, **options):
    with kept(root) as butler:
        return ingest(butler, which or camera(), files, **options)


def data_ids(butler: Butler, run: str = RUN) -> list[tuple[int, int]]:
    refs = butler.query_datasets(DATASET, collections=run, explain=False)
    return sorted((int(ref.dataId["exposure"]), int(ref.dataId["detector"])) for ref in refs)


def exposures(butler: Butler) -> list[int]:
    return sorted(record.id for record in butler.query_dimension_records("exposure", explain=False))


def test_files_become_exposures_that_read_back(root: Path, tmp_path: Path):
    """Records say what the cards say; the data are the files' own."""
    files = write_night(tmp_path / "night", range(1, 4), range(2))
    done = take(root, files)
    assert done.summary == "6 ingested"
    with kept(root) as butler:
        assert data_ids(butler) == [(visit, chip) for visit in (1, 2, 3) for chip in (0, 1)]
        record = butler.query_dimension_records("exposure", exposure=2, instrument="TestCam")[0]
        assert (record.physical_filter, record.exposure_time, record.target_name) == ("r test", 30.0, "field 1")
        assert abs(record.timespan.begin.utc.mjd - (BEGIN_MJD + 0.02)) * 86400 < 1e-3
        assert abs((record.timespan.end - record.timespan.begin).sec - 30.0) < 1e-3
        found = butler.get(DATASET, instrument="TestCam", exposure=2, detector=1, collections=RUN)
        assert (found.info.visit, found.info.detector, found.info.band, found.info.gain) == (2, 1, "r", 2.0)
        assert butler.get("camera", instrument="TestCam", collections=RUN)["visit"] == "EXPNUM"


def test_every_transfer_reads_back(root: Path, tmp_path: Path):
    """The file is where it was, unless it was moved; given again it is already there."""
    for visit, transfer in enumerate(("direct", "copy", "symlink", "hardlink", "move")):
        [file] = write_night(tmp_path / "night", range(visit, visit + 1))
        assert take(root, [file], transfer=transfer).summary == "1 ingested"
        assert os.path.exists(file) == (transfer != "move")
        with kept(root) as butler:
            where = {"instrument": "TestCam", "exposure": visit, "detector": 0, "collections": RUN}
            assert butler.get(DATASET, **where).info.visit == visit
            assert (str(root) in butler.getURI(DATASET, **where).ospath) == (transfer != "direct")
        if transfer != "move":
            assert take(root, [file], transfer=transfer).summary == "0 ingested, 1 already there"


def broken(tmp_path: Path) -> dict[str, tuple[str, str]]:
    """Files that cannot be taken, each with what must be said of it."""
    folder = tmp_path / "broken"
    whole = Path(write_image(folder / "whole.fits", 90)).read_bytes()
    contents = {
        "empty.fits": (b"", "is empty: it has 0 bytes"),
        "text.fits": (b"not an image\n" * 9, "is no FITS file: it begins with b'not an im'"),
        "header.fits": (whole[:1000], "is truncated: the header of HDU 0 has no END"),
        "data.fits": (whole[: len(whole) - 2880], "is truncated: it has"),
    }
    found = {}
    for name, (content, told) in contents.items():
        (folder / name).write_bytes(content)
        found[str(folder / name)] = told
    changed = {
        "no_wcs.fits": ({"CTYPE1": None}, "no WCS: it has no card CTYPE1; solve its astrometry first"),
        "linear.fits": ({"CTYPE1": "LINEAR", "CTYPE2": "LINEAR"}, "no celestial WCS: CTYPE1 is 'LINEAR'"),
        "flat.fits": ({"CD1_1": 0.0}, "make every pixel lie on one line of the sky"),
        "blank.fits": ({"CRVAL1": "unknown"}, "no WCS: its card CRVAL1 is 'unknown'; a number is needed"),
        "other.fits": ({"INSTRUME": "WFC3"}, "its card INSTRUME is 'WFC3'; the camera TestCam needs 'TestCam'"),
        "number.fits": ({"EXPNUM": None}, "no visit number: there is no card EXPNUM"),
        "word.fits": ({"EXPNUM": "seven"}, "its visit is 'seven' (card EXPNUM); a whole number is needed"),
        "time.fits": ({"MJD_OBS": None}, "no time of the exposure: there is none in card MJD-OBS"),
        "filter.fits": ({"FILTER": "z test"}, "its filter 'z test' is none of the bands of the camera TestCam"),
    }
    for name, (change, told) in changed.items():
        found[write_image(folder / name, 91, **change)] = told
    found[str(folder / "nowhere.fits")] = "no such file or directory"
    (folder / "whole.fits").unlink()
    return found


def test_each_broken_file_is_named_and_the_others_go_on(root: Path, tmp_path: Path):
    """Fourteen ways to be unusable: a sentence each, beginning with the path; the good ones are in, none is half in."""
    bad, good = broken(tmp_path), write_night(tmp_path / "night", range(1, 3))
    done = take(root, [*list(bad)[:7], *good, *list(bad)[7:]])
    assert done.summary == "2 ingested, 5 unreadable, 9 refused"
    told = {refusal.path: str(refusal) for refusal in done.refused}
    assert told.keys() == bad.keys()
    for path, expected in bad.items():
        assert told[path].startswith(f"{path}: "), told[path]
        assert expected in told[path]
        assert "\n" not in told[path]
        assert told[path].count(os.path.basename(path)) == 1
    with kept(root) as butler:
        assert data_ids(butler) == [(1, 0), (2, 0)]
        assert exposures(butler) == [1, 2]


def test_what_is_there_already_and_what_contradicts_it(root: Path, tmp_path: Path):
    """The same file, by any path or as a copy, is there; another of its data id, time or filter is refused."""
    [first] = write_night(tmp_path / "night", range(7, 8))
    take(root, [first])
    twin, link = tmp_path / "twin.fits", tmp_path / "link.fits"
    copy(first, twin)
    link.symlink_to(first)
    other = write_image(tmp_path / "other.fits", 7, OBJECT="again")
    late = write_image(tmp_path / "late.fits", 7, 1, MJD_OBS=BEGIN_MJD + 0.07 + 2 / 86400)
    green = write_image(tmp_path / "green.fits", 7, 2, FILTER="g test")
    done = take(root, [first, str(twin), str(link), other, late, green])
    assert done.summary == "0 ingested, 3 already there, 3 refused"
    told = [str(refusal) for refusal in done.refused]
    assert told[0] == f"{other}: visit 7 detector 0 is there already, from {first}"
    assert told[1] == f"{late}: it began +2.000 s from the other files of visit 7; one visit is one exposure"
    assert told[2] == f"{green}: its filter is 'g test'; other files of visit 7 have 'r test'"
    with kept(root) as butler:
        assert data_ids(butler) == [(7, 0)]


def test_two_files_of_one_call_may_contradict_each_other(root: Path, tmp_path: Path):
    """The first wins, the second is refused by its name."""
    one = write_image(tmp_path / "a.fits", 7)
    two = write_image(tmp_path / "b.fits", 7, OBJECT="again")
    done = take(root, [one, two])
    assert done.summary == "1 ingested, 1 refused"
    assert str(done.refused[0]) == f"{two}: visit 7 detector 0 is there already, from {one}"


def test_a_dry_run_changes_nothing(root: Path, tmp_path: Path, capsys):
    """It says what each file is taken for; the repository has not even the instrument afterwards."""
    write_night(tmp_path / "night", range(1, 3))
    (tmp_path / "test.yaml").write_text("name: TestCam\nvisit: EXPNUM\n")
    before = sorted(path for path in root.rglob("*") if "sqlite" not in path.name)
    words = ["ingest", str(root), str(tmp_path / "night"), "--camera", str(tmp_path / "test.yaml"), "--dry-run"]
    assert main(words) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].endswith("v0001_0.fits: visit 1 detector 0, r (r test), 2026-01-10 05:02:24 UTC, 30 s")
    assert told[-1] == "2 to ingest; nothing was changed"
    assert sorted(path for path in root.rglob("*") if "sqlite" not in path.name) == before
    with kept(root) as butler:
        assert list(butler.registry.queryDimensionRecords("instrument")) == []


def test_the_command_tells_and_ends_with_its_status(root: Path, tmp_path: Path, capsys):
    """A summary on stdout, refusals on stderr; status 1 with a refusal, 0 without, 2 for wrong use."""
    write_night(tmp_path / "night", range(1, 3))
    (tmp_path / "night" / "bad.fits").write_bytes(b"")
    (tmp_path / "test.yaml").write_text("name: TestCam\nvisit: EXPNUM\n")
    words = ["ingest", str(root), str(tmp_path / "night"), "--camera", str(tmp_path / "test.yaml"), "-j", "2"]
    assert main(words) == 1
    told = capsys.readouterr()
    assert told.out.splitlines()[0] == "2 ingested, 1 unreadable"
    assert told.err == f"diapipe: {tmp_path}/night/bad.fits: is empty: it has 0 bytes\n"
    (tmp_path / "night" / "bad.fits").unlink()
    assert main(words[:-4]) == 0, "the camera of the repository is taken"
    assert main(["ingest", str(root), str(tmp_path / "night"), "--camera", "nonsuch"]) == 2
    assert main(["ingest", str(tmp_path), str(tmp_path / "night"), "--camera", "fits"]) == 2


def forked(*targets: Callable[[], None]) -> list[int]:
    """Run each in a process of its own, all at once; the exit statuses."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads beside a fork: none of them holds a lock here
        processes = [multiprocessing.get_context("fork").Process(target=target) for target in targets]
        for process in processes:
            process.start()
    for process in processes:
        process.join()
    return [int(process.exitcode or 0) for process in processes]


def crash(root: Path, files: list[str], where: str, transfer: str) -> None:
    """Ingest in batches of three in a process that kills itself at the second: behind it, or in its middle."""
    calls: list[int] = []

    def die(*_: object) -> None:
        calls.append(1)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGKILL)

    def then_die(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args, **kwargs: (function(*args, **kwargs), die())

    def run() -> None:
        ingest_module._BATCH = 3
        if where == "before the files":
            ingest_module.insert_exposures = then_die(ingest_module.insert_exposures)
        if where == "before the commit":
            FileDatastore._finishIngest = then_die(FileDatastore._finishIngest)
        stages = {"ingesting"} if where == "between batches" else set()
        take(root, files, transfer=transfer, progress=lambda stage, *_: die() if stage in stages else None)

    assert forked(run) == [-signal.SIGKILL]


@pytest.mark.parametrize(
    ("where", "transfer"),
    [("between batches", "direct"), ("before the files", "direct"), ("before the commit", "copy")],
)
def test_after_a_kill_the_same_call_finishes_the_rest(root: Path, tmp_path: Path, where: str, transfer: str):
    """SIGKILL: no exposure without its file, no file twice, and the second run takes what is left."""
    files = write_night(tmp_path / "night", range(1, 9))
    crash(root, files, where, transfer)
    with kept(root) as butler:
        survived = data_ids(butler)
        assert [visit for visit, _ in survived] == exposures(butler)
        assert len(survived) == (6 if where == "between batches" else 3)
    done = take(root, files, transfer=transfer)
    assert len(done.files) + len(done.already_there) == 8
    assert done.refused == ()
    with kept(root) as butler:
        assert data_ids(butler) == [(visit, 0) for visit in range(1, 9)]
        assert butler.get(DATASET, instrument="TestCam", exposure=8, detector=0, collections=RUN).info.visit == 8


@pytest.mark.parametrize("refuses", ["disk", "database"])
def test_a_full_disk_ends_it_in_one_sentence(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refuses: str):
    """Batches that are in stay in, nothing of the next is, and the same call goes on when there is room."""
    files = write_night(tmp_path / "night", range(1, 9))
    monkeypatch.setattr(ingest_module, "_BATCH", 3)
    real, calls = FileDatastore._finishIngest, []

    def finish(*args: Any, **kwargs: Any) -> None:
        real(*args, **kwargs)
        calls.append(1)
        if len(calls) == 2:
            full = sqlite3.OperationalError("database or disk is full")
            raise (
                OSError(errno.ENOSPC, "No space left on device")
                if refuses == "disk"
                else OperationalError("", {}, full)
            )

    monkeypatch.setattr(FileDatastore, "_finishIngest", finish)
    with pytest.raises(WriteError, match=r"could not be written \((no space left|database or disk is full)") as told:
        take(root, files, transfer="copy")
    assert str(told.value).endswith("the files that are in are kept, and the same command goes on from there")
    with kept(root) as butler:
        assert data_ids(butler) == [(visit, 0) for visit in (1, 2, 3)]
        assert exposures(butler) == [1, 2, 3]
    assert take(root, files, transfer="copy").summary == "5 ingested, 3 already there"


def test_who_comes_second_finds_it_there(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A file that another process took between the look and the grasp is there already; its rival is refused."""
    files = write_night(tmp_path / "night", range(1, 4))
    rival = write_image(tmp_path / "rival.fits", 3, OBJECT="again")
    real = ingest_module.store_camera
    monkeypatch.setattr(
        ingest_module, "store_camera", lambda *given: (monkeypatch.undo(), real(*given), take(root, files))
    )
    done = take(root, [*files[:2], rival])
    assert done.summary == "0 ingested, 2 already there, 1 refused"
    assert str(done.refused[0]) == f"{rival}: visit 3 detector 0 is there already, from {files[2]}"


def test_two_at_once(root: Path, tmp_path: Path):
    """Two processes with the same files: each is in once, and neither says that anything is wrong."""
    files = write_night(tmp_path / "night", range(1, 31))

    def run() -> None:
        ingest_module._BATCH = 2
        done = take(root, files)
        sys.exit(0 if not done.refused and len(done.files) + len(done.already_there) == 30 else 1)

    assert forked(run, run) == [0, 0]
    with kept(root) as butler:
        assert data_ids(butler) == [(visit, 0) for visit in range(1, 31)]


def test_a_description_that_changed_must_be_wanted(root: Path, tmp_path: Path):
    """Files that are there are read by it too; --update-camera replaces it and they are read anew."""
    files = write_night(tmp_path / "night", range(1, 2))
    take(root, files)
    with pytest.raises(UsageError, match=r"describes the camera TestCam otherwise in gain, time; .* --update-camera"):
        take(root, files, camera(gain="7.5", time="{middle: MJD-OBS}"))
    assert take(root, files, camera(gain="7.5"), update_camera=True).summary == "0 ingested, 1 already there"
    with kept(root) as butler:
        assert butler.get(DATASET, instrument="TestCam", exposure=1, detector=0, collections=RUN).info.gain == 7.5
        assert butler.get("camera", instrument="TestCam", collections=RUN)["gain"] == 7.5


def test_a_table_that_grew_is_no_change(root: Path, tmp_path: Path):
    """A log of the night gets lines; what it said before must stay."""
    files = write_night(tmp_path / "night", range(1, 3))
    log = "{{filename: '.*', map: {{v0001_0.fits: {}{}}}}}"
    assert take(root, files[:1], camera(visit=log.format(11, ""))).summary == "1 ingested"
    longer = camera(visit=log.format(11, ", v0002_0.fits: 12"))
    assert take(root, files, longer).summary == "1 ingested, 1 already there"
    with pytest.raises(UsageError, match="otherwise in visit"):
        take(root, files, camera(visit=log.format(13, ", v0002_0.fits: 12")))


def test_a_copy_must_not_lose_what_the_file_told(root: Path, tmp_path: Path):
    """Planes beside a file, and values from its name, are out of reach for a copy."""
    files = write_night(tmp_path / "night", range(1, 2))
    beside = camera(mask="{file: {replace: v, by: m}}")
    with pytest.raises(UsageError, match="planes in other files beside them, which copy would leave behind"):
        take(root, files, beside, transfer="copy")
    with pytest.raises(UsageError, match="takes gain from the names of files, which move would change"):
        take(root, files, camera(gain="{filename: '\\d+'}"), transfer="move")
    assert take(root, files, camera(visit="{filename: '\\d+'}"), transfer="copy").summary == "1 ingested"


def test_a_repository_that_moved_knows_its_copies(root: Path, tmp_path: Path):
    """What lies in the repository goes with it; what was left outside says what to do."""
    files = write_night(tmp_path / "night", range(1, 3))
    take(root, files[:1], transfer="copy")
    take(root, files[1:])
    forget(root)
    moved = tmp_path / "moved"
    root.rename(moved)
    with open_repository(moved) as butler:
        where = {"instrument": "TestCam", "detector": 0, "collections": RUN}
        assert butler.get(DATASET, exposure=1, **where).info.visit == 1
        with pytest.raises(Exception, match=r"camera TestCam is not described at .*repo/cameras/TestCam\.yaml"):
            butler.get(DATASET, exposure=2, **where)


def test_files_folders_and_patterns(tmp_path: Path):
    """Folders are searched below, patterns matched, each file taken once and planes of others left out."""
    names = ["a/v1.fits", "a/b/v2.fits.fz", "a/b/v3.FIT", "a/notes.txt", "a/m1.fits", "a/v1.wt.fits", "a/.hidden.fits"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    with_masks = camera(mask="{file: {replace: v, by: m}}", variance="{file: {replace: .fits, by: .wt.fits}}")

    def found(*places: str) -> list[str]:
        paths = files_in([str(tmp_path / place) for place in places], with_masks)
        return [os.path.relpath(path, tmp_path) for path in paths]

    assert found("a") == ["a/b/v2.fits.fz", "a/b/v3.FIT", "a/v1.fits"]
    assert found("a/v*.fits", "a/**/v*.fits*") == ["a/v1.fits", "a/b/v2.fits.fz"]
    assert found("a/notes.txt", "nowhere.fits") == ["a/notes.txt", "nowhere.fits"]
    (tmp_path / "bare").mkdir()
    with pytest.raises(UsageError, match=r"has no file whose name ends in \.fits"):
        found("bare")
    with pytest.raises(UsageError, match=r"\*\.gz fits no file"):
        found("*.gz")


def test_an_instrument_is_found_by_its_name_in_any_process(root: Path, tmp_path: Path):
    """`Instrument.fromName`, the class path of 64 characters, the packer, and identifiers that differ."""
    take(root, write_night(tmp_path / "night", range(1, 4), range(2)))
    with kept(root) as butler:
        found = Instrument.fromName("TestCam", butler.registry)
        record = next(iter(butler.registry.queryDimensionRecords("instrument", instrument="TestCam")))
        assert (found.getName(), record.class_name) == ("TestCam", "diapipe.tasks.repository.instruments.TestCam")
        assert found.makeCollectionName("raw") == "TestCam/raw"
        packed = set()
        for visit, chip in data_ids(butler):
            data_id = butler.registry.expandDataId(instrument="TestCam", exposure=visit, detector=chip)
            packer = Instrument.make_default_dimension_packer(data_id, is_exposure=True)
            packed.add(packer.pack(data_id))
            assert packer.unpack(packer.pack(data_id))["exposure"] == visit
            assert packer.pack(data_id) == dia_source_ids(visit=visit, detector=chip, n=1)[0] >> 14
        assert len(packed) == 6
    path = f"diapipe.tasks.repository.instruments.{'x' * 27}"
    assert len(path) == 64
    made = doImportType(path)
    assert made.getName() == "x" * 27
    assert pickle.loads(pickle.dumps(made)) is made


def test_shipped_instruments_register_themselves(root: Path):
    """`butler register-instrument` needs no description; any other camera says how it is registered."""
    with kept(root) as butler:
        Instrument.from_string("diapipe.tasks.repository.instruments.DECam").register(butler.registry)
        Instrument.from_string("diapipe.tasks.repository.instruments.DECam").register(butler.registry)
        records = list(butler.registry.queryDimensionRecords("detector", instrument="DECam"))
        assert {record.id: record.full_name for record in records} == dict(load_camera("decam").detectors)
        with pytest.raises(UsageError, match="camera Foo does not come with diapipe"):
            Instrument.from_string("diapipe.tasks.repository.instruments.Foo").register(butler.registry)


def test_another_instrument_of_the_name_is_left_alone(root: Path):
    with kept(root) as butler:
        butler.registry.syncDimensionData("instrument", {"name": "TestCam", "class_name": "lsst.obs.TestCam"})
        with pytest.raises(UsageError, match="another instrument called TestCam, of the class lsst"):
            register_camera(butler.registry, camera())


def test_cards_may_stand_in_the_primary_header(root: Path, tmp_path: Path):
    """As cameras with extensions do; the image's own cards come first."""
    from astropy.io import fits

    primary = fits.PrimaryHDU()
    for name, value in cards_of(3).items():
        primary.header[name] = value
    image = image_hdu(4, kind=fits.ImageHDU, name="SCI", EXPNUM=None, GAIN=9.0)
    fits.HDUList([primary, image]).writeto(tmp_path / "a.fits")
    take(root, [str(tmp_path / "a.fits")])
    with kept(root) as butler:
        assert butler.get(DATASET, instrument="TestCam", exposure=3, detector=0, collections=RUN).info.gain == 9.0


@pytest.mark.realdata
def test_the_season_of_moa_goes_in(root: Path, shared_data: Path, capsys):
    """All 87 epochs by the tutorial's ten lines of YAML, twice."""
    moa = Path(__file__).parents[3] / "docs" / "examples" / "moa.yaml"
    words = ["ingest", str(root), str(shared_data / "moa2013blg475"), "--camera", str(moa)]
    assert [main(words), main(words)] == [0, 0]
    assert "87 ingested" in capsys.readouterr().out
    with kept(root) as butler:
        records = butler.query_dimension_records("exposure", explain=False)
        assert len({record.timespan.begin.mjd for record in records}) == 87
        nights = {record.day_obs for record in records}
        assert min(nights) == 20130627
        assert max(nights) == 20130810


def test_a_file_that_was_rewritten_is_told(root: Path, tmp_path: Path):
    """Same name and size, other pixels: reading, ingest and status say so. A copy that is put back is the same."""
    files = write_night(tmp_path / "night", range(1, 3))
    take(root, files)
    whole = Path(files[0]).read_bytes()
    middle = len(whole) - 2800  # in its only block of pixels
    Path(files[0]).write_bytes(whole[:middle] + b"12345678" + whole[middle + 8 :])
    told = "was changed after it was ingested: put the old file back"
    with kept(root) as butler:
        where = {"instrument": "TestCam", "detector": 0, "collections": RUN}
        with pytest.raises(ValueError) as failure:
            butler.get(DATASET, exposure=1, **where)
        assert told in str(failure.value.__cause__ or failure.value)
        assert butler.get(DATASET, exposure=2, **where).info.visit == 2
    again = take(root, files)
    assert again.already_there == (files[1],)
    assert [(refusal.path, refusal.reason[: len(told)]) for refusal in again.refused] == [(files[0], told)]
    Path(files[1]).unlink()
    assert status_of(str(root)).lost_files == ((files[0], "changed"), (files[1], "gone"))
    Path(files[0]).unlink()
    Path(files[0]).write_bytes(whole)
    with kept(root) as butler:
        assert butler.get(DATASET, exposure=1, **where).info.visit == 1


def test_a_file_that_was_cut_short_is_told(root: Path, tmp_path: Path):
    """File, both sizes and what to do in one sentence, also as the reason of a task; the datastore's own words are on
    integrity, and its address has our stamp.
    """
    [file] = write_night(tmp_path / "night", range(1, 2))
    take(root, [file])
    size = Path(file).stat().st_size
    os.truncate(file, size - 2880)
    with kept(root) as butler, pytest.raises(ValueError) as failure:
        butler.get(DATASET, instrument="TestCam", exposure=1, detector=0, collections=RUN)
    told = f"{file} has {size - 2880} bytes and not the {size} on record: it was changed after it was ingested: put"
    assert str(failure.value.__cause__).startswith(told)
    assert sentence_of(failure.value).startswith(told)


def test_a_rewritten_file_is_forgotten_and_ingested_anew(root: Path, tmp_path: Path):
    """As the message says, by `butler prune-datasets`; the file itself stays."""
    [file] = write_night(tmp_path / "night", range(1, 2))
    take(root, [file])
    Path(file).write_bytes(Path(write_image(tmp_path / "other.fits", 1, OBJECT="elsewhere")).read_bytes())
    with kept(root) as butler:
        refs = butler.query_datasets(DATASET, collections=RUN, explain=False)
        butler.pruneDatasets(refs, disassociate=True, unstore=True, purge=True)
    assert take(root, [file]).summary == "1 ingested"
    with kept(root) as butler:
        assert butler.get(DATASET, instrument="TestCam", exposure=1, detector=0, collections=RUN).info.visit == 1
