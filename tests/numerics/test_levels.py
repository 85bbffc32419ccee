"""Levels of images that are to agree: what medians in cells determine, and what they do not."""

from __future__ import annotations

import numpy as np

from diapipe.numerics.levels import matched_levels
from diapipe.numerics.polynomials import chebyshev_terms, exponents

SIDE, ORDER = 8, 2
U, V = (grid.ravel() for grid in np.meshgrid(*2 * [(np.arange(SIDE) + 0.5) * 2 / SIDE - 1]))
TERMS = chebyshev_terms(U, V, ORDER)
DEGREE = np.array([sum(pair) for pair in exponents(ORDER)])


def seen(rng, levels, weights):
    """Medians of images with these levels on a sky of any shape, with the noise of their weights."""
    noise = rng.normal(0, 1, weights.shape) / np.sqrt(np.where(weights > 0, weights, 1.0))
    return rng.normal(0, 100, SIDE**2) + levels @ TERMS + noise


def of_known_sizes(medians, weights, shares, sizes):
    """Bayes' estimate with the levels of the cells among the unknowns: the slow twin, which is told all sizes."""
    n, n_terms, n_cells = len(medians), len(TERMS), medians.shape[1]
    rows, values = [], []
    for i, c in np.argwhere(weights > 0):
        row = np.zeros(n * n_terms + n_cells)
        row[i * n_terms : (i + 1) * n_terms], row[n * n_terms + c] = TERMS[:, c], 1.0
        rows.append(np.sqrt(weights[i, c]) * row)
        values.append(np.sqrt(weights[i, c]) * medians[i, c])
    before = np.sqrt(np.repeat(shares, n_terms)) / np.tile(sizes[DEGREE], n)
    design = np.vstack([np.array(rows), np.hstack([np.diag(before), np.zeros((len(before), n_cells))])])
    found, *_ = np.linalg.lstsq(design, np.concatenate([values, np.zeros(len(before))]), rcond=None)
    return found[: n * n_terms].reshape(n, n_terms)


def test_levels_are_found_where_images_cover_different_parts(rng):
    """Next to no noise, one image on half of the sky: differences to five of their errors, a weighted sum of zero."""
    shares = np.array([1.0, 2.0, 4.0])
    true = rng.normal(0, 3, (3, len(TERMS)))
    weights = 1e6 * np.ones((3, SIDE**2)) * shares[:, None]
    weights[0, U > 0] = 0.0
    found = matched_levels(seen(rng, true, weights), weights, TERMS, shares)
    off = (found - found[0] - true + true[0]) @ TERMS
    assert np.abs(off[:, U < 0]).max() < 5 * 1e-3 * np.sqrt(2 * len(TERMS) / (SIDE**2 / 2))
    np.testing.assert_allclose(shares @ found, 0.0, atol=1e-4)  # a tenth of an error, by rounding


def test_well_determined_levels_are_those_of_least_squares(rng):
    """Of the size of ten errors, on all of the sky: changed by less than half their errors, rms over ten skies.

    A prior takes e²/τ² of a level, a tenth of its error; the tails of Student's t allow 0.25 of it.
    """
    shares = np.array([1.0, 2.0, 1.0, 0.5])
    weights = np.ones((4, SIDE**2)) * shares[:, None]
    error = 1 / np.sqrt(np.outer(shares, (TERMS**2).sum(axis=1)))
    changes = []
    for _ in range(10):
        medians = seen(rng, 10 * error * rng.normal(0, 1, error.shape), weights)
        plain = of_known_sizes(medians, weights, shares, np.full(ORDER + 1, 1e5))
        changes.append((matched_levels(medians, weights, TERMS, shares) - plain) / error)
    assert np.sqrt(np.mean(np.square(changes))) < 0.5


def test_levels_are_as_good_as_if_their_sizes_were_known(rng):
    """Sizes of 4, 1 and 0 errors of a median by degree, images on all, half and a column of the cells: over 40 skies
    the squared error where the images are exceeds by less than a fifth that of the estimate which is told the sizes.

    Least squares is far from both. (A size that is known from n coefficients costs 2/n of what it saves at most.)
    """
    shares, sizes = np.array([1.0, 1.0, 2.0, 1.0]), np.array([4.0, 1.0, 1e-3])
    weights = np.ones((4, SIDE**2)) * shares[:, None]
    weights[1, U > 0] = 0.0
    weights[3, U > -0.8] = 0.0
    own, told, plain = 0.0, 0.0, 0.0
    for _ in range(40):
        true = rng.normal(0, 1, (4, len(TERMS))) * sizes[DEGREE] / np.sqrt(shares)[:, None]
        true -= np.average(true, axis=0, weights=shares)
        medians = seen(rng, true, weights)
        own += squared_error(matched_levels(medians, weights, TERMS, shares), true, weights)
        told += squared_error(of_known_sizes(medians, weights, shares, sizes), true, weights)
        plain += squared_error(of_known_sizes(medians, weights, shares, np.full(ORDER + 1, 1e4)), true, weights)
    assert own < 1.2 * told
    assert plain > 2 * told


def squared_error(found, true, weights):
    """Of fields where their images are, in units of the noise of the medians."""
    return (weights * ((found - true) @ TERMS) ** 2).sum()


def test_where_little_is_covered_no_level_is_made_up(rng):
    """Images without levels, on one to three columns of the cells: what the mean gets is less than its noise.

    In a strip large fields add up to nearly nothing, and where their degrees differ they did not even do that: the mean
    got slopes of five times its noise.
    """
    shares = np.array([1.0, 1.0, 2.0, 1.0])
    weights = np.ones((4, SIDE**2)) * shares[:, None]
    for weight, columns in zip(weights, (3, 2, 3, 1), strict=True):
        weight.reshape(SIDE, SIDE)[:, columns:] = 0.0
    covered = weights.sum(axis=0) > 0
    for _ in range(20):
        found = matched_levels(seen(rng, np.zeros((4, len(TERMS))), weights), weights, TERMS, shares)
        mean = (weights * (found @ TERMS)).sum(axis=0)[covered] / weights.sum(axis=0)[covered]
        assert np.abs(mean).max() < 1.0 / np.sqrt(weights.sum(axis=0).max())
        assert np.abs(found @ TERMS).max() < 4.0  # nor where the image is not


def test_a_star_in_a_cell_is_not_taken_for_a_level(rng):
    """Two cells in which images differ by a thousand times their noise: fields change by less than their errors."""
    shares = np.ones(4)
    weights = np.ones((4, SIDE**2))
    medians = seen(rng, rng.normal(0, 2, (4, len(TERMS))), weights)
    starry = medians.copy()
    starry[2, 7], starry[1, 30] = starry[2, 7] + 1000.0, starry[1, 30] - 3000.0
    change = (matched_levels(starry, weights, TERMS, shares) - matched_levels(medians, weights, TERMS, shares)) @ TERMS
    assert np.sqrt((change**2).mean()) < np.sqrt(len(TERMS) / SIDE**2)


def test_images_that_share_no_cell_keep_their_levels(rng):
    """Nothing tells their levels apart from the sky's: 0."""
    weights = np.where(np.stack([U < 0, U > 0]), 1.0, 0.0)
    assert not matched_levels(rng.normal(0, 5, (2, SIDE**2)), weights, TERMS, np.ones(2)).any()
