"""Sources are put into the visits of a survey, in a run of its own, and what was found of them is added up."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
from lsst.pipe.base import Pipeline
from tests.tasks.border_survey import ACROSS, AGAIN, INSTRUMENT, SCALE_NJY
from tests.tasks.small_repository import register

from diapipe.cli.main import main
from diapipe.cli.run import survey_pipeline
from diapipe.errors import UsageError
from diapipe.images import MaskPlane
from diapipe.io import read_parquet
from diapipe.steps.inject import Injection
from diapipe.steps.validate import NO_VISIT
from diapipe.tasks import ImageDifferenceConfig
from diapipe.tasks.get_template import GetCalexpAsTemplateTask
from diapipe.tasks.injected_names import on_injected
from diapipe.tasks.injection import STEP, injected_run, judged_survey
from diapipe.tasks.repository import open_repository
from diapipe.tasks.running import RunRequest

DENSE = "[inject]\narea_fwhm2 = 400.0\nmin_snr = 20.0\nhosted = 0.0\nvariable = 0.0\ntrailed = 0.0\n"
"""Enough on a small image, all of them bright points on the sky."""
WHOLE = "visit IN (1, 2) AND detector = 0"
"""What lies on the coadds and has stars."""


def datasets(root):
    """By run, name and identifier of every dataset that the injection did not make: when its file was written."""
    with open_repository(root) as butler:
        refs = [r for r in butler.query_all_datasets("*", find_first=False, limit=None) if "injected" not in r.run]
        paths = [Path(butler.getURI(ref).ospath) for ref in refs]
    return {
        (ref.run, ref.datasetType.name, str(ref.id)): path.stat().st_mtime_ns
        for ref, path in zip(refs, paths, strict=True)
    }


def inject(survey, *more):
    """The exit status of the command."""
    recipe = survey.root.parent / "dense.toml"
    words = ["inject", str(survey.root), "--input", "inputs", "--config", str(recipe), "--where", WHOLE]
    return main([*words, "--cores", "1", *more])


@pytest.fixture(scope="module")
def survey(border_survey, tmp_path_factory):
    """A copy of the survey across two tracts, and a recipe."""
    folder = tmp_path_factory.mktemp("injection")
    copytree(border_survey.root, folder / "repo")
    (folder / "dense.toml").write_text(DENSE)
    return replace(border_survey, root=folder / "repo")


@pytest.fixture(scope="module")
def injected(survey):
    """Run while a file was away, and again when it was back: the survey before, statuses, and what was judged first."""
    before = datasets(survey.root)
    with open_repository(survey.root) as butler:
        data_id = {"instrument": INSTRUMENT, "visit": AGAIN[0], "detector": AGAIN[1]}
        path = Path(butler.getURI("visit_image", data_id, collections="inputs").ospath)
    aside = path.rename(path.with_suffix(".aside"))
    first = inject(survey, "--quiet")
    judged = judged_survey(str(survey.root), output="injected")
    aside.rename(path)
    return before, (first, inject(survey, "--quiet")), judged


@pytest.fixture(scope="module")
def numbers(survey, injected):
    """What `diapipe validate` wrote."""
    out = survey.root.parent / "validation"
    assert main(["validate", str(survey.root), "--out", str(out), "--quiet"]) == 0
    return out


def test_a_detector_that_fails_is_counted_and_made_up_for(survey, injected):
    """One file is gone: the other detector is judged, the status says 1; the same command does the rest."""
    _, statuses, (judged, n_injected) = injected
    assert statuses == (1, 0)
    assert ([one.visit for one in judged], n_injected) == ([ACROSS[0]], 1)
    again, n_injected = judged_survey(str(survey.root), output="injected")
    assert ([one.visit for one in again], n_injected) == ([ACROSS[0], AGAIN[0]], 2)


def test_the_survey_stays_as_it_was(survey, injected):
    """No dataset of it is gone, new, or written again."""
    assert datasets(survey.root) == injected[0]


def test_what_is_done_is_not_done_again(survey, injected, capsys):
    """The third time there is nothing to do; another recipe is refused there, and says how it gets its own place."""
    assert inject(survey) == 0
    assert "Nothing to do" in capsys.readouterr().out
    assert inject(survey, "--seed", "5") == 2
    error = capsys.readouterr().err
    assert "seed was 1, now 5" in error
    assert "--output" in error


def test_light_is_added_in_counts_and_told_in_njy(survey, injected):
    """Around each source the image has its flux more, over the final scale of the visit; elsewhere it is the same."""
    before, after, sources = (
        survey.get(name, ACROSS, collection=collection)
        for name, collection in (
            ("visit_image", "inputs"),
            ("injected_visit_image", "diapipe/injected"),
            ("injected_source", "diapipe/injected"),
        )
    )
    assert sources["flux"].unit == "nJy"
    assert not sources["is_faded"].any()
    light = after.masked_image.image - before.masked_image.image
    marked = (after.masked_image.mask & int(MaskPlane.INJECTED)) != 0
    assert marked.any()
    total = np.asarray(sources["flux"]).sum() / SCALE_NJY
    # photons: the root of the number of electrons, at a gain of 2, and 1% for what PSF stamps leave out
    assert light.sum(dtype=float) == pytest.approx(total, abs=4 * np.sqrt(total / 2) + 0.01 * total)
    assert after.unit == before.unit
    assert after.photo_calib.mean == before.photo_calib.mean


def test_most_are_found_and_measured(numbers):
    """Nearly all of S/N 20 and more is found; fluxes are right by their errors."""
    found = json.loads((numbers / "validation.json").read_text())
    share = found["completeness"]["all"]
    assert share["n"] >= 8
    # of these one may lie on a residual of a star
    assert share["n"] - share["n_of"] <= 1
    points = found["hostless"]
    assert abs(points["pull_mean"]) < 4 * max(points["pull_mean_err"], 1.2533 / np.sqrt(points["n"]))


def test_parts_add_up_to_the_whole(numbers):
    """In JSON and tables: all is the band, and the visits together."""
    found = json.loads((numbers / "validation.json").read_text())
    assert found["n_injected_images"] == found["n_differences"] == 2
    assert set(found["bands"]) == {"r"}
    assert found["bands"]["r"]["n_true"] == found["n_true"]
    assert set(found["visits"]) == {"1", "2"}
    assert sum(part["n_true"] for part in found["visits"].values()) == found["n_true"]
    bins = read_parquet(numbers / "completeness.parquet")
    bins = bins[(bins["by"] == "snr") & (bins["kind"] == "all")]
    band, visit = np.asarray(bins["band"]).astype(str), np.asarray(bins["visit"])
    whole = bins["n"][band == ""].sum()
    assert whole == bins["n"][(band == "r") & (visit == NO_VISIT)].sum() == bins["n"][visit != NO_VISIT].sum() > 0
    assert "visit" in read_parquet(numbers / "accuracy.parquet").colnames


def test_the_grade_is_told(survey, numbers, capsys):
    """On the terminal: all, by band, and the worst visits; an own folder of before is replaced."""
    assert main(["validate", str(survey.root), "--out", str(numbers), "--verbose"]) == 0
    said = capsys.readouterr().out
    assert "Rubin DP1" in said
    assert "By band" in said
    assert "2 (r)" in said
    assert "does not explain" in said


def test_the_page_needs_no_other_file(numbers):
    """The grade, both figures, and a row of each band and visit; nothing is fetched."""
    page = (numbers / "validation.html").read_text()
    assert "S/N of 50% completeness" in page
    assert page.count("<svg") == 2
    for name in ("r", "1 (r)", "2 (r)"):
        assert f'<th scope="row">{name}</th>' in page
    assert "src=" not in page
    assert "href=" not in page.replace('href="#', "")  # what leads to a place on the page fetches nothing


def test_results_of_the_survey_are_never_written_into(survey, injected, capsys):
    """The collection that is read is not that which is written."""
    words = ["inject", str(survey.root), "--input", "diapipe/injected", "--quiet"]
    assert main(words) == 2
    assert "give another --output" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("coaddName", "visits", "coadds"),
    [("template", "visit_image", "template_coadd"), ("deep", "calexp", "deepCoadd_calexp")],
)
def test_the_difference_is_set_as_for_the_survey(survey, coaddName, visits, coadds):
    """Its configuration is taken from the survey's results, under either kind of names; connections alone differ."""
    config, run = ImageDifferenceConfig(), f"configured_{coaddName}"
    config.coaddName = coaddName
    config.detection.thresholdValue = 7.5
    with open_repository(survey.root, writeable=True) as butler:
        butler.collections.register(run)
        register(butler, "imageDifference_config", (), "Config")
        butler.put(config, "imageDifference_config", run=run)
    pipeline = Pipeline.from_uri(survey_pipeline("injected"))
    request = RunRequest(repo=str(survey.root), pipeline="", steps=(STEP,), output=f"other_{coaddName}")
    with injected_run(request, survey=run, recipe=Injection(seed=3, min_snr=4.5)) as whole:
        whole.settings.put_on(pipeline)
        tasks = pipeline.to_graph().tasks
    assert whole.inputs == (run,)
    difference = tasks["imageDifference"]
    assert difference.config.detection.thresholdValue == tasks["validateSources"].config.thresholdSigma == 7.5
    assert (tasks["injectSources"].config.seed, tasks["injectSources"].config.minSnr) == (3, 4.5)
    read = {name: edge.parent_dataset_type_name for name, edge in difference.inputs.items()}
    assert (read["exposure"], read["coaddExposures"]) == (f"injected_{visits}", coadds)
    for reader, writer, name in (
        ("imageDifference", "injectSources", ("exposure", "injectedImage")),
        ("validateSources", "injectSources", ("injectedSources", "injectedSources")),
        ("validateSources", "imageDifference", ("difference", "subtractedExposure")),
        ("validateSources", "imageDifference", ("diaSources", "diaSources")),
    ):
        written = tasks[writer].outputs[name[1]].parent_dataset_type_name
        assert tasks[reader].inputs[name[0]].parent_dataset_type_name == written
        assert written.startswith("injected_")


def test_the_pipeline_differences_as_that_of_the_survey():
    """For whoever runs it by pipetask: the configurations are the same, but for names of datasets."""
    one, other = (
        Pipeline.from_uri(survey_pipeline(name)).to_graph().tasks["imageDifference"].config.toDict()
        for name in ("survey", "injected")
    )
    assert one.pop("connections") != other.pop("connections")
    assert one == other


def test_templates_of_a_visit_are_refused():
    """They would be read with sources in them."""
    config = ImageDifferenceConfig()
    config.getTemplate.retarget(GetCalexpAsTemplateTask)
    with pytest.raises(UsageError, match="none of them can be the template"):
        on_injected(config)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["inject", "{file}"], "give SCIENCE and TEMPLATE"),
        (["inject", "{file}", "{file}"], "need --out"),
        (["inject", "{file}", "{file}", "--out", "x", "--visits", "1"], "--visits cannot be used here"),
        (["inject", "{repo}", "--gain", "2"], "--gain cannot be used here"),
        (["inject", "{repo}", "--input", "nowhere"], "has no output nowhere"),
        (["validate", "{repo}", "--truth", "{file}"], "--truth cannot be used here"),
        (["validate", "{repo}", "--output", "nowhere"], "has no output nowhere"),
        (["validate", "{folder}", "--output", "default"], "--output and --out cannot be used here"),
    ],
)
def test_wrong_words_are_refused_in_a_sentence(survey, tmp_path, capsys, words, said):
    """What is of images is not of a survey, and the other way round."""
    (tmp_path / "image.fits").write_bytes(b"")
    places = {"file": tmp_path / "image.fits", "repo": survey.root, "folder": tmp_path}
    assert main([word.format(**places) for word in words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
