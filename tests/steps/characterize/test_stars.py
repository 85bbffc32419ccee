"""The size of stars is found among whatever else there is."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from diapipe.steps.characterize.sources import Sources
from diapipe.steps.characterize.stars import StarSelection, typical_size

STAR_PX = 1.9


def sources(log_size: NDArray[np.float64]) -> Sources:
    """Round sources of S/N 100 and of these sizes."""
    n = len(log_size)
    zero, one = np.zeros(n), np.ones(n)
    no, yes = np.zeros(n, dtype=np.bool_), np.ones(n, dtype=np.bool_)
    return Sources(
        x=zero, y=zero, flux=100 * one, flux_err=one, peak=one, log_size=log_size, e1=zero, e2=zero,
        is_saturated=no, is_measured=yes,
    )  # fmt: skip


@pytest.mark.parametrize("n_stars", [5, 20, 200])
@pytest.mark.parametrize("n_galaxies", [0, 40])
def test_stars_are_the_smallest_things_that_crowd(n_stars: int, n_galaxies: int, rng: np.random.Generator) -> None:
    """Eight times as many galaxies, of half more size, scattered by 20%, do not move it by more than stars scatter."""
    stars = np.log(STAR_PX) + rng.normal(0, 0.02, n_stars)
    galaxies = np.log(1.5 * STAR_PX) + rng.normal(0, 0.2, n_galaxies)
    mixed = rng.permutation(np.concatenate([stars, galaxies]))
    size, n = typical_size(sources(mixed), options=StarSelection())
    assert n == n_stars + n_galaxies
    assert size == pytest.approx(STAR_PX, rel=0.06)


def test_hits_are_not_stars(rng: np.random.Generator) -> None:
    """Half as many cosmic rays, sharper than any optics and all alike, are passed over."""
    stars, hits = np.log(STAR_PX) + rng.normal(0, 0.02, 40), np.log(0.75) + rng.normal(0, 0.02, 20)
    size, _ = typical_size(sources(np.concatenate([stars, hits])), options=StarSelection())
    assert size == pytest.approx(STAR_PX, rel=0.02)


def test_no_sources_have_no_size() -> None:
    size, n = typical_size(sources(np.empty(0)), options=StarSelection())
    assert np.isnan(size)
    assert n == 0
