"""PSF fits: unbiased, with honest errors, on any sub-pixel position, with masked pixels and correlated noise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from diapipe.numerics import psf_photometry
from diapipe.numerics.psf_photometry import CHI2, COVERAGE, FLUX, FLUX_VARIANCE, N_USED, STATUS, XX, YY, X, Y
from diapipe.numerics.shifting import shift_stacks, shift_stamp

CELL, N_SIDE = 40, 20


def asymmetric_psf(size: int = 25) -> np.ndarray:
    y, x = np.mgrid[:size, :size] - size // 2
    image = np.exp(-0.5 * ((x / 1.7) ** 2 + (y / 2.0) ** 2))
    image += 0.3 * np.exp(-0.5 * (((x - 1.5) / 1.6) ** 2 + ((y + 1) / 1.7) ** 2))
    return image / image.sum()


PSF = asymmetric_psf()


def field(rng, flux, *, noise):
    """Sources on a grid at random sub-pixel positions in the given noise; positions and the planes."""
    y, x = (v.ravel() + 0.0 for v in np.mgrid[:N_SIDE, :N_SIDE] * CELL + CELL // 2)
    x, y = x + rng.uniform(-0.5, 0.5, len(x)), y + rng.uniform(-0.5, 0.5, len(y))
    image = np.array(noise)
    for x0, y0 in zip(x, y, strict=True):
        column, row = int(np.floor(x0 + 0.5)), int(np.floor(y0 + 0.5))
        image[row - 12 : row + 13, column - 12 : column + 13] += flux * shift_stamp(PSF, dx=x0 - column, dy=y0 - row)
    return x, y, image.astype(np.float32)


def fit(image, x, y, *, mask=None, variance=100.0, flux=1.0, **options):
    n = len(x)
    return psf_photometry.fit_point_sources(
        image,
        np.zeros(image.shape, np.int32) if mask is None else mask,
        np.full(image.shape, variance, np.float32),
        bits=1,
        nodes=PSF[None],
        index=np.zeros((n, 1), np.int64),
        weights=np.ones((n, 1)),
        half=9,
        x=x,
        y=y,
        signs=np.full(n, np.sign(flux)),
        **options,
    )


def assert_honest(pulls, *, bias=0.0):
    """Mean 0 and width 1 within four sigma of their own errors, 1/sqrt(n) and 1/sqrt(2n)."""
    n = len(pulls)
    assert abs(np.mean(pulls) - bias) < 4 / np.sqrt(n)
    assert abs(np.std(pulls) - 1) < 4 / np.sqrt(2 * n)


@pytest.mark.parametrize("flux", [3000.0, -3000.0])
def test_forced_flux_pulls(rng, flux):
    """At the true position: F is unbiased with the claimed error, and χ² is that of its degrees of freedom."""
    x, y, image = field(rng, flux, noise=rng.normal(0, 10, (800, 800)))
    found = fit(image, x, y, flux=flux)
    assert_honest((found[:, FLUX] - flux) / np.sqrt(found[:, FLUX_VARIANCE]))
    assert found[:, N_USED].min() == 19**2
    assert found[:, CHI2].mean() == pytest.approx(360, abs=4 * np.sqrt(2 * 360 / 400))


@pytest.mark.parametrize("flux", [4000.0, -4000.0])
def test_centroid_pulls(rng, flux):
    """From a start 0.4 px off: positions unbiased with the claimed errors, whatever the PSF's asymmetry."""
    x, y, image = field(rng, flux, noise=rng.normal(0, 10, (800, 800)))
    found = fit(image, x + 0.3, y - 0.25, flux=flux, max_shift=2.5)
    assert np.all(found[:, STATUS] == psf_photometry.FITTED)
    assert_honest((found[:, X] - x) / np.sqrt(found[:, XX]))
    assert_honest((found[:, Y] - y) / np.sqrt(found[:, YY]))


def test_masked_pixels_do_not_count(rng):
    """A tenth of all pixels holds 1e6 and is masked: fluxes stay unbiased, their errors grow to match."""
    x, y, image = field(rng, 3000.0, noise=rng.normal(0, 10, (800, 800)))
    mask = (rng.random(image.shape) < 0.1).astype(np.int32)
    image[mask > 0] = 1e6
    found = fit(image, x, y, mask=mask)
    assert_honest((found[:, FLUX] - 3000) / np.sqrt(found[:, FLUX_VARIANCE]))
    assert found[:, COVERAGE].mean() == pytest.approx(0.9, abs=0.01)


def test_correlated_noise_is_in_the_error(rng):
    """Noise smoothed by a kernel: with its autocorrelation given the pulls have unit width; without they have not."""
    kernel = np.array([[0.0, 0.3, 0.0], [0.3, 1.0, 0.3], [0.0, 0.3, 0.0]])
    kernel /= np.sqrt((kernel**2).sum())
    rho = np.zeros((5, 5))
    padded = np.pad(kernel, 2)
    for j in range(5):
        for i in range(5):
            rho[j, i] = (padded[j : j + 3, i : i + 3] * kernel).sum()
    noise = ndimage.convolve(rng.normal(0, 10, (800, 800)), kernel, mode="wrap")
    x, y, image = field(rng, 6000.0, noise=noise)
    known = fit(image, x + 0.2, y, max_shift=2.0, correlation=rho)
    assert_honest((known[:, X] - x) / np.sqrt(known[:, XX]))
    forced, naive = fit(image, x, y, correlation=rho), fit(image, x, y)
    assert_honest((forced[:, FLUX] - 6000) / np.sqrt(forced[:, FLUX_VARIANCE]))
    assert np.std((naive[:, FLUX] - 6000) / np.sqrt(naive[:, FLUX_VARIANCE])) > 1.5


def test_moves_the_psf_as_the_slow_twin(rng):
    """The compiled shift equals `shift_stamp` wherever that has the whole image."""
    dx, dy = np.array([0.0, 0.3, -1.7, 0.5]), np.array([0.0, -0.45, 2.2, 0.5])
    out = np.empty((4, 1, 15, 15))
    shift_stacks(PSF[None, None], np.zeros(4, np.int64), dx, dy, out)
    for k in range(4):
        np.testing.assert_allclose(out[k, 0], shift_stamp(PSF, dx=dx[k], dy=dy[k])[5:20, 5:20], atol=1e-12)


def test_runaway_and_hopeless_positions_keep_the_start(rng):
    """Pure noise of the wrong sign, NaN positions, masked stamps: the given position, a flag, no crash."""
    image = np.full((60, 60), -5.0, np.float32)
    mask = np.zeros(image.shape, np.int32)
    mask[30:, :] = 1
    found = fit(image, np.array([15.2, 15.0, np.nan]), np.array([12.3, 52.0, 5.0]), mask=mask, max_shift=2.0)
    assert found[:, STATUS].tolist() == [psf_photometry.NOT_FITTED, psf_photometry.NO_PIXELS, psf_photometry.NO_PIXELS]
    assert found[0, [X, Y]].tolist() == [15.2, 12.3]
    assert np.isnan(found[1:, FLUX]).all()
