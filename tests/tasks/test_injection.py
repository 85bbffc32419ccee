"""Sources are put into the visits of a survey, in a run of its own, and what was found of them is added up."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
from astropy.table import Table
from lsst.pipe.base import Pipeline
from tests.tasks.border_survey import ACROSS, AGAIN, INSTRUMENT, NEW_AT, SCALE_NJY, stars, wcs_of
from tests.tasks.small_repository import register

from diapipe.catalogs.source_batch import SourceBatch
from diapipe.cli.main import main
from diapipe.cli.run import survey_pipeline
from diapipe.errors import UsageError
from diapipe.images import MaskPlane
from diapipe.images.sky import icrs_of, pixels_of_icrs
from diapipe.io import read_parquet
from diapipe.steps.associate import associate
from diapipe.steps.inject import Injection
from diapipe.steps.validate import NO_VISIT
from diapipe.tasks import ImageDifferenceConfig
from diapipe.tasks.get_template import GetCalexpAsTemplateTask
from diapipe.tasks.injected_catalog import catalog_run
from diapipe.tasks.injected_names import on_injected
from diapipe.tasks.injection import STEP, injected_run, judged_survey
from diapipe.tasks.repository import open_repository
from diapipe.tasks.running import RunRequest

DENSE = "[inject]\narea_fwhm2 = 400.0\nmin_snr = 20.0\nhosted = 0.0\nvariable = 0.0\ntrailed = 0.0\nmoving = 0.0\n"
"""Enough on a small image, all of them bright points on the sky; a quarter fade."""
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
    sources = sources[~sources["is_faded"]]
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


def test_what_faded_is_missing_on_the_difference(survey, injected):
    """It is listed below zero, and found there: at its place, and negative; the survey's own templates have nothing."""
    faded = 0
    for key in (ACROSS, AGAIN):
        put_in = survey.get("injected_source", key, collection="diapipe/injected")
        rows = survey.get("source_validation", key, collection="diapipe/injected")
        rows = rows[np.asarray(rows["is_faded"]) & np.asarray(rows["is_usable"])]
        assert (put_in["flux"][put_in["is_faded"]] < 0).all()
        found = rows[np.asarray(rows["is_good"])]
        assert len(rows) - len(found) <= 1  # one may lie on a residual of a star
        pulls = (found["measured"] - found["flux"]) / found["measured_err"]
        assert np.abs(np.median(pulls)) < 4 * 1.2533 / np.sqrt(len(found))
        faded += len(found)
    assert faded >= 3


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
    """The grade, figures of completeness, pulls, noise and stars, a row of each band and visit; nothing is fetched."""
    page = (numbers / "validation.html").read_text()
    assert "S/N of 50% completeness" in page
    assert page.count("<svg") == 6
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
    ("coaddName", "visits", "coadds", "sources"),
    [
        ("template", "visit_image", "template_coadd", "dia_source"),
        ("deep", "calexp", "deepCoadd_calexp", "deepDiff_diaSrc"),
    ],
)
def test_the_difference_is_set_as_for_the_survey(survey, coaddName, visits, coadds, sources):
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
    real = tasks["validateSources"].prerequisite_inputs["realSources"]
    assert real.parent_dataset_type_name == sources
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


def given_places():
    """Pixels of the first detector, on sky that the second has too, away from stars, new stars and borders."""
    wcs, others = wcs_of(*ACROSS), wcs_of(*AGAIN)
    ra, dec, _ = stars()
    new = [icrs_of(wcs_of(*key), *(np.array([value]) for value in place)) for key, place in NEW_AT.items()]
    ra, dec = (np.concatenate([known, *more]) for known, more in zip((ra, dec), zip(*new, strict=True), strict=True))
    taken = list(np.transpose(pixels_of_icrs(wcs, ra, dec)))
    kept: list[np.ndarray] = []
    for place in np.random.default_rng(4).uniform(50.0, 270.0, (400, 2)):
        there = pixels_of_icrs(others, *icrs_of(wcs, *place[:, None]))
        apart = min(np.hypot(*(place - other)) for other in [*taken, *kept])
        if apart > 16.0 and min(there)[0] > 40.0 and max(there)[0] < 280.0:
            kept.append(place)
    return np.array(kept)


@pytest.fixture(scope="module")
def given(survey):
    """A catalogue of three that stay, one that is on one visit, one that fades, and one that moves; injected."""
    places = given_places()[:6].T
    ra, dec = icrs_of(wcs_of(*ACROSS), *places)
    table = Table({"id": np.arange(1, 7) * 10, "ra": ra, "dec": dec, "flux": [9e3, 8e3, 1e4, 9e3, -9e3, 9e3]})
    table["visit"] = [-1, -1, -1, 2, -1, -1]
    table["ra_rate"] = [0.0, 0.0, 0.0, 0.0, 0.0, 0.4]
    table["dec_rate"], table["epoch"] = 0.0, 61001.0
    path = survey.root.parent / "given.csv"
    table.write(path, format="csv")
    words = ["inject", str(survey.root), "--input", "inputs", "--sources", str(path), "--where", WHOLE]
    return [*words, "--output", "given", "--cores", "1", "--quiet"], table


def test_a_catalogue_is_on_all_visits_it_is_given_for(survey, given):
    """The same sources at the same places of the sky, so that what is found of one becomes one object; what moves has
    moved by its rate; what is of one visit is on that alone; below zero, everywhere.
    """
    words, table = given
    assert main(words) == 0
    put_in = {key: survey.get("injected_source", key, collection="diapipe/given") for key in (ACROSS, AGAIN)}
    assert put_in[ACROSS]["injectionId"].tolist() == [10, 20, 30, 50, 60]
    assert put_in[AGAIN]["injectionId"].tolist() == [10, 20, 30, 40, 50, 60]
    for rows in put_in.values():
        for row in rows[rows["injectionId"] < 60]:
            of = table[table["id"] == row["injectionId"]][0]
            assert (row["ra"], row["dec"], row["flux"]) == pytest.approx((of["ra"], of["dec"], of["flux"]), rel=1e-9)
    moved = [rows[rows["injectionId"] == 60][0] for rows in put_in.values()]
    east = (moved[1]["ra"] - moved[0]["ra"]) * 3600 * np.cos(np.radians(moved[0]["dec"]))
    assert east == pytest.approx(24 * 0.4, rel=1e-4)
    batches, expected = [], 0
    for key in (ACROSS, AGAIN):
        rows = survey.get("source_validation", key, collection="diapipe/given")
        sources = survey.get("injected_dia_source", key, collection="diapipe/given")
        found = rows["diaSourceId"][np.asarray(rows["is_good"])]
        batches.append(SourceBatch.from_table(sources[np.isin(sources["diaSourceId"], found)]))
        assert len(found) == len(rows)
        expected = len(put_in[AGAIN]) + 1  # what moves is another object a day later
    assert len(associate(batches).objects.ids) == expected


def test_other_sources_need_another_output(survey, given, capsys):
    """The same file again is nothing to do; another one, or the recipe, is refused where it was not made with it."""
    words, table = given
    assert main(words) == 0
    other = table.copy()
    other["flux"][0] *= 2
    other.write(survey.root.parent / "other.csv", format="csv")
    changed = [str(survey.root.parent / "other.csv") if word.endswith("given.csv") else word for word in words]
    assert main(changed) == 2
    assert "made with other sources; give another --output" in capsys.readouterr().err
    assert main([word for word in words if word != "--sources" and not word.endswith("given.csv")]) == 2
    assert "doRecipe was False, now True" in capsys.readouterr().err


def test_pixels_are_no_places_of_a_survey(survey, capsys):
    """X and y belong to one image."""
    path = survey.root.parent / "pixels.csv"
    path.write_text("x,y,flux\n1,2,3\n")
    assert main(["inject", str(survey.root), "--input", "inputs", "--sources", str(path), "--output", "pixels"]) == 1
    assert "a survey needs ra and dec" in capsys.readouterr().err


def test_bodies_of_the_recipe_are_the_same_on_all_visits(survey):
    """The catalogue that the recipe makes is kept with the output, and asked for by its tasks."""
    butler_of = open_repository(survey.root, writeable=True)
    with butler_of as butler:
        run = catalog_run(butler, "moving", given=None, recipe=Injection(moving=1.0), survey="inputs")
        again = catalog_run(butler, "moving", given=None, recipe=Injection(moving=1.0), survey="inputs")
        none = catalog_run(butler, "still", given=None, recipe=Injection(moving=0.0), survey="inputs")
        rows = butler.get("injection_catalog", collections=run)
    assert run == again == "injection_catalogs/moving"
    assert none is None
    assert len(rows) > 0
    assert (rows["visit"] == -1).all()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["inject", "{file}"], "give SCIENCE and TEMPLATE"),
        (["inject", "not-there.fits"], "give SCIENCE and TEMPLATE"),
        (["inject", "{file}", "{file}"], "need --out"),
        (["inject", "{file}", "{file}", "--out", "x", "--visits", "1"], "--visits cannot be used here"),
        (["inject", "{repo}", "--gain", "2"], "--gain cannot be used here"),
        (["inject", "{repo}", "--input", "nowhere"], "has no output nowhere"),
        (["validate", "{repo}", "--truth", "{file}"], "--truth cannot be used here"),
        (["validate", "{repo}", "--output", "nowhere"], "has no output nowhere"),
        (["validate", "{folder}", "--output", "default"], "--output cannot be used here"),
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
