"""Forced fluxes on a difference as the flow makes it: where nothing is, where something was put, where stars stay."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.forced_pulls import pulls_of


@pytest.fixture(scope="module")
def pulls():
    """Pulls and S/N by kind, of one simulated pair."""
    return pulls_of(16)


@pytest.mark.parametrize(("kind", "low", "high"), [("empty", 0, 1), ("added", 5, 60), ("constant stars", 0, 1e9)])
def test_pulls_are_those_of_honest_errors(pulls, kind, low, high):
    """Mean 0 within 0.05 and width between 0.95 and 1.08, and four of the sample's own errors beyond."""
    pull, snr = pulls[kind].T
    some = pull[(snr >= low) & (snr < high)]
    n = len(some)
    assert n > 100
    assert abs(some.mean()) < 0.05 + 4.0 / np.sqrt(n)
    assert 0.95 - 4.0 / np.sqrt(2 * n) < some.std() < 1.08 + 4.0 / np.sqrt(2 * n)


def test_bright_sources_have_the_errors_of_the_models(pulls):
    """What the PSF model leaves of sources of S/N above 60 is common to an image: one draw, so rms within 2."""
    pull, snr = pulls["added"].T
    assert 0.5 < np.sqrt(np.mean(pull[snr > 60.0] ** 2)) < 2.0
    assert snr[snr > 60.0].size > 100
