"""The variance of a coadd is the scatter of its pixels, and its covariance that of their sums."""

from __future__ import annotations

import numpy as np
import pytest

from coadd_scenes import NO_STARS, NOISE, PATCH, SIDE, masked, stacked, visit_of, warped
from diapipe.images import MaskPlane
from diapipe.steps.coadd import COADDERS, ClippedCoadder, MeanCoadder

N = 5
FIELDS = 3
NOISES = (20.0, 30.0, 30.0, 40.0, 60.0)
BLOCK = 6


def noise_only(rng, *, more=None, coadder=None, box=PATCH):
    """A coadd of noise of different depth."""
    visits = [visit_of(k, NO_STARS, rng=rng, noise=NOISES[k], more=(more or {}).get(k)) for k in range(N)]
    return stacked([warped(v) for v in visits], coadder or MeanCoadder())


def block_sums(values):
    n = SIDE // BLOCK
    return values[: n * BLOCK, : n * BLOCK].reshape(n, BLOCK, n, BLOCK).sum(axis=(1, 3))


@pytest.mark.parametrize("name", COADDERS)
def test_the_variance_is_the_scatter(rng, name):
    """Five visits of different depth, three times: pixels to 5% (their error is 1%: 270,000 pixels, every tenth for
    itself), and sums over 6 x 6 pixels, which are (Σ C) times as noisy as independent ones, to 5% (7,500 sums: 1.6%).
    """
    pulls, sums, claimed = [], [], []
    for _ in range(FIELDS):
        made = noise_only(rng, coadder=COADDERS[name]())
        planes, correlation = made.exposure.masked_image, made.exposure.noise_correlation
        pulls.append(planes.image**2 / planes.variance)
        sums.append(block_sums(planes.image))
        half = correlation.shape[0] // 2
        lag = np.arange(-half, half + 1)
        shared = np.clip(BLOCK - np.abs(lag), 0, None)
        factor = (correlation * shared[:, None] * shared).sum() / BLOCK**2
        claimed.append(block_sums(planes.variance) * factor)
    assert np.mean(pulls) == pytest.approx(1.0, abs=0.05)
    assert np.mean(np.square(sums)) / np.mean(claimed) == pytest.approx(1.0, abs=0.05)
    assert correlation.sum() > 1.2  # of interpolated noise: the test would not see a forgotten one otherwise


def test_the_deeper_counts_more(rng):
    """Weights of 1/σ²: the coadd is as deep as Σ 1/σ² allows, to 3%; uniform ones are worse."""
    best = 1.0 / sum(1.0 / sigma**2 for sigma in NOISES)
    correlated = noise_only(rng).exposure
    depth = float(np.mean(correlated.masked_image.variance)) * correlated.noise_correlation.sum()
    assert depth == pytest.approx(best, rel=0.03)
    uniform = noise_only(rng, coadder=MeanCoadder(weighting="uniform")).exposure
    assert np.mean(uniform.masked_image.variance) * uniform.noise_correlation.sum() > 1.2 * best


def test_where_one_is_left_out_the_others_make_the_variance(rng):
    """A square that is bad in one visit: there pixels scatter as the plane says, to 6% (four sigma of its pixels)."""
    y, x = np.mgrid[: SIDE + 60, : SIDE + 60]
    hole = (abs(y - 180) < 60) & (abs(x - 180) < 60)
    visits = [visit_of(k, NO_STARS, rng=rng, noise=NOISE) for k in range(3)]
    visits[0] = masked(visits[0], hole, MaskPlane.BAD)
    made = stacked([warped(v) for v in visits], ClippedCoadder())
    planes = made.exposure.masked_image
    inside = made.n_images == 2
    assert inside.sum() > 10_000
    assert np.mean(planes.image[inside] ** 2 / planes.variance[inside]) == pytest.approx(1.0, abs=0.06)
    assert np.median(planes.variance[inside]) / np.median(planes.variance[~inside]) == pytest.approx(1.5, rel=0.08)


def test_noise_is_not_clipped(rng):
    """At 5 sigma there is next to nothing in noise alone: less than 0.2% of the pixels, grown regions included."""
    made = noise_only(rng, coadder=ClippedCoadder())
    assert max(made.clipped_share.values()) < 0.002
