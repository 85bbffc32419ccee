"""Shares, their intervals, and the rise of a share."""

import numpy as np
import pytest
from scipy import stats

from diapipe.numerics.proportions import binned_shares, fit_rise, share


@pytest.mark.parametrize(("n_of", "n"), [(3, 10), (0, 7), (7, 7), (180, 200)])
def test_interval_is_that_of_the_beta_distribution(n_of, n):
    """Ends are quantiles of Beta(k + 1/2, n - k + 1/2), but 0 where nothing and 1 where everything was chosen."""
    found = share(n_of, n, level=0.9)
    beta = stats.beta(n_of + 0.5, n - n_of + 0.5)
    assert found.value == n_of / n
    assert found.low == pytest.approx(0.0 if n_of == 0 else beta.ppf(0.05), abs=1e-12)
    assert found.high == pytest.approx(1.0 if n_of == n else beta.ppf(0.95), abs=1e-12)


def test_interval_holds_the_truth_as_often_as_it_says():
    """Over true shares from a half to 0.95 (a single one makes steps of few trials) the 68% interval holds in 68%."""
    rng = np.random.default_rng(1)
    truth = rng.uniform(0.5, 0.95, 4000)
    found = [share(int(k), 200) for k in rng.binomial(200, truth)]
    holds = np.array([s.low <= p <= s.high for s, p in zip(found, truth, strict=True)])
    assert holds.mean() == pytest.approx(0.6827, abs=4 * np.sqrt(0.6827 * 0.3173 / 4000))


def test_nothing_has_no_share():
    """No trials: not 0, but unknown."""
    assert np.isnan(share(0, 0)[2:]).all()


def test_bins_hold_their_lower_edge():
    """Values on an edge belong to the bin above; those outside to none."""
    found = binned_shares(
        np.array([0.0, 1.0, 1.5, 2.0, -1.0]), np.array([1, 0, 1, 1, 1], bool), np.array([0.0, 1.0, 2.0])
    )
    assert [(bin_.n_of, bin_.n) for bin_ in found] == [(1, 1), (1, 2)]


def test_rise_is_found_within_its_errors():
    """Over 60 samples of 1,500 trials the fitted parameters scatter by their errors about the truth."""
    truth = np.array([5.2, 1.0, 0.96])
    rng = np.random.default_rng(2)
    fits = []
    for _ in range(60):
        x = np.exp(rng.uniform(np.log(2.0), np.log(40.0), 1500))
        p = truth[2] * stats.norm.cdf((x - truth[0]) / truth[1])
        fits.append(fit_rise(x, rng.uniform(size=1500) < p))
    for k, true in enumerate(truth):
        value, error = (np.array([fit[2 * k + j] for fit in fits]) for j in (0, 1))
        pulls = (value - true) / error
        assert abs(pulls.mean()) < 4.0 / np.sqrt(60)
        # the scatter of 60 has an error of 1 / sqrt(2 * 59)
        assert pulls.std(ddof=1) == pytest.approx(1.0, abs=4.0 / np.sqrt(118))


@pytest.mark.parametrize("outcome", [np.ones(50, bool), np.zeros(50, bool)])
def test_trials_all_alike_tell_no_rise(outcome):
    """Everything or nothing was chosen: there is no place of one half."""
    assert np.isnan(fit_rise(np.linspace(1, 10, 50), outcome)).all()


def test_a_gap_between_found_and_missed_holds_the_half():
    """Where all below 4 were missed and all above 6 found, half lies between, with an error of the gap's size."""
    x = np.concatenate([np.linspace(1.0, 4.0, 12), np.linspace(6.0, 20.0, 30)])
    fit = fit_rise(x, x > 5.0)
    assert 4.0 < fit.half < 6.0
    assert 0.3 < fit.half_err < 3.0
    assert fit.width > 0.0
