"""Resampling: against the slow twin, and against the scatter of noise."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.images import Box
from diapipe.images.pixel_map import PixelMap
from diapipe.numerics.holes import fill_holes
from diapipe.numerics.interpolant import LANCZOS, Interpolant, lanczos_weights, wiener_weights
from diapipe.numerics.resample import SIGNIFICANT, Planes, SourceGrid, resample
from diapipe.numerics.resample_noise import resampled_noise_correlation

NO_DATA, BAD, DETECTED = 256, 1, 32
WIENER = Interpolant(blur_px=0.5)


def affine_map(matrix, offset, shape):
    def positions(x, y):
        return matrix[0][0] * x + matrix[0][1] * y + offset[0], matrix[1][0] * x + matrix[1][1] * y + offset[1]

    return positions, PixelMap.sampled(positions, Box.from_shape(shape))


def grid_of(pixel_map):
    return SourceGrid(pixel_map.x, pixel_map.y, pixel_map.area_at_nodes(), pixel_map.x0, pixel_map.y0, pixel_map.step)


def rotated(degrees, scale, shape, offset=(3.3, -2.6), flip=1.0):
    c, s = scale * np.cos(np.radians(degrees)), scale * np.sin(np.radians(degrees))
    return affine_map([[c, -s * flip], [s, c * flip]], offset, shape)


def planes(image, variance=1.0, mask=0):
    return Planes(
        image.astype(np.float32),
        np.broadcast_to(np.float32(variance), image.shape).astype(np.float32),
        np.broadcast_to(np.int32(mask), image.shape).astype(np.int32),
    )


def slow_twin(source, hole, positions, area, shape, interpolant, max_hole_share=0.04):
    """The formulas of the module, pixel by pixel, with weights from their formula."""
    image, variance = fill_holes(source.image, source.variance, hole)
    out = Planes(np.full(shape, np.nan), np.full(shape, np.nan), np.full(shape, NO_DATA, np.int32))
    for row in range(shape[0]):
        for column in range(shape[1]):
            x, y = positions(float(column), float(row))
            j, i = int(np.floor(y)), int(np.floor(x))
            around = (image + variance)[max(j, 0) : j + 2, max(i, 0) : i + 2]
            if j >= 0 and i >= 0 and around.shape == (2, 2) and not np.isfinite(around).any():
                out.mask[row, column] |= source.mask[int(np.floor(y + 0.5)), int(np.floor(x + 0.5))]
                continue
            pixels_x, weights_x = taps(x, interpolant)
            pixels_y, weights_y = taps(y, interpolant)
            value = spread = kept = total = absent = lost = 0.0
            bits = hole_bits = 0
            for j, wy in zip(pixels_y, weights_y, strict=True):
                for i, wx in zip(pixels_x, weights_x, strict=True):
                    w = wx * wy
                    total += w**2
                    if not (0 <= j < image.shape[0] and 0 <= i < image.shape[1]):
                        absent += w**2
                        continue
                    if hole[j, i] and abs(w) > 1e-6:
                        hole_bits |= int(source.mask[j, i]) or NO_DATA
                    if not np.isfinite(image[j, i] + variance[j, i]):
                        absent += w**2
                        continue
                    if hole[j, i]:
                        lost += w**2
                    elif min(wx, wy) >= SIGNIFICANT / interpolant.stretch:
                        bits |= int(source.mask[j, i])
                    value, spread, kept = value + w * image[j, i], spread + w**2 * variance[j, i], kept + w
            if absent > max_hole_share * total:
                out.mask[row, column] = bits | hole_bits | NO_DATA
                continue
            out.image[row, column], out.variance[row, column] = area * value / kept, area**2 * spread / kept**2
            out.mask[row, column] = bits | (hole_bits if absent + lost > max_hole_share * total else 0)
    return out


def taps(position, interpolant):
    half = int(np.ceil(3 * interpolant.stretch))
    whole, pixels = int(np.floor(position)), np.arange(1 - half, half + 1)
    fraction = position - whole
    if interpolant.stretch > 1:
        t = (fraction - pixels) / interpolant.stretch
        weights = np.where(np.abs(t) < 3, np.sinc(t) * np.sinc(t / 3), 0.0)
        return whole + pixels, weights / weights.sum()
    if interpolant.blur_px is None:
        return whole + pixels, lanczos_weights(fraction)
    return whole + pixels, wiener_weights(fraction, interpolant.blur_px)


@pytest.mark.parametrize(
    ("interpolant", "degrees", "scale", "flip"),
    [
        (LANCZOS, 0.0, 1.0, 1.0),
        (LANCZOS, 2.0, 1.01, 1.0),
        (WIENER, 0.3, 1.0, 1.0),
        (WIENER, 40.0, 0.6, -1.0),
        (Interpolant(stretch=1.7), 10.0, 1.7, 1.0),
    ],
)
@pytest.mark.parametrize("with_holes", [False, True])
def test_slow_twin(rng, interpolant, degrees, scale, flip, with_holes):
    """Image and variance agree with the twin to float32's precision, the mask exactly; outside is NO_DATA."""
    shape = (44, 52)
    source = planes(
        rng.normal(100, 10, shape), rng.uniform(50, 150, shape), np.where(rng.uniform(size=shape) < 0.1, DETECTED, 0)
    )
    hole = np.zeros(shape, bool)
    if with_holes:
        hole = rng.uniform(size=shape) < 0.02
        hole[:, 36], hole[20:29, 10:22] = True, True
        source.mask[hole] |= BAD
        source.image[22:27, 12:20] = np.nan
    positions, pixel_map = rotated(degrees, scale, shape, flip=flip, offset=(3.3, 40.4 if flip < 0 else -2.6))
    fast = resample(source, hole, grid_of(pixel_map), shape=shape, interpolant=interpolant, no_data=NO_DATA)
    slow = slow_twin(source, hole, positions, scale**2, shape, interpolant)
    assert np.isfinite(slow.image).mean() > 0.3
    np.testing.assert_allclose(fast.image, slow.image, rtol=1e-5, atol=2e-4)
    np.testing.assert_allclose(fast.variance, slow.variance, rtol=2e-5)
    assert np.array_equal(fast.mask, slow.mask)


def test_threads_change_nothing(rng):
    """The result is the same to the bit for any number of threads."""
    shape = (600, 70)
    _, pixel_map = rotated(0.1, 1.0, shape)
    source, hole = planes(rng.normal(size=shape)), rng.uniform(size=shape) < 0.01
    one, two = (
        resample(source, hole, grid_of(pixel_map), shape=shape, interpolant=WIENER, no_data=NO_DATA, n_threads=n)
        for n in (1, 2)
    )
    for a, b in zip(one, two, strict=True):
        assert np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


def test_positions_without_a_source_are_no_data():
    """Nodes that are NaN or far away give NaN and NO_DATA, without an error."""
    shape = (64, 64)
    _, pixel_map = affine_map([[1, 0], [0, 1]], (1e5, 0.0), shape)
    pixel_map.x[:, :2] = np.nan
    none = np.zeros(shape, bool)
    out = resample(planes(np.ones(shape)), none, grid_of(pixel_map), shape=shape, interpolant=LANCZOS, no_data=NO_DATA)
    assert np.isnan(out.image).all()
    assert np.isnan(out.variance).all()
    assert np.all(out.mask == NO_DATA)


def test_a_bad_column_costs_what_it_must(rng):
    """Shifted by half a pixel, a bad column flags the two columns that lean on it, and no other pixel."""
    shape = (50, 50)
    source = planes(np.full(shape, 7.0))
    hole = np.zeros(shape, bool)
    hole[:, 25] = True
    source.image[hole], source.mask[hole] = 1e6, BAD
    _, pixel_map = affine_map([[1, 0], [0, 1]], (0.5, 0.0), shape)
    out = resample(source, hole, grid_of(pixel_map), shape=shape, interpolant=LANCZOS, no_data=NO_DATA)
    inner = out.mask[5:-5, 5:-5]
    assert np.array_equal(np.flatnonzero((inner == BAD).all(axis=0)) + 5, [24, 25])
    assert np.count_nonzero(inner) == 2 * inner.shape[0]
    np.testing.assert_allclose(out.image[5:-5, 5:-5], 7.0, rtol=1e-5)


@pytest.fixture(scope="module")
def realisations():
    """Resampled white noise of variance 4: 400 images for each of three interpolants, with what is predicted."""
    rng = np.random.default_rng(5)
    shape, results = (56, 56), []
    none = np.zeros(shape, bool)
    for interpolant, scale in ((LANCZOS, 1.0), (WIENER, 1.0), (Interpolant(stretch=1.5), 1.5)):
        positions, pixel_map = rotated(0.7, scale, (30, 30), offset=(6.4, 5.7))
        images = []
        for _ in range(400):
            source = planes(rng.normal(0, 2, shape), 4.0)
            out = resample(source, none, grid_of(pixel_map), shape=(30, 30), interpolant=interpolant, no_data=NO_DATA)
            images.append(out.image)
        y, x = np.mgrid[:30, :30].astype(float)
        correlation = resampled_noise_correlation(
            *(grid.ravel() for grid in positions(x, y)), pixel_map.mean_affine, interpolant, half=4
        )
        results.append((np.array(images, dtype=float), out.variance, correlation))
    return results


def test_variance_is_the_scatter(realisations):
    """The variance plane is the realisations' scatter: 400 x 900 values, 300 of 900 independent."""
    for images, variance, _ in realisations:
        ratio = (images**2).mean(axis=0) / variance
        assert abs(ratio.mean() - 1) < 4 * np.sqrt(2 / (400 * 300))
        assert np.abs(ratio - 1).max() < 5.5 * np.sqrt(2 / 400)


def test_correlation_is_measured(realisations):
    """The predicted autocorrelation is that of the realisations, to four times 1/sqrt(400 x 300)."""
    for images, _, correlation in realisations:
        variance = (images**2).mean()
        for dy in range(5):
            for dx in range(-4, 5):
                a = images[:, : 30 - dy, max(0, -dx) : 30 - max(0, dx)]
                b = images[:, dy:, max(0, dx) : 30 + min(0, dx)]
                assert abs((a * b).mean() / variance - correlation[4 + dy, 4 + dx]) < 4 / np.sqrt(400 * 300)


def test_correlated_source(rng):
    """Noise that was correlated before is so afterwards: a shift by whole pixels keeps the autocorrelation."""
    kernel = np.outer([0.25, 0.5, 0.25], [0.25, 0.5, 0.25])
    before = np.array(
        [
            [np.sum(np.pad(kernel, 2)[2 + j : 5 + j, 2 + i : 5 + i] * kernel) for i in (-2, -1, 0, 1, 2)]
            for j in (-2, -1, 0, 1, 2)
        ]
    )
    before /= before[2, 2]
    after = resampled_noise_correlation(
        np.array([3.0, 8.0]), np.array([1.0, 2.0]), np.eye(2), LANCZOS, half=2, source_correlation=before
    )
    np.testing.assert_allclose(after, before, atol=1e-9)
