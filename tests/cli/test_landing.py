"""Results are all there or not at all."""

import errno
import json
import os
import stat

import pytest

from diapipe.cli.landing import check_free, is_earlier_result, landing
from diapipe.errors import UsageError, WriteError


def fill(folder, *names, text="new"):
    for name in names:
        (folder / name).write_text(text)


def earlier_result(out):
    out.mkdir()
    fill(out, "difference.fits", "score.fits", "notes.txt", text="old")
    (out / "summary.json").write_text(json.dumps({"schema": "diapipe-summary/1"}))


def fail_within(out, failure):
    """Write a file, then fail."""
    with landing(out) as folder:
        fill(folder, "difference.fits")
        raise failure


def everything_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_folder_appears_with_all_its_files(tmp_path):
    out = tmp_path / "deep" / "result"
    with landing(out) as folder:
        fill(folder, "difference.fits", "summary.json")
        assert not out.exists()
    assert everything_in(tmp_path) == ["deep", "deep/result", "deep/result/difference.fits", "deep/result/summary.json"]


def test_a_new_folder_has_the_ordinary_permissions(tmp_path):
    old = os.umask(0o022)
    try:
        with landing(tmp_path / "result"):
            pass
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "result").stat().st_mode) == 0o755


@pytest.mark.parametrize("failure", [ValueError("boom"), KeyboardInterrupt(), SystemExit(143)])
def test_a_failure_leaves_nothing(tmp_path, failure):
    with pytest.raises(type(failure)):
        fail_within(tmp_path / "deep" / "result", failure)
    assert everything_in(tmp_path) == []


def test_an_earlier_result_is_replaced_as_a_whole(tmp_path):
    """What the new run did not make goes, what is not ours stays."""
    out = tmp_path / "result"
    earlier_result(out)
    with landing(out) as folder:
        fill(folder, "difference.fits", "summary.json")
    assert everything_in(out) == ["difference.fits", "notes.txt", "summary.json"]
    assert (out / "difference.fits").read_text() == "new"


def test_a_failure_leaves_an_earlier_result_as_it_was(tmp_path):
    out = tmp_path / "result"
    earlier_result(out)
    before = everything_in(out)
    with pytest.raises(RuntimeError):
        fail_within(out, RuntimeError())
    assert everything_in(out) == before
    assert (out / "difference.fits").read_text() == "old"


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError("Not enough space on disk: requested 558696, available 0. 42000 requested and 30720 written"),
    ],
    ids=["system", "astropy"],
)
def test_a_full_disk_is_told_in_a_sentence(error, tmp_path):
    """As the system says it, and as astropy does, without a number, when an array was written in part."""
    with (
        pytest.raises(WriteError, match=r"the disk is full \(\d+ MB free\); nothing was written"),
        landing(tmp_path / "r"),
    ):
        raise error
    assert everything_in(tmp_path) == []


def test_a_place_under_a_file_is_told_in_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(WriteError, match=r"cannot write the results to .*result: Not a directory"),
        landing(tmp_path / "file" / "result"),
    ):
        pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_not_writable_is_told_in_a_sentence(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(WriteError, match="the folder is not writable"), landing(tmp_path / "result"):
            pass
    finally:
        tmp_path.chmod(0o700)


def test_what_is_not_ours_is_not_touched(tmp_path):
    out = tmp_path / "data"
    out.mkdir()
    fill(out, "difference.fits")
    with pytest.raises(UsageError, match=r"holds difference.fits, which is no result of diapipe"):
        check_free(out)
    check_free(out, overwrite=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file; a folder is needed"):
        check_free(tmp_path / "file")


def test_an_input_is_never_replaced(tmp_path):
    with pytest.raises(UsageError, match="would replace the input"):
        check_free(tmp_path, inputs=(tmp_path / "." / "difference.fits",), overwrite=True)


def test_an_earlier_result_is_known_by_its_summary(tmp_path):
    assert not is_earlier_result(tmp_path)
    (tmp_path / "summary.json").write_text("no json")
    assert not is_earlier_result(tmp_path)
    (tmp_path / "summary.json").write_text('{"schema": "diapipe-summary/1"}')
    assert is_earlier_result(tmp_path)


def test_a_folder_takes_the_place_of_an_earlier_one(tmp_path):
    """Nothing of the earlier folder stays, nothing is half new, and folders not made again go."""
    names = ("page.html", "data", "cutouts")
    for number in ("first", "second"):
        with landing(tmp_path / "out", names=names) as aside:
            (aside / "data").mkdir()
            (aside / "data" / f"{number}.js").write_text(number)
            if number == "first":
                (aside / "cutouts").mkdir()
                (aside / "cutouts" / "a.png").write_text("")
    assert sorted(path.name for path in (tmp_path / "out").rglob("*")) == ["data", "second.js"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
