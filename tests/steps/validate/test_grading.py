"""What was reached beside published figures."""

import pytest

from diapipe.steps.validate import BARS, grade
from diapipe.steps.validate.grading import GAUSS

NUMBERS = {
    "half_complete": {"value": 5.0, "low": 4.9, "high": 5.1},
    "completeness": {"all": {"value": 0.93, "low": 0.92, "high": 0.94, "n": 100, "n_of": 93}},
    "artefacts_per_real": 3.0,
    "bright": {"n": 50, "position_sigma_arcsec": 0.03, "position_sigma_arcsec_err": 0.004},
    "hostless": {"n": 3},
    "hosted": {"n": 60, "pull_sigma": 1.1, "pull_sigma_err": 0.05},
    "brighter_21": {"n": 60, "bias": -0.01, "bias_err": 0.002, "scatter": 0.01, "scatter_by_noise": 0.008},
    "expected_noise": 4.0,
    "n_unexplained": {"noise": 5},
}


def _found(numbers=NUMBERS):
    return {(one.bar.name, one.bar.source): one for one in grade(numbers)}


def test_each_bar_is_met_missed_or_not_known():
    """At least, at most, in absolute value; None where the data tell nothing."""
    met = {name: one.is_met for (name, _), one in _found().items()}
    assert met["S/N of 50% completeness"] is True
    assert met["artefacts for each real source, before any cut"] is True
    assert met["scatter of a coordinate above S/N 20"] is False
    assert met["bias of fluxes brighter than 21 mag"] is False
    assert met["scatter of fluxes brighter than 21 mag"] is True
    assert met["width of pulls without a host"] is None
    assert met["width of pulls on hosts"] is True
    assert met["purity above S/N 6"] is None


def test_one_number_has_two_bars():
    """A completeness of 93% is enough for the requirement and not for what DP1 reached."""
    found = _found()
    assert found["completeness above S/N 6", "Rubin DP1"].is_met is False
    assert found["completeness above S/N 6", "Rubin requirement"].is_met is True


def test_intervals_come_along():
    """Of a share its own, of a number with an error one sigma to either side."""
    found = _found()
    assert (found["S/N of 50% completeness", "Rubin DP1"].low, found["S/N of 50% completeness", "Rubin DP1"].high) == (
        4.9,
        5.1,
    )
    pulls = found["width of pulls on hosts", "Rubin DP1"]
    assert (pulls.low, pulls.high) == (pytest.approx(1.05), pytest.approx(1.15))
    places = found["scatter of a coordinate above S/N 20", "Rubin DP1"]
    assert (places.low, places.high) == (pytest.approx(0.026), pytest.approx(0.034))


@pytest.mark.parametrize(("n", "is_met"), [(0, True), (9, True), (10, False)])
def test_noise_is_what_chance_allows(n, is_met):
    """Of 4 expected, 9 or fewer come in 99 of 100 cases (Poisson: P(X <= 8) = 0.979, P(X <= 9) = 0.992)."""
    last = grade(NUMBERS | {"n_unexplained": {"noise": n}})[-1]
    assert last.bar.source == GAUSS
    assert last.is_met is is_met


def test_a_scatter_comes_with_what_noise_makes_of_it():
    """What claimed errors make alone stands beside; where they tell nothing, nothing does."""
    found = _found()
    assert found["scatter of fluxes brighter than 21 mag", "Rubin DP1"].by_noise == 0.008
    assert found["scatter of a coordinate above S/N 20", "Rubin DP1"].by_noise is None


def test_bars_are_in_order():
    """Every bar is graded once, in the order of the list, the noise last."""
    assert [one.bar for one in grade(NUMBERS)][:-1] == list(BARS)


def test_verdicts_within_the_error_are_close():
    """A limit inside the interval can go either way; without an interval nothing is said."""
    found = _found()
    assert found["S/N of 50% completeness", "Rubin DP1"].is_close
    assert not found["completeness above S/N 6", "Rubin DP1"].is_close
    assert not found["artefacts for each real source, before any cut", "Rubin DP1"].is_close
