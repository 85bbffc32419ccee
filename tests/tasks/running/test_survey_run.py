"""A survey runs through all steps, and again does only what is missing."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pytest
from benchmarks.toy_survey import INSTRUMENT, ToySurvey
from click.testing import CliRunner
from lsst.daf.butler import Butler, CollectionType
from lsst.daf.butler.cli.butler import cli as butler_command
from tests.filesystems import read_only
from toy_runs import N_DETECTORS, N_VISITS, Heard, counts, ended, n_registered, request, run, strays, values

from diapipe.errors import UsageError
from diapipe.tasks.running import run_survey, status_of
from diapipe.tasks.running.journal import Journal

N = N_VISITS * N_DETECTORS


def test_all_steps_run_and_again_there_is_nothing_to_do(repo):
    """Every detector is differenced, all that was written is registered, and a second run plans no quantum."""
    first = run(repo)
    assert first.exit_status == 0
    assert counts(first).keys() == {"done"}
    assert first.counts()["imageDifference"]["done"] == N
    images, differences = values(repo, "visit_image"), values(repo)
    assert {key: value["value"] for key, value in images.items()} == {
        ("ToyCam", detector, visit): 1000 * visit + detector + 1
        for visit in range(1, N_VISITS + 1)
        for detector in range(2)
    }
    assert differences.keys() == images.keys()
    assert not strays(repo)
    second = run(repo)
    assert (second.exit_status, second.outcomes, second.run) == (0, [], "")
    assert values(repo) == differences


def test_a_failure_costs_what_needs_it_and_is_retried(repo, tmp_path):
    """One detector fails: the others go on; what reads it inside a graph never begins; the next run makes up for it."""
    flag = tmp_path / "repaired"
    summary = run(repo, steps=("visits",), values=("characterize:die=['2/1']", f"characterize:dieUnless='{flag}'"))
    assert summary.exit_status == 1
    assert counts(summary) == {"done": N - 1, "failed": 1}
    (lost,) = ended(summary, "failed")
    assert lost.data_id == "visit=2 detector=1"
    assert "SIGKILL" in lost.reason
    flag.touch()
    again = run(repo, steps=("visits",), values=("characterize:die=['2/1']", f"characterize:dieUnless='{flag}'"))
    assert counts(again) == {"done": 1}
    assert n_registered(repo, "visit_image") == N
    assert not strays(repo)


def test_two_cameras_never_share_an_output(repo, monkeypatch):
    """Coadds are of a patch and a band, whatever the camera: a second one is refused where a first has its own."""
    run(repo, steps=("visits",), visits="1")
    monkeypatch.setattr("benchmarks.toy_survey.INSTRUMENT", "OtherCam")
    with Butler.from_config(repo, writeable=True) as butler:
        ToySurvey(n_visits=1)._insert_visits(butler)
    with pytest.raises(UsageError, match=r"holds results of ToyCam, .* give --output NAME for OtherCam"):
        run(repo, steps=("visits",), instrument="OtherCam")
    assert not run(repo, steps=("visits",), visits="1", instrument="ToyCam").outcomes


def test_a_camera_that_is_described_otherwise_is_told(repo):
    """Run and status say in what, of an output begun with the old description; a table that grew is the same."""
    place = repo / "cameras" / "ToyCam.yaml"
    place.parent.mkdir()
    lines = [
        "name: ToyCam",
        "visit: EXPNO",
        "filter: {card: FILTER, map: {a: g}}",
        "time: {start: DATE-OBS}",
    ]

    def describe(**changed):
        text = "\n".join([*lines, "gain: GAIN", "exposure_time: EXPTIME", "detectors: [A, B]"])
        for old, new in changed.items():
            text = text.replace(old, new)
        place.write_text(text)

    def told(output):
        heard = Heard()
        run_survey(request(repo, steps=("visits",), output=output), heard)
        said = [sentence for sentence in heard.sentences if "camera" in sentence]
        (status,) = status_of(str(repo), output=output).outputs
        assert list(status.camera_changes) == said
        return said

    describe()
    assert told("old") == []
    describe(**{"a: g": "a: g, b: r"})
    assert told("old") == []
    describe(GAIN="EGAIN", EXPTIME="DARKTIME")
    (sentence,) = told("old")
    assert sentence.startswith("the camera ToyCam is described otherwise in exposure_time, gain than when this output")
    assert told("new") == []


def test_what_needs_a_failure_is_skipped_and_counted(repo):
    """A patch without its list of visits: no warp, no coadd, and both are told as skipped with the reason."""
    run(repo, steps=("visits", "scale"))
    summary = run(repo, steps=("coadds",), values=("selectVisits:fail=['0/0']",))
    failed, skipped = ended(summary, "failed"), ended(summary, "skipped")
    assert {outcome.task for outcome in failed} == {"selectVisits"}
    assert {outcome.task for outcome in skipped} == {"makeWarp", "assembleCoadd"}
    assert all("selectVisits failed for tract=0 patch=0" in outcome.reason for outcome in skipped)
    assert all("patch=0" in outcome.data_id for outcome in skipped)


def test_no_work_is_no_failure_and_keeps_its_reason(repo):
    """The exit status is 0, the reason is told by the run and by the status, and a second run does not try again."""
    settings = ("characterize:noWork=['1/0']",)
    summary = run(repo, values=settings)
    assert summary.exit_status == 0
    (idle,) = [outcome for outcome in ended(summary, "no work") if outcome.task == "characterize"]
    assert idle.reason == "nothing to do at 1/0, as it was told"
    assert not run(repo, values=settings).outcomes
    (output,) = status_of(str(repo)).outputs
    (kept,) = [outcome for outcome in output.outcomes if outcome.task == "characterize" and outcome.reason]
    assert (kept.reason, kept.data_id) == (idle.reason, "visit=1 detector=0")


def test_status_knows_from_the_repository_what_the_ledger_does_not(repo):
    """Without the ledger, as for quanta that `pipetask` ran, counts and reasons are those of metadata and logs."""
    run(
        repo,
        steps=("visits",),
        values=("characterize:noWork=['1/0']", "characterize:fail=['2/0']", "characterize:die=['3/0']"),
    )
    (with_ledger,) = status_of(str(repo)).outputs
    for path in (repo / ".diapipe").rglob("ledger.jsonl"):
        path.unlink()
    (without,) = status_of(str(repo)).outputs
    told = {outcome.data_id: (outcome.ended, outcome.reason) for outcome in with_ledger.outcomes}
    assert told == {outcome.data_id: (outcome.ended, outcome.reason) for outcome in without.outcomes}
    assert len(told) == N
    assert sum(ended != "done" for ended, _ in told.values()) == 3


def test_only_the_data_asked_for(repo):
    """Ranges of visits and lists of detectors; the conditions of the butler's language beside them."""
    assert counts(run(repo, steps=("visits",), visits="1..2", detectors="1")) == {"done": 2}
    assert counts(run(repo, steps=("visits",), where="visit.seq_num = 3")) == {"done": N_DETECTORS}
    assert counts(run(repo, steps=("visits",))) == {"done": N - 2 - N_DETECTORS}


def test_patches_of_the_only_sky_map_choose_what_is_scaled(repo):
    """As the old drivers ask for them, by column and row: steps that know no sky map take the one there is."""
    where = "tract IN (0) AND patch.cell_x = 0 AND patch.cell_y = 0"
    summary = run(repo, steps=("visits", "scale"), where=where)
    assert counts(summary)["done"] == len(summary.outcomes)
    assert "photometricScale" in summary.counts()
    assert not run(repo, steps=("visits", "scale"), tracts="0", patches="0").outcomes


def test_one_visit_asked_for_is_not_its_own_template(repo):
    """Coadds gather all visits of the patches that the visits asked for overlap."""
    run(repo, steps=("visits", "scale"))
    one = run(repo, steps=("coadds",), visits="1")
    gathered = {key: value["n"] for key, value in values(repo, "template_coadd").items()}
    rest = run(repo, steps=("coadds",))
    everything = {key: value["n"] for key, value in values(repo, "template_coadd").items()}
    assert one.outcomes
    assert rest.outcomes
    assert gathered.items() <= everything.items()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"visits": "1-4"}, "a list of numbers takes numbers and ranges such as 1..10,12, and not '1-4'"),
        ({"steps": ("visit",)}, "the pipeline has no step 'visit'; it has "),
        ({"values": ("characterise:addend=2",)}, "the pipeline has no task 'characterise'"),
        ({"values": ("characterize:addend=many",)}, "the configuration of step visits is wrong: Field 'addend' failed"),
        ({"values": ("characterize:adend=1",)}, "the configuration of step visits is wrong: "),
        ({"visits": "999"}, "the repository has no data with visit IN (999)"),
        ({"where": "visit.nonsense = 3"}, "the data asked for cannot be understood: "),
        ({"visits": "4..1"}, "a range begins with its smaller end: 1..4, and not '4..1'"),
        ({"visits": "1..99999999999:0"}, "takes numbers and ranges"),
        ({"steps": ()}, "there is no step to run"),
        ({"renew": ("coadd",)}, "coadd cannot be made anew by this run: its steps are visits, scale, coadds, differen"),
        ({"output": "../elsewhere"}, "the name of an output has letters, digits"),
        ({"output": "/elsewhere"}, "the name of an output has letters, digits"),
        ({"inputs": ("Simulatr/raw",)}, "of the collections Simulatr/raw not all are there"),
        ({"pipeline": "no_such.yaml"}, "no_such.yaml cannot be read as a pipeline: FileNotFoundError"),
        ({"values": ("characterize",)}, "-c takes label:field=value, and not 'characterize'"),
    ],
)
def test_a_wrong_request_is_refused_in_a_sentence(toy_survey, options, sentence):
    """Before anything is written."""
    with pytest.raises(UsageError) as error:
        run(toy_survey, **options)
    assert sentence in str(error.value)


def test_two_configurations_never_mix_in_one_output(repo):
    """Another configuration is refused with the field, its values and what to do; with another output it runs."""
    run(repo, steps=("visits",))
    with pytest.raises(UsageError) as error:
        run(repo, steps=("visits",), values=("characterize:addend=5",))
    assert "the configuration of characterize is not that of the results in diapipe/default" in str(error.value)
    assert "addend was 1, now 5" in str(error.value)
    assert "--output NAME" in str(error.value)
    assert counts(run(repo, steps=("visits",), values=("characterize:addend=5",), output="five")) == {"done": N}
    other = values(repo, "visit_image", "diapipe/five")
    assert {key: value["value"] + 4 for key, value in values(repo, "visit_image").items()} == {
        key: value["value"] for key, value in other.items()
    }


def test_a_request_names_its_chain(toy_survey):
    """A name alone stands in the folder of our chains; a full name is taken as it is."""
    assert request(toy_survey, output="deep").chain == "diapipe/deep"
    assert request(toy_survey, output="u/me/deep").chain == "u/me/deep"


def test_each_output_has_a_journal_of_its_own(toy_survey):
    """Whatever their names: a folder that two shared would mix their ledgers and locks."""
    names = ("a/b", "a.b", "a%2Eb", "a/b/c", "a.b/c", "a")
    assert len({Journal.of(str(toy_survey), name).folder for name in names}) == len(names)


def test_status_of_a_repository_that_nobody_can_write(repo):
    """As of a colleague's: the same as of one's own, and nothing is left behind."""
    run(repo, steps=("visits",))
    with Butler.from_config(repo, writeable=True) as butler:
        butler.collections.register("diapipe/empty", CollectionType.CHAINED)
    mine = status_of(str(repo))
    with read_only(repo):
        assert status_of(str(repo)) == mine
    assert [one.chain for one in mine.outputs] == ["diapipe/default", "diapipe/empty"]
    assert not Journal.of(str(repo), "diapipe/empty").folder.exists()


def test_status_of_an_output_that_is_not_there(toy_survey):
    """Is none, and those that are there are named."""
    with pytest.raises(UsageError, match="the repository has no output elsewhere; it has none yet"):
        status_of(str(toy_survey), output="elsewhere")


def test_status_tells_of_a_run_that_goes_on(repo):
    """Who writes, as long as the lock is held; asking neither takes the lock from a run nor lets one be refused."""
    run(repo, steps=("visits",))
    journal = Journal.of(str(repo), "diapipe/default")
    assert not status_of(str(repo)).outputs[0].writer
    with journal.locked():
        (journal.folder / "20260101T000000Z.visits.qg").touch()
        assert re.fullmatch(rf"process {os.getpid()} on \S+, since .* UTC, step visits", journal.writer())
        assert status_of(str(repo)).outputs[0].writer == journal.writer()
    assert not journal.writer()
    assert not Journal.of(str(repo), "diapipe/never").writer()


def test_the_commands_of_the_butler_work_as_our_page_says(repo, tmp_path, monkeypatch):
    """Each line of the page that begins with `butler` is run on a survey, with its own instrument."""
    run(repo, visits="2")
    page = Path(__file__).parents[3] / "docs" / "howto" / "repository.md"
    lines = [line for line in page.read_text().splitlines() if line.startswith("butler query-") or "retrieve" in line]
    assert len(lines) == 4
    monkeypatch.chdir(tmp_path)
    for line in lines:
        adapted = line.replace("MyCam", INSTRUMENT).replace("visit=12 AND detector=3", "visit=2 AND detector=1")
        words = [str(repo) if word == "survey" else word for word in shlex.split(adapted)[1:]]
        result = CliRunner().invoke(butler_command, words)
        assert result.exit_code == 0, (line, result.output, result.exception)
    assert list((tmp_path / "copies").rglob("*difference_image*"))
