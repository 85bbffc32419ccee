"""Blending: sums of layers, their variance where noise is shared, and weights that fade."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.images.weight_map import WeightMap
from diapipe.numerics import blending
from diapipe.numerics.resample_rows import Planes

NO_DATA, BAD = 256, 1


def layer(rng, shape, *, sigma=1.0):
    image = rng.normal(10.0, sigma, shape).astype(np.float32)
    mask = rng.choice([0, 0, 0, 2, 4], shape).astype(np.int32)
    return Planes(image, rng.uniform(0.5, 2.0, shape).astype(np.float32), mask)


def spoiled(planes, rng):
    """Some pixels without a value, some with an impossible variance, some bad."""
    image, variance, mask = (plane.copy() for plane in (planes.image, planes.variance, planes.mask))
    image[rng.random(image.shape) < 0.1] = np.nan
    variance[rng.random(image.shape) < 0.05] = np.inf
    variance[rng.random(image.shape) < 0.05] = 0.0
    mask[rng.random(image.shape) < 0.1] |= BAD
    return Planes(image, variance, mask)


def added(layers, shape, *, step, alike):
    sums = blending.nothing_summed(shape)
    for (planes, nodes, column, row), c in zip(layers, alike, strict=True):
        for first in range(0, planes.image.shape[0], 7):
            last = min(first + 7, planes.image.shape[0])
            blending.add_layer(planes, nodes, step, column, row, c, BAD, sums, first, last)
    return blending.blended(sums, no_data=NO_DATA)


def by_hand(layers, shape, *, step, alike):
    """Pixel by pixel, with the whole covariance of what contributes."""
    image, variance = np.full(shape, np.nan), np.full(shape, np.nan)
    mask = np.full(shape, NO_DATA)
    for y in range(shape[0]):
        for x in range(shape[1]):
            found = []
            for (planes, nodes, column, row), c in zip(layers, alike, strict=True):
                j, i = y - row, x - column
                if not (0 <= j < planes.image.shape[0] and 0 <= i < planes.image.shape[1]):
                    continue
                weight = float(WeightMap(nodes, 0.5 * (step - 1), 0.5 * (step - 1), step).at(x=x, y=y))
                value, v = float(planes.image[j, i]), float(planes.variance[j, i])
                if np.isfinite(value) and np.isfinite(v) and v > 0 and weight > 0:
                    found.append((weight, value, v, int(planes.mask[j, i]), c))
            good = [pixel for pixel in found if not pixel[3] & BAD]
            found = good or found
            if not found:
                continue
            total = sum(w for w, *_ in found)
            image[y, x] = sum(w * value for w, value, *_ in found) / total
            spread = 0.0
            for w, _, v, _, c in found:
                spread += w**2 * v + 2 * c * w * np.sqrt(v * spread)
            variance[y, x] = spread / total**2
            mask[y, x] = np.bitwise_or.reduce([bits for *_, bits, _ in found])
    return image, variance, mask


def test_the_kernel_is_its_slow_twin(rng):
    """Three layers on parts of a grid, with holes and bad pixels, to single precision."""
    shape, step = (41, 53), 8
    cells = tuple(-(-n // step) for n in shape)
    places = [((41, 40), 0, 0), ((30, 53), 0, 11), ((20, 20), 17, 9)]
    layers = [
        (spoiled(layer(rng, size), rng), rng.uniform(0, 1, cells).astype(np.float32), column, row)
        for size, column, row in places
    ]
    layers[1][1][:, 2] = 0.0
    alike = (0.0, 0.7, 0.2)
    found = added(layers, shape, step=step, alike=alike)
    image, variance, mask = by_hand(layers, shape, step=step, alike=alike)
    np.testing.assert_allclose(found.image, image, rtol=1e-5)
    np.testing.assert_allclose(found.variance, variance, rtol=1e-5)
    np.testing.assert_array_equal(found.mask, mask)


@pytest.mark.parametrize("c", [0.0, 0.6, 1.0])
def test_the_variance_is_the_scatter_of_layers_that_share_noise(c, rng):
    """Two layers whose noise is correlated by c: 40,000 pixels know a variance to 0.7%, three of that allowed.

    A level and a slope of many times the noise in one of them change nothing of how alike it is.
    """
    shape = (200, 200)
    shared, *own = rng.normal(0, 1, (3, *shape))
    layers = []
    for noise, sigma, weight in zip(own, (1.0, 2.0), (0.7, 0.4), strict=True):
        image = sigma * (np.sqrt(c) * shared + np.sqrt(1 - c) * noise)
        planes = Planes(image.astype(np.float32), np.full(shape, sigma**2, np.float32), np.zeros(shape, np.int32))
        layers.append((planes, np.full((1, 1), weight, np.float32), 0, 0))
    found = added(layers, shape, step=8, alike=(0.0, c))
    assert abs(np.var(found.image) / found.variance.mean() - 1) < 0.021
    measured = blending.noise_alikeness(layers[0][0], layers[1][0], ignored=0, least_pixels=2000)
    # the scatter from quartiles is known to 1.17 / sqrt(2 n) of itself: 0.8% of a variance ratio of 1, over 0.8; the
    # 80,000 differences of pixels tell as much
    assert abs(measured - c) < 3 * 0.01
    slope = np.add.outer(np.linspace(-15, 25, shape[0]), np.linspace(60, 30, shape[1])).astype(np.float32)
    sloping = layers[0][0]._replace(image=layers[0][0].image + slope)
    assert blending.noise_alikeness(sloping, layers[1][0], ignored=0, least_pixels=2000) == pytest.approx(
        measured, abs=0.01
    )


def test_sources_and_few_pixels_say_nothing_of_noise(rng):
    """Pixels with the ignored bits are left out; below the least number there is no answer."""
    one, other = layer(rng, (50, 50)), layer(rng, (50, 50))
    masked = Planes(one.image, one.variance, np.full((50, 50), 32, np.int32))
    assert blending.noise_alikeness(masked, other, ignored=32, least_pixels=10) is None
    assert blending.noise_alikeness(one, other, ignored=32, least_pixels=2 * 50 * 42 + 1) is None
    assert blending.noise_alikeness(one, other, ignored=32, least_pixels=2 * 50 * 42) is not None
    assert blending.noise_alikeness(one, one, ignored=32, least_pixels=10) == 1.0


def weights_of(missing, *, feather_px):
    image = np.where(missing, np.float32(np.nan), np.float32(1.0))
    planes = Planes(image, np.ones_like(image), np.zeros(image.shape, np.int32))
    shares = blending.missing_shares(planes, image.shape, 8, 0, 0)
    return blending.feathered_weights(shares, step=8, feather_px=feather_px)


def test_shares_of_missing_pixels_are_counted_in_the_cells_of_the_frame(rng):
    """Against the mean of each cell; outside the layer all is missing, and cells at the upper borders are smaller."""
    planes = spoiled(layer(rng, (30, 41)), rng)
    frame = np.ones((45, 60))
    good = np.isfinite(planes.image) & np.isfinite(planes.variance) & (planes.variance > 0)
    frame[9:39, 15:56] = ~good
    found = blending.missing_shares(planes, (45, 60), 8, 15, 9)
    expected = [[frame[y : y + 8, x : x + 8].mean() for x in range(0, 60, 8)] for y in range(0, 45, 8)]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_weights_fade_towards_borders_and_holes_and_not_towards_the_frame():
    """0 where nothing is; from the border on rising over the feather, whatever lies beyond the array."""
    missing = np.zeros((160, 400), bool)
    missing[:, :80] = True
    weight = weights_of(missing, feather_px=100.0)
    assert weight.shape == (20, 50)
    assert (weight[:, :10] == 0).all()
    distance = 8 * np.arange(40)
    expected = np.clip(distance / 100.0, blending.LEAST_WEIGHT, 1.0)
    np.testing.assert_allclose(weight[:, 10:], np.broadcast_to(expected, (20, 40)), rtol=1e-6)


def test_a_cosmic_ray_is_no_border():
    missing = np.zeros((80, 80), bool)
    missing[40:43, 40:43] = True
    assert (weights_of(missing, feather_px=30.0) == 1).all()


def test_a_cell_that_is_partly_there_counts_where_there_is_nothing_else():
    """Three quarters missing: the least weight, not none."""
    missing = np.zeros((24, 24), bool)
    missing[8:16, 8:14] = True
    weight = weights_of(missing, feather_px=8.0)
    assert weight[1, 1] == np.float32(blending.LEAST_WEIGHT)
