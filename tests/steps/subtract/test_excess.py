"""Noise of a difference beyond its claims: found where it is, not where it is not, whatever stands beside it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from diapipe.images import MaskPlane
from diapipe.numerics.whitening import noise_gain
from diapipe.steps.subtract.excess import excess_noise

SHAPE = (512, 512)
SIGMA = 2.5
BAD = int(MaskPlane.BAD)


def found(pixels: np.ndarray, variance: float = 1.0, mask: np.ndarray | None = None):
    planes = np.zeros(pixels.shape, np.int32) if mask is None else mask
    return excess_noise(
        pixels.astype(np.float32), planes, np.full(pixels.shape, variance, np.float32), BAD, psf_sigma_px=SIGMA
    )


def psf() -> np.ndarray:
    u = np.arange(-12, 13)
    image = np.exp(-0.5 * (u[:, None] ** 2 + u[None, :] ** 2) / SIGMA**2)
    return image / image.sum()


def test_honest_white_noise_is_left_alone(rng: np.random.Generator) -> None:
    """Nothing to correct: factor 1 and white, in each of five draws."""
    for _ in range(5):
        excess = found(rng.normal(size=SHAPE))
        assert (excess.variance_factor, excess.correlation) == (1.0, None)


def test_a_variance_that_claims_too_little(rng: np.random.Generator) -> None:
    """Ten per cent too little: found to 1.5%, four sigma of the median of 64 tiles of 4096 pixels; stays white."""
    excess = found(rng.normal(size=SHAPE) * np.sqrt(1.1))
    assert excess.variance_factor == pytest.approx(1.1 * 0.999, rel=0.015)
    assert excess.correlation is None


def test_a_variance_that_claims_too_much_is_kept(rng: np.random.Generator) -> None:
    """Identical images leave nothing: no reason to claim less than the inputs do."""
    assert found(rng.normal(size=SHAPE) * 0.5).variance_factor == 1.0
    assert found(np.zeros(SHAPE)).variance_factor == 1.0


def test_noise_that_could_not_be_made_white_may_be_less_than_claimed(rng: np.random.Generator) -> None:
    """Correlated as is said, a fifth less of it: found to 3%, four errors of the median of 64 tiles whose 4096 pixels
    count for half; its correlation stays.
    """
    kernel = np.outer(*2 * [np.array([0.5, 1.0, 0.5])])
    drawn = ndimage.convolve(rng.normal(size=SHAPE), kernel, mode="wrap")
    known = ndimage.convolve(np.pad(kernel, 2), kernel, mode="constant")[1:-1, 1:-1]
    known /= known[2, 2]
    pixels = (np.sqrt(0.8) * drawn / drawn.std()).astype(np.float32)
    ones, mask = np.ones(SHAPE, np.float32), np.zeros(SHAPE, np.int32)
    excess = excess_noise(pixels, mask, ones, BAD, psf_sigma_px=SIGMA, correlation=known)
    assert excess.variance_factor == pytest.approx(0.8, rel=0.03)
    np.testing.assert_array_equal(excess.correlation, known)


def test_what_faint_stars_leave_counts_in_fluxes(rng: np.random.Generator) -> None:
    """Noise of 0.15 that is as wide as the PSF: it adds 2% to the pixels and 2π σ² 0.022 = 0.86 to the variance of PSF
    fluxes, which the correlation tells to 15%; the scatter of real PSF fluxes is the slow twin.
    """
    faint = ndimage.gaussian_filter(rng.normal(size=SHAPE), SIGMA, mode="wrap")
    pixels = rng.normal(size=SHAPE) + 0.15 / faint.std() * faint
    excess = found(pixels)
    kernel = psf()
    fluxes = ndimage.convolve(pixels, kernel, mode="wrap") / np.sqrt((kernel**2).sum())
    assert noise_gain(kernel, excess.correlation) == pytest.approx(fluxes.var(), rel=0.15)
    assert fluxes.var() > 1.5


def test_a_few_residuals_are_not_the_noise_elsewhere(rng: np.random.Generator) -> None:
    """Halos on a fifth of the tiles and a masked quarter leave the variance and add up to 12% to that of fluxes: the
    median is the others' 63rd percentile, 0.04, and uncertain by 0.02.
    """
    pixels = rng.normal(size=SHAPE)
    for y, x in rng.integers(40, 470, (6, 2)):
        pixels[y - 15 : y + 16, x - 15 : x + 16] += 2.0
    mask = np.zeros(SHAPE, np.int32)
    mask[:256, :256] = BAD
    pixels[:256, :256] = np.nan
    excess = found(pixels, mask=mask)
    assert excess.variance_factor == 1.0
    assert excess.correlation is None or noise_gain(psf(), excess.correlation) < 1.12


def test_a_residual_that_scatters_from_tile_to_tile_counts(rng: np.random.Generator) -> None:
    """Noise as wide as the PSF, of 0.05 to 0.45 by tiles: half of the 16 have more than 0.15, which counts, though
    their own scatter makes the median uncertain by two thirds. A tile tells its square to a fifth, and so do two of 16.
    """
    shape = (256, 256)
    faint = ndimage.gaussian_filter(rng.normal(size=shape), SIGMA, mode="wrap")
    tiles = rng.permutation(np.geomspace(0.05, 0.45, 16)).reshape(4, 4)
    excess = found(rng.normal(size=shape) + np.kron(tiles, np.ones((64, 64))) / faint.std() * faint)
    assert noise_gain(psf(), excess.correlation) == pytest.approx(1.86, abs=4 * 0.2 * 0.86)


def test_small_and_empty_frames_tell_nothing(rng: np.random.Generator) -> None:
    """Too few tiles, no pixel: left alone."""
    for pixels in (3.0 * rng.normal(size=(60, 80)), np.full(SHAPE, np.nan)):
        excess = found(pixels)
        assert (excess.variance_factor, excess.correlation) == (1.0, None)
