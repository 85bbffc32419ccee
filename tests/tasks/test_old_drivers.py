"""The older drivers by their names and options: what they ask for, what they run, and their exit status."""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path

import pytest
from lsst.daf.butler import CollectionType
from lsst.pipe.base import Pipeline
from tests.tasks.border_survey import ACROSS, AGAIN, INSTRUMENT

from diapipe.cli import old_drivers
from diapipe.cli.old_drivers import IDLE, _batch, asked_by, drive, parser_of
from diapipe.cli.run import survey_pipeline
from diapipe.errors import ReadError, UsageError
from diapipe.tasks.drive import DRIVERS, Asked, configured, request_for
from diapipe.tasks.get_template import GetCoaddAsMultiTractTemplateTask
from diapipe.tasks.presets import DRIVER_FILES, PRESETS, driver_file, preset_settings
from diapipe.tasks.repository import open_repository

ROOT = Path(__file__).resolve().parents[2]

MULTI = """
from lsst.dia.pipe.getMultiTractTemplate import GetCoaddAsMultiTractTemplateTask
config.imageDifference.getTemplate.retarget(GetCoaddAsMultiTractTemplateTask)
"""
"""Lines of dia_pipe's documentation."""

SELECT = """
from lsst.dia.pipe.selectImages import TimeBestSeeingWcsSelectImagesTask
config.select.retarget(TimeBestSeeingWcsSelectImagesTask)
config.select.minMJD = 59580.0
config.select.maxMJD = 60310.0
config.select.minPsfFwhm = 2.5
config.select.maxPsfFwhm = 3.5
"""
"""Lines of dia_pipe's documentation."""


@pytest.fixture(scope="module")
def survey(border_survey):
    """The survey with its inputs as a rerun."""
    with open_repository(border_survey.root, writeable=True) as butler:
        butler.collections.register("rerun/base", CollectionType.CHAINED)
        butler.collections.redefine_chain("rerun/base", ["inputs"])
    return border_survey


def asked(survey, **more):
    return Asked(repo=str(survey.root), pipeline=survey_pipeline(), **({"ids": [[]]} | more))


def tasks_of(request):
    """The configurations that a request ends with, by label."""
    pipeline = Pipeline.from_uri(request.pipeline)
    request.settings.put_on(pipeline)
    return {label: node.config for label, node in pipeline.to_graph().tasks.items()}


def written(path, text):
    path.write_text(text)
    return str(path)


def test_the_lines_of_the_documentation_reach_the_task(survey, tmp_path):
    """For the difference and for the coadd, as the older drivers load them."""
    with request_for("imageDifferenceDriver", asked(survey, files=[written(tmp_path / "a.py", MULTI)])) as request:
        config = tasks_of(request)["imageDifference"]
    assert config.getTemplate.target is GetCoaddAsMultiTractTemplateTask
    with request_for("coaddDriver", asked(survey, files=[written(tmp_path / "b.py", SELECT)])) as request:
        config = tasks_of(request)["selectVisits"]
    assert config.select.name == "time_best_seeing"
    assert (config.select.minMJD, config.select.maxMJD) == (59580.0, 60310.0)
    assert (config.select.minPsfFwhm, config.select.maxPsfFwhm) == (2.5, 3.5)
    assert request.steps == ("visits", "scale", "coadds")


def test_the_driver_has_its_own_defaults(survey):
    """The template of one tract, as dia_pipe had it, though the survey's pipeline takes all."""
    with request_for("imageDifferenceDriver", asked(survey)) as request:
        assert tasks_of(request)["imageDifference"].getTemplate.target is not GetCoaddAsMultiTractTemplateTask


def test_names_of_datasets_are_those_of_the_repository(survey, tmp_path):
    """Where it has those of Data Preview 1 alone; in an empty one, and where they are asked for, the older ones."""
    with request_for("imageDifferenceDriver", asked(survey)) as request:
        assert tasks_of(request)["imageDifference"].coaddName == "template"
    from diapipe.tasks.repository import create_repository

    empty = create_repository(tmp_path / "empty")
    for name, driver in DRIVERS.items():
        with request_for(name, Asked(repo=str(empty), pipeline=survey_pipeline(), ids=[[]])) as request:
            found = tasks_of(request)
            assert {found[label].coaddName for label in driver.labels or request.steps} == {"deep"}


def test_an_output_of_diapipe_run_is_read_by_its_name(survey):
    """Where no rerun has the name."""
    with open_repository(survey.root, writeable=True) as butler:
        butler.collections.register("diapipe/season", CollectionType.CHAINED)
    with request_for("imageDifferenceDriver", asked(survey, rerun="season:mine")) as request:
        assert (request.inputs, request.chain) == (("diapipe/season",), "rerun/mine")


@pytest.mark.parametrize(
    ("rerun", "inputs", "chain"),
    [("", (), "diapipe/default"), ("mine", (), "rerun/mine"), ("base:mine", ("rerun/base",), "rerun/mine")],
)
def test_reruns_are_collections(survey, rerun, inputs, chain):
    with request_for("imageDifferenceDriver", asked(survey, rerun=rerun)) as request:
        assert (request.inputs, request.chain) == (inputs, chain)


def test_data_is_chosen_and_left_out(survey, caplog):
    """The detectors of ignoreCcdList that were asked for are told."""
    ids = [["visit=1^2", "detector=0..5"]]
    with request_for(
        "imageDifferenceDriver", asked(survey, ids=ids, values=["ignoreCcdList=[1, 7]", "ccdKey=detector"])
    ) as request:
        assert request.data.where == "(visit IN (1, 2) AND detector IN (0..5)) AND detector NOT IN (1)"
    assert "left out by ignoreCcdList: detector 1" in caplog.text


def test_visits_of_a_coadd_and_of_a_template(survey, tmp_path):
    """--selectId lists visits, --templateId the one that is the template."""
    with request_for("coaddDriver", asked(survey, selectIds=[["visit=3^5..9:2"]])) as request:
        assert list(tasks_of(request)["selectVisits"].visits) == [3, 5, 7, 9]
    lines = "from diapipe.tasks.get_template import GetCalexpAsTemplateTask\n"
    lines += "config.imageDifference.getTemplate.retarget(GetCalexpAsTemplateTask)"
    more = {"files": [written(tmp_path / "c.py", lines)], "templateIds": [["visit=2"]]}
    with request_for("imageDifferenceDriver", asked(survey, **more)) as request:
        assert tasks_of(request)["imageDifference"].getTemplate.templateVisit == 2
    with (
        pytest.raises(UsageError, match="retargeted to GetCalexpAsTemplateTask"),
        request_for("imageDifferenceDriver", asked(survey, templateIds=[["visit=2"]])),
    ):
        pass


def test_dc2_is_as_the_specification_has_it(survey):
    """The file of the driver and the preset of `diapipe run` are one configuration."""
    config = configured(DRIVERS["imageDifferenceDriver"], asked(survey, files=["config/ImageDifferenceDriver.py"]))
    task = config.imageDifference
    assert config.ccdKey == "detector"
    assert (task.subtract.name, task.subtract["al"].kernel.name) == ("al", "AL")
    kernel = task.subtract["al"].kernel["AL"]
    assert (kernel.spatialKernelOrder, kernel.spatialBgOrder) == (1, 0)
    assert task.doAddCalexpBackground
    assert task.doSelectSources
    assert task.kernelSourcesFromRef
    assert task.convolveTemplate
    assert not task.doDecorrelation
    assert (task.detection.thresholdValue, task.detection.thresholdType) == (5.5, "pixel_stdev")
    pipeline = Pipeline.from_uri(survey_pipeline())
    for text in preset_settings("dc2-run1.2i"):
        pipeline.addConfigFile(*text.split(":"))
    preset = pipeline.to_graph().tasks["imageDifference"].config
    same = task.toDict().keys() - {"coaddName", "getTemplate", "connections"}
    assert {name: preset.toDict()[name] for name in same} == {name: task.toDict()[name] for name in same}


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_loads(name):
    pipeline = Pipeline.from_uri(survey_pipeline())
    for text in preset_settings(name):
        pipeline.addConfigFile(*text.split(":"))
    for node in pipeline.to_graph().tasks.values():
        node.config.validate()


def test_the_coadds_of_dc2(survey):
    """Widths in pixels, as they were meant; the second selection does nothing, which is told."""
    found = {}
    for name in ("coaddDriver_BestSeeing.py", "coaddDriver_TimeBestSeeing.py"):
        with request_for("coaddDriver", asked(survey, files=[name])) as request:
            found[name] = tasks_of(request)["selectVisits"].select
    best, timed = found.values()
    assert (best.name, best.psfFwhmUnit, best.maxPsfFwhm, best.nImagesMax) == ("best_seeing", "pixel", 3.5, 5)
    assert (timed.name, timed.maxPsfFwhm, timed.nImagesMax) == ("time_best_seeing", 3.5, 10)


def test_lines_about_the_older_loader_are_told_and_skipped(survey, tmp_path, caplog):
    """The reference catalogue is a dataset now; what chose its file changes nothing."""
    lines = """
from lsst.meas.algorithms import LoadIndexedReferenceObjectsTask
config.imageDifference.refObjLoader.retarget(LoadIndexedReferenceObjectsTask)
config.imageDifference.refObjLoader.load("obs_lsst/config/filterMap.py")
config.imageDifference.refObjLoader.filterMap["r"] = "lsst_r_smeared"
config.imageDifference.kernelSourcesFromRef = True
"""
    with caplog.at_level("INFO"):
        config = configured(
            DRIVERS["imageDifferenceDriver"], asked(survey, files=[written(tmp_path / "old.py", lines)])
        )
    assert config.imageDifference.kernelSourcesFromRef
    assert "said of refObjLoader is without effect, because the reference catalogue is the dataset" in caplog.text


@pytest.mark.parametrize(
    ("more", "kind", "sentence"),
    [
        ({"ids": []}, UsageError, "which data"),
        ({"rerun": "nobody:mine"}, UsageError, "^there is no rerun nobody to read; the repository has .*base"),
        ({"ids": [["ra=3"]]}, UsageError, "not 'ra'"),
        ({"values": ["ignoreCcdList"]}, UsageError, "field=value"),
        ({"values": ["imageDifference.nonsense=1"]}, UsageError, "nonsense"),
        ({"values": ["imageDifference.doMerge=True", "imageDifference.doDetection=False"]}, UsageError, "doDetection"),
        ({"files": ["nowhere.py"]}, UsageError, "diapipe brings imageDifferenceDriver.py"),
    ],
)
def test_what_cannot_be_understood_is_told(survey, more, kind, sentence):
    with pytest.raises(kind, match=sentence), request_for("imageDifferenceDriver", asked(survey, **more)):
        pass


def test_a_file_that_fails_is_named(survey, tmp_path):
    path = written(tmp_path / "broken.py", "config.imageDifference.nonsense = 1")
    with pytest.raises(ReadError, match=r"broken.py cannot be loaded: .*nonsense"):
        configured(DRIVERS["imageDifferenceDriver"], asked(survey, files=[path]))


def test_the_files_that_come_with_diapipe_are_found_by_name():
    """In whatever folder and letters the command says."""
    for name in DRIVER_FILES.values():
        assert Path(driver_file(f"dia_pipe/config/{name}")).is_file()
    assert driver_file("ImageDifferenceDriver.py") == driver_file("imageDifferenceDriver")


def test_options_without_effect_say_so(survey, capsys):
    """Each is taken, and has a reason, which is in the help and told where it is given."""
    text = " ".join(parser_of("coaddDriver").format_help().split())
    assert all(f"Does nothing: {why}." in text for _, why in IDLE.values())
    words = [str(survey.root), "--id", "--rerun", "base:dry", "--dry-run"]
    for option, (n, _) in IDLE.items():
        words += [option, *["3"] * n]
    assert drive("imageDifferenceDriver", words) == 0
    told = capsys.readouterr()
    assert all(f"{option} does nothing: {why}" in told.err for option, (_, why) in IDLE.items())
    assert "would run differences into rerun/dry where all" in told.out


def test_wrong_use_has_its_status(survey, capsys):
    assert drive("imageDifferenceDriver", [str(survey.root), "--rerun", "mine"]) == 2
    assert "which data? give --id" in capsys.readouterr().err
    assert drive("imageDifferenceDriver", [str(survey.root), "--id", "--show", "config"]) == 0
    assert "config.imageDifference" in capsys.readouterr().out


def test_the_names_are_commands(monkeypatch):
    """With and without their ending, each the driver of that name; the original's combineDiaForced.py imported a module
    that there was not (A.7).
    """
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    monkeypatch.setattr(old_drivers, "drive", lambda name, words: name)
    for name in DRIVERS:
        module, function = scripts[name].split(":")
        assert scripts[f"{name}.py"] == scripts[name]
        assert getattr(importlib.import_module(module), function)() == name


@pytest.mark.parametrize(("kind", "cores"), [("none", 1), ("smp", 3), ("slurm", 3)])
def test_where_it_runs(survey, kind, cores):
    """In so many processes of this machine, or by a site of bps; `none` is one process whatever else is said."""
    options = parser_of("coaddDriver").parse_args([str(survey.root), "--id", "--cores", "3", "--batch-type", kind])
    assert asked_by(options).cores == cores
    with request_for("coaddDriver", asked_by(options)) as request:
        found = _batch(options, request)
    assert set(found) == ({"executor"} if kind == "slurm" else set())
    assert all(executor.site.name == "slurm.yaml" for executor in found.values())


def test_a_driver_runs(survey, tmp_path, capsys):
    """The line of dia_pipe's documentation, word by word but for the visits."""
    words = (
        f"{survey.root} --rerun base:mine --id visit=1^2 detector=0 -C {written(tmp_path / 'm.py', MULTI)} --cores 1"
    )
    assert drive("imageDifferenceDriver", words.split()) == 0
    assert "2 done" in capsys.readouterr().out
    with open_repository(survey.root) as butler:
        for visit, detector in (ACROSS, AGAIN):
            key = {"instrument": INSTRUMENT, "visit": visit, "detector": detector}
            assert len(butler.get("dia_source", key, collections="rerun/mine"))


def test_failures_are_counted(survey, capsys):
    """The older driver hid them; the configuration of DC2 asks for a reference catalogue, which is not there."""
    words = f"{survey.root} --rerun base:failing --id visit=1 detector=0 -C imageDifferenceDriver.py --cores 1"
    assert drive("imageDifferenceDriver", words.split()) == 1
    told = capsys.readouterr().out
    assert "1 of 1 failed" in told
    assert "needs a reference catalogue" in told


def test_a_preset_is_an_option_of_run(survey):
    """Its files come before those of the user, who has the last word."""
    from click.testing import CliRunner

    from diapipe.cli import run as command

    words = [str(survey.root), "--preset", "dc2-time-best-seeing", "-C", "selectVisits:own.py"]
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "run_steps", lambda repo, steps, options: seen.append((repo, steps, options)) or 0)
        assert CliRunner().invoke(command.run, words).exit_code == 0
    (repo, steps, options) = seen[0]
    files = command.request_of(repo, steps, **options).settings.files
    assert files == (*preset_settings("dc2-time-best-seeing"), "selectVisits:own.py")
    with pytest.raises(UsageError, match=r"no preset dc3; there are dc2-run1\.2i"):
        preset_settings("dc3")
