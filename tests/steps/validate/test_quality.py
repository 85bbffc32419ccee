"""The quality of many differences is told as that of one: noise by pixels, all stars."""

import json
from dataclasses import replace

import numpy as np
import pytest
from test_validation import _judged

from diapipe.steps.validate import validate, validate_groups
from diapipe.steps.validate.quality import noise_numbers, star_numbers, star_table, together

EDGES = np.linspace(-6.0, 6.0, 49)


def _quality(*, n=10_000, sigma=1.0, lag=0.0, stars=400, chi2=1.0, left=0.0, seed=1):
    """Of one difference, as a summary has it."""
    rng = np.random.default_rng(seed)
    correlation = np.zeros((9, 9))
    correlation[4, 4], correlation[4, 5], correlation[4, 3] = 1.0, lag, lag
    scores = sigma * rng.normal(size=n)
    noise = {"n_pixels": n, "pixel_sigma": sigma, "lag1_x": lag, "lag1_y": 0.0, "score_mean": float(scores.mean())}
    noise |= {"score_sigma": float(scores.std()), "autocorrelation": correlation.tolist()}
    noise |= {"score_edges": EDGES.tolist(), "score_counts": np.histogram(scores, EDGES)[0].tolist()}
    magnitude = rng.uniform(18.0, 22.0, stars)
    error = 0.001 * 10 ** (0.4 * (magnitude - 18.0))
    told = {"n": stars, "magnitude_kind": "AB magnitude", "magnitude": magnitude.tolist()}
    told |= {"reduced_chi2": (chi2 + 0.05 * rng.normal(size=stars)).tolist(), "residual_fraction_err": error.tolist()}
    told |= {"residual_fraction": (left + error * rng.normal(size=stars)).tolist()}
    return {"noise": noise, "stars": told}


def test_noise_is_that_of_all_pixels():
    """The mean square of pixels, and correlations, weighted by how many there are; histograms add up."""
    one, other = _quality(sigma=1.0, lag=0.02), _quality(n=30_000, sigma=1.2, lag=-0.02, seed=2)
    both = together([one, other])
    found = noise_numbers(both["noise"])
    assert found["n_pixels"] == 40_000
    assert found["pixel_sigma"] == pytest.approx(np.sqrt(0.25 * 1.0 + 0.75 * 1.44))
    assert found["lag1_x"] == pytest.approx(0.25 * 0.02 - 0.75 * 0.02)
    assert found["largest_lag"] == pytest.approx(-0.01)
    assert sum(both["noise"]["score_counts"]) == sum(sum(part["noise"]["score_counts"]) for part in (one, other))
    assert noise_numbers(one["noise"])["largest_lag"] == 0.02


def test_what_one_difference_does_not_know_the_others_do():
    """A lag that has no pairs of pixels, or a score of nothing, takes no part: it made the whole survey's unknown."""
    one, other = _quality(sigma=1.0, lag=0.02), _quality(sigma=1.2, lag=-0.02, seed=2)
    one["noise"]["score_sigma"], one["noise"]["lag1_x"] = None, None
    one["noise"]["autocorrelation"][0][0] = None
    both = together([one, other])["noise"]
    assert (both["score_sigma"], both["lag1_x"]) == (other["noise"]["score_sigma"], other["noise"]["lag1_x"])
    assert np.isfinite(both["autocorrelation"]).all()
    assert both["pixel_sigma"] == pytest.approx(np.sqrt((1.0 + 1.44) / 2))


def test_stars_are_told_by_magnitude():
    """Medians of what was drawn: χ² to 4 of 1.25 σ/√n, what is left by its own error; claimed errors are true."""
    both = together([_quality(chi2=1.1, left=0.004), _quality(chi2=1.1, left=0.004, seed=5)])
    table = star_table(both["stars"])
    assert table["n"].sum() == 800
    assert table["from"].tolist() == [18.0, 18.5, 19.0, 19.5, 20.0, 20.5, 21.0, 21.5]
    for row in table:
        assert abs(row["chi2"] - 1.1) < 4 * 1.2533 * 0.05 / np.sqrt(row["n"])
        assert abs(row["left"] - 0.004) < 4 * row["left_err"]
    brightest = table[-1]  # of 4% each, what is left by the subtraction hardly shows in their scatter
    assert brightest["pull_sigma"] == pytest.approx(1.0, abs=4 * 1.1664 / np.sqrt(brightest["n"]))
    numbers = star_numbers(both["stars"])
    assert numbers["n"] == 800
    # S/N above 200: errors below 0.5%, up to magnitude 19.75
    assert numbers["n_bright"] == pytest.approx(800 * 1.75 / 4, abs=4 * np.sqrt(800 * 0.44 * 0.56))


def test_few_stars_and_none():
    """Bins of fewer than five tell nothing; a difference nobody looked at is no part; without any there is nothing."""
    assert len(star_table({})) == 0
    assert len(star_table(together([_quality(stars=4)])["stars"])) == 0
    silent = {"noise": {"n_pixels": 0, "pixel_sigma": None}, "stars": {"n": 0}}
    assert together([silent]) == {}
    assert together([silent, _quality()])["noise"]["n_pixels"] == 10_000


def test_a_survey_tells_it_of_all_bands_and_visits():
    """Rows of noise for each difference, of stars for each part; numbers beside the others; all of it JSON."""
    judged = [
        replace(_judged(50, seed=visit, name=str(visit)), visit=visit, quality=_quality(sigma=visit, seed=visit))
        for visit in (1, 2)
    ]
    found = validate_groups(judged)
    assert found.noise["visit"].tolist() == [1, 2]
    assert found.noise["pixel_sigma"].tolist() == [1.0, 2.0]
    assert set(found.stars["visit"]) == {-1, 1, 2}
    plain = json.loads(json.dumps(found.plain))
    assert plain["noise"]["pixel_sigma"] == pytest.approx(np.sqrt(2.5))
    assert plain["visits"]["2"]["noise"]["pixel_sigma"] == 2.0
    assert plain["quality"]["stars"]["n"] == 800
    assert plain["star_bins"]
    unknown = validate([_judged(50)])
    assert unknown.numbers["noise"] is None
    assert (len(unknown.noise), len(unknown.stars)) == (0, 0)
