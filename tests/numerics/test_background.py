"""Block means, modes of cells and the spline: against slow twins and known skies."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import interpolate

from diapipe.numerics import background


def slow_block_means(image, mask, bits, size):
    rows, columns = image.shape[0] // size, image.shape[1] // size
    means = np.full((rows, columns), np.nan)
    for i in range(rows):
        for j in range(columns):
            cut = np.s_[i * size : (i + 1) * size, j * size : (j + 1) * size]
            good = ((mask[cut] & bits) == 0) & np.isfinite(image[cut])
            if 2 * good.sum() >= size * size:
                means[i, j] = image[cut][good].mean()
    return means


@pytest.mark.parametrize("size", [2, 4])
def test_block_means_equal_the_slow_twin(rng, size):
    """Means of good pixels; NaN where fewer than half are good; float32 rounding of 1000 is 6e-5."""
    image = rng.normal(1000.0, 30.0, (45, 63)).astype(np.float32)
    mask = rng.choice([0, 1, 2, 3], (45, 63), p=[0.6, 0.2, 0.1, 0.1]).astype(np.int32)
    image[3, 5] = np.nan
    found = background.block_means(image, mask, 1, size)
    np.testing.assert_allclose(found, slow_block_means(image, mask, 1, size), rtol=1e-6)


def test_mode_of_noise_is_its_centre(rng):
    """On n Gaussian samples the mode 2.5 median - 1.5 mean scatters by 2.3 sigma / sqrt(n); five of them allowed."""
    n = 40_000
    mode, sigma = background.clipped_mode(np.sort(rng.normal(100.0, 5.0, n).astype(np.float32)), 3.0)
    assert abs(mode - 100.0) < 5 * 2.3 * 5.0 / np.sqrt(n)
    assert sigma == pytest.approx(5.0, rel=0.03)


def test_mode_resists_sources_above_the_sky(rng):
    """A tenth of the samples with an exponential excess of 10 sigma moves the mode by less than a tenth of sigma."""
    samples = rng.normal(0.0, 1.0, 40_000)
    samples[::10] += rng.exponential(10.0, 4_000)
    mode, _ = background.clipped_mode(np.sort(samples.astype(np.float32)), 3.0)
    assert abs(mode) < 0.1


def test_constant_samples_have_their_value_as_mode():
    """No scatter, no clipping: the value itself, with zero scatter."""
    mode, sigma = background.clipped_mode(np.full(100, 7.0, np.float32), 3.0)
    assert (mode, sigma) == (7.0, 0.0)


def test_cells_without_samples_are_nan():
    """Fewer than 8 values give no statistics."""
    blocks = np.full((8, 8), np.nan, np.float32)
    blocks[:4] = 3.0
    edges = background.cell_edges(8, 4)
    cells = background.cell_statistics(blocks, rows=edges, columns=edges)
    assert np.isfinite(cells.level[0]).all()
    assert np.isnan(cells.level[1]).all()
    assert (cells.n == [[16, 16], [0, 0]]).all()


@pytest.mark.parametrize(("length", "cell"), [(1000, 256), (100, 256), (512, 128), (7, 3)])
def test_cell_edges_cover_the_axis(length, cell):
    """From 0 to the end, increasing, of about the size asked for."""
    edges = background.cell_edges(length, cell)
    assert edges[0] == 0
    assert edges[-1] == length
    assert (np.diff(edges) > 0).all()
    assert len(edges) == max(1, round(length / cell)) + 1


def test_mesh_is_filled_from_neighbours_and_outliers_are_replaced():
    """A cell without trust takes its neighbour's level; one that sticks out takes the median around it."""
    level = np.zeros((5, 5))
    level[2, 2], level[0, 0] = 100.0, np.nan
    smooth = background.smooth_mesh(level, np.isfinite(level), tolerance=1.0)
    assert (smooth == 0.0).all()


def test_spline_is_scipys_natural_spline_inside_and_straight_outside(rng):
    """Inside the nodes scipy's natural spline of the values; outside its end value and slope."""
    nodes, values = np.array([1.0, 3.0, 6.0, 7.0, 11.0]), rng.normal(size=5)
    spline = interpolate.CubicSpline(nodes, values, bc_type="natural")
    inside = np.linspace(1.0, 11.0, 50)
    np.testing.assert_allclose(background.spline_matrix(nodes, inside) @ values, spline(inside), atol=1e-12)
    outside = background.spline_matrix(nodes, np.array([-1.0, 13.0])) @ values
    np.testing.assert_allclose(outside, [spline(1.0) - 2 * spline(1.0, 1), spline(11.0) + 2 * spline(11.0, 1)])


@pytest.mark.parametrize("n", [1, 2, 4])
def test_spline_reproduces_what_it_can(n):
    """A constant by one node, a straight line by two or more."""
    nodes = np.arange(n) * 10.0 + 5.0
    positions = np.arange(n * 10.0)
    values = np.full(n, 3.0) if n == 1 else 2.0 * nodes - 1.0
    expected = np.full(len(positions), 3.0) if n == 1 else 2.0 * positions - 1.0
    np.testing.assert_allclose(background.spline_matrix(nodes, positions) @ values, expected, atol=1e-10)
