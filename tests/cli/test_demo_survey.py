"""The demo of a survey: its folder, its files, what it refuses, and the whole of it on a small one."""

from __future__ import annotations

import functools
import importlib

import numpy as np
import pytest

from diapipe.cli import demo_survey
from diapipe.cli.main import main
from diapipe.cli.survey_comparison import compare
from diapipe.cli.survey_files import SurveyFolder, claim, write_survey
from diapipe.errors import UsageError
from diapipe.io import read_exposure
from diapipe.numerics.stats import robust_sigma
from diapipe.simulate import SurveySpec, simulate_survey
from diapipe.tasks.survey_results import opened_survey

TINY = SurveySpec(width=120, height=100, n_nights=1, n_template_nights=0, n_stars=40, n_galaxies=10, n_transients=5)


def test_a_folder_belongs_to_one_survey(tmp_path):
    """The same again goes on; another seed or what somebody else put there is refused."""
    folder = SurveyFolder(tmp_path / "demo")
    assert not claim(folder, TINY, 1)
    assert claim(folder, TINY, 1)
    with pytest.raises(UsageError, match="another survey, of seed 1; give --overwrite"):
        claim(folder, TINY, 2)
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "thesis.tex").write_text("chapter 1")
    with pytest.raises(UsageError, match="no simulated survey of diapipe"):
        claim(SurveyFolder(tmp_path / "theirs"), TINY, 1)


def test_files_are_the_frames_and_are_made_once(tmp_path):
    """Pixels as simulated; a second call changes nothing; what a kill left out is made equal."""
    folder = SurveyFolder(tmp_path / "demo")
    claim(folder, TINY, 4)
    write_survey(folder, TINY, 4)
    survey = simulate_survey(TINY, rng=np.random.default_rng(4))
    assert len(folder.files) == len(survey.data_ids) == 8
    image = read_exposure(folder.files[5]).masked_image.image
    np.testing.assert_array_equal(image, survey.frame(2, 1).exposure.masked_image.image)
    made, fluxes = folder.files[0].stat().st_mtime_ns, folder.read_truth("fluxes")
    write_survey(folder, TINY, 4)
    assert folder.files[0].stat().st_mtime_ns == made
    folder.truth("fluxes").unlink()
    folder.files[3].unlink()
    write_survey(folder, TINY, 4)
    assert len(folder.files) == 8
    np.testing.assert_array_equal(folder.read_truth("fluxes")["flux"], fluxes["flux"])
    for name in ("stars", "galaxies", "objects", "visits", "trails"):
        folder.read_truth(name)


def test_reference_stars_are_constant_and_nearly_true(tmp_path):
    """None varies; fluxes are within five of their errors of 0.2%."""
    folder = SurveyFolder(tmp_path / "demo")
    claim(folder, TINY, 4)
    write_survey(folder, TINY, 4)
    from diapipe.io import read_parquet

    found, true = read_parquet(folder.reference), folder.read_truth("stars")
    chosen = true[np.asarray(found["id"])]
    assert not chosen["is_variable"].any()
    assert np.abs(found["r_flux"] / chosen["flux_r"] - 1).max() < 0.01


def test_without_the_middleware_it_says_what_can_be_done(tmp_path, capsys, monkeypatch):
    def missing(name):
        raise ImportError("diapipe.tasks needs the middleware of LSST, but there is no lsst.pex")

    monkeypatch.setattr(importlib, "import_module", missing)
    assert main(["demo", "--out", str(tmp_path / "demo")]) == 2
    assert "or give --pair for a demo of two images" in capsys.readouterr().err
    assert not (tmp_path / "demo").exists()


@pytest.mark.parametrize(("words", "said"), [(["--pair", "--cores", "2"], "--cores"), (["--size", "512"], "--size")])
def test_options_of_the_other_demo_are_refused(words, said, tmp_path, capsys):
    assert main(["demo", "--out", str(tmp_path / "demo"), *words]) == 2
    assert f"{said} belongs to" in capsys.readouterr().err


@pytest.mark.slow
def test_a_small_survey_from_raw_files_to_light_curves(tmp_path, capsys, monkeypatch):
    """One band, four nights, two detectors, two tracts, across RA = 0 and six minutes from the pole. Status 0, and
    everything lies where it says. Of the changes that were found on both later nights each is an object, and none is
    two. Pulls of the forced fluxes of transients have, within four standard errors, a median of 0 and a scatter of 1;
    these errors of a sample of n are 1.25/sqrt(n) and, from its quartiles, 1.17/sqrt(n).
    """
    small = functools.partial(
        SurveySpec,
        width=300,
        height=300,
        n_rows=1,
        bands=("r",),
        n_nights=4,
        n_template_nights=2,
        n_stars=300,
        n_galaxies=60,
        n_transients=160,
        flash_fraction=0.0,
        transient_min_snr=25.0,
        center_ra_deg=0.0,
        center_dec_deg=89.9,
    )
    monkeypatch.setattr(demo_survey, "SurveySpec", small)
    words = ["demo", "--out", str(tmp_path / "demo"), "--cores", "1"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "Rubin DP1" in said
    assert "objects seen twice are real" in said
    pages = [f"report/{page}.html" for page in ("index", "visits", "objects")]
    for name in (*pages, "repo/butler.yaml", "reference_stars.parquet", "survey.json"):
        assert (tmp_path / "demo" / name).exists(), name
    page = (tmp_path / "demo" / "report" / "index.html").read_text()
    assert "How the truth was recovered" in page
    assert "transient in the truth" in page
    with opened_survey(str(tmp_path / "demo" / "repo"), output="default") as results:
        found = compare(results, SurveyFolder(tmp_path / "demo"), progress=lambda stage: None).objects
    assert found.n_found == found.n_true >= 5
    assert found.n_double == 0
    pulls = found.pulls()[np.asarray(found.epochs["kind"]) == "transient"]
    assert len(pulls) >= 30
    assert abs(np.median(pulls)) < 4 * 1.25 / np.sqrt(len(pulls))
    assert abs(robust_sigma(pulls) - 1) < 4 * 1.17 / np.sqrt(len(pulls))
    assert main(words) == 0
    assert "0 ingested" in capsys.readouterr().out
