"""Peaks: found where ndimage finds maxima, kept where no brighter source explains them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from diapipe.numerics import components, peaks


def response(sigma: float = 2.0, size: int = 31) -> np.ndarray:
    y, x = np.mgrid[:size, :size] - size // 2
    return np.exp(-(x**2 + y**2) / (4 * sigma**2))


def kept(score, threshold=5.0, tolerance=0.1):
    runs = components.runs_above(score, threshold)
    found = peaks.find_peaks(score, runs)
    own = peaks.sources_among(
        found,
        cell_of=np.zeros(len(found), np.int64),
        responses=response()[None],
        threshold=threshold,
        tolerance=tolerance,
        shape=score.shape,
    )
    return found[own]


def blobs(*sources, shape=(80, 90), sigma=2.0):
    """Scores of point sources (x, y, amplitude)."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    image = np.zeros(shape)
    for x0, y0, amplitude in sources:
        image += amplitude * np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / (4 * sigma**2))
    return image.astype(np.float32)


def test_peaks_are_the_local_maxima(rng):
    """The maxima of |score| above threshold, sorted by significance."""
    score = ndimage.gaussian_filter(rng.standard_normal((120, 130)), 2.0)
    score = (score / score.std()).astype(np.float32)
    found = peaks.find_peaks(score, components.runs_above(score, 2.0))
    highest = ndimage.maximum_filter(score, 3) == score
    lowest = ndimage.minimum_filter(score, 3) == score
    assert len(found) == ((highest & (score > 2)) | (lowest & (score < -2))).sum()
    assert np.all(np.diff(np.abs(found[:, 2])) <= 0)


def test_vertex_of_a_smooth_peak():
    """The paraboloid finds the centre of a Gaussian of sigma 2.8 px to 0.02 px and its height to 0.2%."""
    found = kept(blobs((40.3, 30.4, 20.0)))
    assert found.shape == (1, 3)
    np.testing.assert_allclose(found[0, :2], [40.3, 30.4], atol=0.02)
    assert found[0, 2] == pytest.approx(20.0, rel=2e-3)


def test_two_transients_are_two():
    """Two sources five sigma of the PSF apart both stand, and keep their order of significance."""
    found = kept(blobs((30, 30, 20), (40, 30, 12)))
    np.testing.assert_allclose(found[:, 0], [30, 40], atol=0.5)


def test_noise_on_the_wing_of_a_bright_source_is_none():
    """A bump of 4 sigma on a wing of 7 sigma is a local maximum of 11 sigma, and yet no source."""
    wing = 0.01 * response(sigma=10.0, size=31)
    score = blobs((40, 40, 1000)) + 10 * blobs((40, 40, 1), sigma=10.0)
    score[40, 52] += 4.0
    runs = components.runs_above(score, 5.0)
    found = peaks.find_peaks(score, runs)
    own = peaks.sources_among(
        found,
        cell_of=np.zeros(len(found), np.int64),
        responses=(response() + wing)[None] / 1.01,
        threshold=5.0,
        tolerance=0.1,
        shape=score.shape,
    )
    assert own.tolist() == [True, False]
    assert found[1, 2] > 10


def test_a_peak_keeps_its_sign():
    """A negative source is found with a negative value, and not lost beside a positive one."""
    found = kept(blobs((20, 40, 15), (60, 40, -12)))
    np.testing.assert_allclose(found[:, 2], [15, -12], rtol=0.01)


def test_partners_are_opposite_and_near():
    """The lobes of a dipole are one; a source of the same sign, or far away, is nobody's partner."""
    found = np.array([[30, 30, 20.0], [35, 30, -15], [33, 34, 12], [70, 30, -10]])
    partner = peaks.opposite_partners(found, separation=8.0, shape=(80, 90))
    assert partner.tolist() == [1, -2, -1, -1]


def test_no_peaks():
    """Nothing in, nothing out."""
    assert len(kept(np.zeros((10, 10), np.float32))) == 0
    assert len(peaks.opposite_partners(np.empty((0, 3)), separation=5.0, shape=(10, 10))) == 0
