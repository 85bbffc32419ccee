"""What the outcomes of many sources add up to."""

import json

import numpy as np
import pytest
from astropy.table import Table
from scipy import stats

from diapipe.errors import InputError
from diapipe.steps.validate import CAUSES, Judged, validate

RELATIVE = 0.01


def _judged(n=2000, *, seed=1, half=5.0, bias=0.0, pull_sigma=1.0, unit="nJy", name="one", shift=0.0):
    """Outcomes drawn by hand: found with probability Φ(S/N - half), fluxes with errors of flux / snr."""
    rng = np.random.default_rng(seed)
    snr = np.exp(rng.uniform(np.log(2.0), np.log(200.0), n))
    flux = 20.0 * snr
    found = rng.uniform(size=n) < stats.norm.cdf(snr - half)
    error = np.full(n, 20.0)
    measured = flux * (1.0 + bias) + pull_sigma * error * rng.normal(size=n)
    truth = Table(
        {
            "flux": flux,
            "kind": np.where(rng.uniform(size=n) < 0.3, "hosted", "hostless"),
            "static_flux": flux * 10.0 ** rng.uniform(-2, 2, n),
            "snr_true": snr,
            "is_usable": np.ones(n, bool),
            "is_good": found,
            "diaSourceId": np.where(found, np.arange(1, n + 1), 0),
            "measured": np.where(found, measured, np.nan),
            "measured_err": np.where(found, error, np.nan),
            "dx": np.where(found, shift + 0.1 * rng.normal(size=n), np.nan),
            "dy": np.where(found, 0.1 * rng.normal(size=n), np.nan),
        }
    )
    truth["flux"].unit = unit
    sources = Table(
        {
            "diaSourceId": np.arange(1, 101),
            "x": np.zeros(100),
            "y": np.zeros(100),
            "snr": np.where(np.arange(100) < 50, 5.5, 12.0),
            "dp_bad": np.arange(100) % 10 == 0,
            "is_true": np.arange(100) % 10 != 1,
            "cause": np.where(np.arange(100) % 20 == 1, "noise", "bright star"),
        }
    )
    return Judged(
        truth=truth,
        sources=sources,
        area_deg2=0.5,
        pixel_scale_arcsec=0.2,
        n_expected_noise=3.0,
        name=name,
        band="r",
    )


def test_completeness_is_that_of_the_draw():
    """50% at the S/N put in, within three of its errors; the share above S/N 6 is the mean of Φ(S/N - 5) there."""
    found = validate([_judged()])
    half = found.numbers["half_complete"]
    error = 0.5 * (half["high"] - half["low"])
    assert abs(half["value"] - 5.0) < 3 * error
    assert error < 0.15
    # mag of S/N 5: 100 nJy
    assert found.numbers["half_complete_mag"]["value"] == pytest.approx(31.4 - 2.5 * np.log10(100.0), abs=0.05)
    snr = np.exp(np.linspace(np.log(6.0), np.log(200.0), 1000))
    expected = stats.norm.cdf(snr - 5.0).mean()
    share = found.numbers["completeness"]["all"]
    assert share["value"] == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / share["n"]))
    kinds = found.numbers["completeness"]
    assert kinds["hosted"]["n"] + kinds["hostless"]["n"] == kinds["all"]["n"]


def test_scale_of_fluxes_comes_with_its_error():
    """Over 100 samples the error of the mean is true: pulls of mean 0 and width 1, of sigma 0.1 and 0.07. One flux that
    is wrong altogether changes nothing.
    """
    pulls = []
    for seed in range(100):
        judged = _judged(200, seed=seed, bias=0.003)
        brightest = np.argmax(np.nan_to_num(judged.truth["measured"]))
        judged.truth["measured"][brightest] *= 3.0
        found = validate([judged]).numbers["flux_scale"]
        pulls.append((found["bias"] - 0.003) / found["bias_err"])
    assert abs(np.mean(pulls)) < 4 * 0.1
    assert abs(np.std(pulls) - 1.0) < 4 * 0.07


def test_unusable_places_do_not_count():
    """Where pixels tell nothing, nothing can be missed."""
    judged = _judged()
    judged.truth["is_usable"] = np.arange(2000) % 2 == 0
    assert validate([judged]).numbers["n_true"] == 1000


def test_bins_hold_all_that_is_in_them():
    """Rows of the table sum to the numbers of the truth, for S/N and for magnitude, each kind and all."""
    found = validate([_judged()])
    snr = np.abs(found.truth["snr_true"])
    for by, inside in (("snr", snr >= 3.0), ("mag", snr > 0)):
        rows = found.completeness[(found.completeness["by"] == by) & (found.completeness["kind"] == "all")]
        assert rows["n"].sum() == inside.sum()
        assert rows["n_found"].sum() == (inside & found.truth["is_good"]).sum()
        parts = found.completeness[(found.completeness["by"] == by) & (found.completeness["kind"] != "all")]
        assert parts["n"].sum() == inside.sum()


def test_uncalibrated_fluxes_have_no_magnitudes():
    """Counts make no magnitudes: none are told."""
    found = validate([_judged(unit="adu")])
    assert "half_complete_mag" not in found.numbers
    assert set(found.completeness["by"]) == {"snr"}


def test_biases_and_pulls_are_those_put_in():
    """A bias of 5%, pulls 1.3 times too wide, a shift of 0.3 px of 0.2″: each is found within four of its errors."""
    numbers = validate([_judged(20000, bias=0.05, shift=0.3, pull_sigma=1.3)]).numbers
    bright = numbers["bright"]
    assert abs(bright["bias"] - 0.05) < 4 * bright["bias_err"]
    assert bright["dx_arcsec"] == pytest.approx(0.06, abs=4 * 1.2533 * 0.02 / np.sqrt(bright["n"]))
    assert abs(bright["position_sigma_arcsec"] - 0.02) < 4 * bright["position_sigma_arcsec_err"]
    assert bright["position_sigma_arcsec_err"] == pytest.approx(0.02 * 1.1664 / np.sqrt(2 * bright["n"]), rel=0.1)
    unbiased = validate([_judged(20000, pull_sigma=1.3)]).numbers
    for kind in ("hostless", "hosted"):
        assert abs(unbiased[kind]["pull_sigma"] - 1.3) < 4 * unbiased[kind]["pull_sigma_err"]
        assert abs(unbiased[kind]["pull_mean"]) < 4 * unbiased[kind]["pull_mean_err"] + 0.02


def test_trails_do_not_count_for_half_of_the_points():
    """Their S/N is that of all their light, of which a filter for points sees a part."""
    points, trails = _judged(20000), _judged(5000, seed=2, half=8.0)
    trails.truth["kind"] = "trailed"
    alone, both = validate([points]).numbers, validate([points, trails]).numbers
    for name in ("half_complete", "half_complete_mag"):
        assert both[name] == pytest.approx(alone[name])
    assert both["completeness"]["all"]["n"] > alone["completeness"]["all"]["n"]


def test_a_star_that_varies_is_not_without_a_host():
    """What the match leaves of the star is in its pull, as of a host."""
    sky, stars = _judged(5000), _judged(5000, seed=2, pull_sigma=3.0)
    stars.truth["kind"] = "variable"
    numbers = validate([sky, stars]).numbers
    assert numbers["hostless"] == validate([sky]).numbers["hostless"]
    assert abs(numbers["variable"]["pull_sigma"] - 3.0) < 4 * numbers["variable"]["pull_sigma_err"]


def test_accuracy_is_told_by_bins():
    """Every found point is in one bin of S/N and in one of static light; errors are those of medians."""
    found = validate([_judged()])
    points = np.isfinite(found.truth["measured"]) & found.truth["is_good"]
    for by, inside in (("snr", found.truth["snr_true"] >= 3.0), ("host", True)):
        rows = found.accuracy[found.accuracy["by"] == by]
        assert rows["n"].sum() == (points & inside).sum()
    row = found.accuracy[(found.accuracy["by"] == "snr") & (found.accuracy["from"] == 20.0)][0]
    assert row["pull_mean_err"] == pytest.approx(1.2533 * row["pull_sigma"] / np.sqrt(row["n"]))


def test_sources_are_counted_by_cause():
    """Good sources that nothing true explains, over the area of all differences; purity only where the truth is all."""
    found = validate([_judged(), _judged(name="two", seed=2)]).numbers
    assert found["n_sources"] == 180
    assert found["n_flagged"] == 20
    assert found["n_unexplained"] == dict.fromkeys(CAUSES, 0) | {"noise": 10, "bright star": 10}
    assert found["unexplained_per_deg2"]["noise"] == 10.0
    assert found["expected_noise"] == 6.0
    assert "purity" not in found
    assert found["artefacts_per_real"] is None  # what was not injected may be real, and how many were is our choice
    whole = validate([_judged()], truth_is_all=True).numbers
    assert whole["artefacts_per_real"] == 10 / 90
    purity = whole["purity"]
    assert (purity["all"]["n_of"], purity["all"]["n"]) == (80, 90)
    assert (purity["snr > 6"]["n_of"], purity["snr > 6"]["n"]) == (40, 45)


def test_numbers_are_plain():
    """They can be written as JSON without NaN, also where there is too little to tell."""
    few = _judged(3)
    for judged in ([_judged()], [few]):
        json.dumps(validate(judged).plain, allow_nan=False)
    assert validate([few]).numbers["half_complete"]["value"] is None


def test_rows_tell_their_difference():
    """The tables of all differences stand together, each row with its name."""
    found = validate([_judged(10), _judged(20, name="two")])
    assert np.unique(found.truth["name"], return_counts=True)[1].tolist() == [10, 20]


def test_nothing_cannot_be_validated():
    """No difference, no numbers."""
    with pytest.raises(InputError, match="no difference to validate"):
        validate([])
