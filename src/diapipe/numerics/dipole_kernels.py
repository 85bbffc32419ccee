"""What of a dipole fit is compiled: the stars at their places, the sums over pixels, and the steps of the places."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from diapipe.numerics.arrays import Float32Array, FloatArray, IntArray
from diapipe.numerics.jit import inlined, jit
from diapipe.numerics.shifting import LOBES, fill_weights
from diapipe.numerics.small_systems import factorize, make_regular, solve_factored

N_PLACE, N_LINEAR, N_IMAGES = 4, 8, 3
COLUMNS = np.array([[0, 1, 2, 3, 4, 5], [0, 1, 4, 6, 7, 8], [2, 3, 5, 9, 10, 11]])
"""Which of the 12 parameters each image depends on."""

_OF_STARS, _OF_PLANES = np.array([[0, 6], [0, 3], [0, 3]]), np.array([3, 6])
"""Which parameters of each image are those of stars, and which of the two beneath are their planes' (first, last + 1).

Arrays, as a function is compiled anew for each number that stands in a call."""

SLOPE_MARGIN = 2
"""Pixels around a stamp that the derivative needs."""

_VECTOR = 8
"""Rows are filled up to whole vectors of so many numbers."""


class PsfNodes(NamedTuple):
    """PSF of every source on one image: windows at nodes, of `window_side`, flat, (any, pixels), and which four (n, 4)
    make it with what weights (n, 4).
    """

    nodes: Float32Array
    corners: IntArray
    weights: FloatArray


@inlined
def _moved(
    image: Float32Array, row: int, column: int, weights: Float32Array, rows: Float32Array, out: Float32Array
) -> None:
    """Fill ``out`` with the weighted sums of 2 `LOBES` rows and columns of ``image``, the first at (row, column)."""
    for r in range(rows.shape[0]):
        source = image[row + r, column : column + rows.shape[1] + 2 * LOBES]
        for c in range(rows.shape[1]):
            total = np.float32(0.0)
            for t in range(2 * LOBES):
                total += weights[0, t] * source[c + t]
            rows[r, c] = total
    for r in range(out.shape[0]):
        for c in range(out.shape[1]):
            total = np.float32(0.0)
            for t in range(2 * LOBES):
                total += weights[1, t] * rows[r + t, c]
            out[r, c] = total


@inlined
def _write(drawn: Float32Array, sign: float, out: Float32Array, value: int, slope: int) -> None:
    """Write the middle of ``drawn`` as image ``value`` of ``out``, its slopes as ``slope`` and the next."""
    scale, eight, up = np.float32(sign / 12.0), np.float32(8.0), np.float32(sign)
    for r in range(out.shape[1]):
        for c in range(out.shape[2]):
            out[value, r, c] = up * drawn[r + 2, c + 2]
            far, near = drawn[r + 2, c + 4] - drawn[r + 2, c], drawn[r + 2, c + 3] - drawn[r + 2, c + 1]
            out[slope, r, c] = scale * (far - eight * near)
            far, near = drawn[r + 4, c + 2] - drawn[r, c + 2], drawn[r + 3, c + 2] - drawn[r + 1, c + 2]
            out[slope + 1, r, c] = scale * (far - eight * near)


@inlined
def _draw_lobes(
    psf: Float32Array,
    place: FloatArray,
    exact: FloatArray,
    weights: Float32Array,
    rows: Float32Array,
    drawn: Float32Array,
    out: Float32Array,
) -> None:
    """Fill the stars' part of the images (3, 6, m, m) of one source."""
    middle = psf.shape[1] // 2 - drawn.shape[0] // 2 + 1 - LOBES
    for lobe in range(2):
        x, y, sign = -place[2 * lobe], -place[2 * lobe + 1], 1.0 - 2.0 * lobe
        whole_x, whole_y = int(np.floor(x)), int(np.floor(y))
        fill_weights(x - whole_x, exact[0])
        fill_weights(y - whole_y, exact[1])
        for axis in range(2):
            for t in range(2 * LOBES):
                weights[axis, t] = exact[axis, t]
        for beneath in range(2):
            image = beneath * (1 + lobe)
            value, slope = (2, 0) if beneath else (4 + lobe, 2 * lobe)
            _moved(psf[image], middle + whole_y, middle + whole_x, weights, rows, drawn)
            _write(drawn, 1.0 if beneath else sign, out[image], value, slope)


@inlined
def _blend(nodes: Float32Array, index: IntArray, weights: FloatArray, window: Float32Array) -> None:
    """Fill ``window`` (pixels,) with the weighted sum of four node images (any, pixels)."""
    a, b, c, d = nodes[index[0]], nodes[index[1]], nodes[index[2]], nodes[index[3]]
    of_a, of_b, of_c, of_d = (
        np.float32(weights[0]),
        np.float32(weights[1]),
        np.float32(weights[2]),
        np.float32(weights[3]),
    )
    for p in range(len(window)):
        window[p] = of_a * a[p] + of_b * b[p] + of_c * c[p] + of_d * d[p]


@inlined
def _sum_row(image: Float32Array, weights: Float32Array, values: Float32Array, weighed: FloatArray) -> float:
    """Fill ``weighed`` with ``image`` times the weights; returns its sum of products with the values."""
    total = 0.0
    for p in range(len(image)):
        weighed[p] = np.float64(weights[p]) * image[p]
        total += weighed[p] * values[p]
    return total


@inlined
def sum_products(
    images: Float32Array,
    values: Float32Array,
    weights: Float32Array,
    first: int,
    last: int,
    weighed: FloatArray,
    matrix: FloatArray,
    side: FloatArray,
) -> None:
    """Fill ``matrix`` = Σ w a_i a_j and ``side`` = Σ w a_i d over the pixels of ``images`` a (k, n).

    Only what the images from ``first`` to before ``last`` enter is filled.
    """
    for i in range(first, last):
        side[i] = _sum_row(images[i], weights, values, weighed)
        for j in range(i, images.shape[0]):
            total = 0.0
            for p in range(images.shape[1]):
                total += weighed[p] * images[j, p]
            matrix[i, j] = total
            matrix[j, i] = total


@jit
def sum_planes(
    images: Float32Array, values: Float32Array, weights: Float32Array, matrices: FloatArray, sides: FloatArray
) -> None:
    """Fill the part of the normal equations that no place changes: that of the planes, which ``images`` hold."""
    flat = images.reshape(N_IMAGES, 6, values.shape[2])
    weighed = np.empty(values.shape[2])
    for k in range(len(values)):
        for i in range(1, N_IMAGES):
            sum_products(
                flat[i], values[k, i], weights[k, i], _OF_PLANES[0], _OF_PLANES[1], weighed, matrices[k, i], sides[k, i]
            )


@jit
def draw_and_sum(
    psfs: tuple[PsfNodes, PsfNodes, PsfNodes],
    values: Float32Array,
    weights: Float32Array,
    which: IntArray,
    place: FloatArray,
    windows: Float32Array,
    images: Float32Array,
    of_planes: tuple[FloatArray, FloatArray],
    matrices: FloatArray,
    sides: FloatArray,
) -> None:
    """Normal equations of each image (n, 3, 6, 6), (n, 3, 6) for unit fluxes, of the sources ``which``.

    ``windows`` (3, w, w) is room for the PSFs. ``images`` (1, 3, 6, m, m), or (n, 3, 6, m, m) to keep them all, gets
    the derivatives; those of the planes must be there. ``of_planes`` is what `sum_planes` fills.
    """
    side_px = images.shape[4]
    wide = side_px + 2 * SLOPE_MARGIN
    padded = _filled_up(wide)
    exact, taps = np.empty((2, 2 * LOBES)), np.empty((2, 2 * LOBES), np.float32)
    rows, drawn = np.empty((wide + 2 * LOBES - 1, padded), np.float32), np.empty((wide, padded), np.float32)
    weighed = np.empty(side_px * side_px)
    flat_windows = windows.reshape(N_IMAGES, windows.shape[1] * windows.shape[2])
    for k in range(len(which)):
        source, out = which[k], images[min(k, images.shape[0] - 1)]
        for i in range(N_IMAGES):
            _blend(psfs[i].nodes, psfs[i].corners[source], psfs[i].weights[source], flat_windows[i])
        _draw_lobes(windows, place[k], exact, taps, rows, drawn, out)
        flat = out.reshape(N_IMAGES, 6, side_px * side_px)
        for i in range(N_IMAGES):
            for row in range(6):  # in loops: to assign a whole array, its shape is checked, which takes 5 s to compile
                sides[k, i, row] = of_planes[1][source, i, row]
                for column in range(6):
                    matrices[k, i, row, column] = of_planes[0][source, i, row, column]
            first, last = _OF_STARS[i]
            d, w = values[source, i], weights[source, i]
            sum_products(flat[i], d, w, first, last, weighed, matrices[k, i], sides[k, i])


@inlined
def _filled_up(length: int) -> int:
    """The next multiple of a vector's length."""
    return (length + _VECTOR - 1) // _VECTOR * _VECTOR


def psf_windows(nodes: FloatArray, side: int, max_shift: float) -> Float32Array:
    """PSF images (n, s, s) cut or continued with zeros to windows, flat: (n, pixels).

    From such a window a star up to ``max_shift`` from the middle of a stamp of ``side`` pixels can be drawn.
    """
    wide = window_side(side, max_shift)
    windows = np.zeros((len(nodes), wide, wide), np.float32)
    inner = min(nodes.shape[1], wide) // 2
    of, to = (slice(half - inner, half + inner + 1) for half in (nodes.shape[1] // 2, wide // 2))
    windows[:, to, to] = nodes[:, of, of]
    return windows.reshape(len(nodes), wide * wide)


def window_side(side: int, max_shift: float) -> int:
    """Side of the windows of `psf_windows`."""
    wide = side + 2 * SLOPE_MARGIN
    reach = side // 2 + SLOPE_MARGIN + LOBES + 1 + int(np.ceil(max_shift)) + _filled_up(wide) - wide
    return 2 * reach + 1


@inlined
def _gather(matrices: FloatArray, sides: FloatArray, matrix: FloatArray, side: FloatArray) -> None:
    """Normal equations of all 12 parameters from those of the three images."""
    for i in range(len(side)):
        side[i] = 0.0
        for j in range(len(side)):
            matrix[i, j] = 0.0
    for image in range(N_IMAGES):
        for i in range(6):
            side[COLUMNS[image, i]] += sides[image, i]
            for j in range(6):
                matrix[COLUMNS[image, i], COLUMNS[image, j]] += matrices[image, i, j]


@inlined
def _solve_linear(matrix: FloatArray, side: FloatArray, free: IntArray, system: FloatArray, solved: FloatArray) -> None:
    """Solutions for ``side`` and for the columns of the four places; shape (5, number of free parameters)."""
    n_free = system.shape[0]
    for i in range(n_free):
        for j in range(n_free):
            system[i, j] = 0.0
        for v in range(1 + N_PLACE):
            solved[v, i] = 0.0
    for i in range(N_LINEAR):
        if free[i] < 0:
            continue
        solved[0, free[i]] += side[N_PLACE + i]
        for p in range(N_PLACE):
            solved[1 + p, free[i]] += matrix[N_PLACE + i, p]
        for j in range(N_LINEAR):
            if free[j] >= 0:
                system[free[i], free[j]] += matrix[N_PLACE + i, N_PLACE + j]
    make_regular(system)
    factorize(system)
    for v in range(1 + N_PLACE):
        solve_factored(system, solved[v])


@jit
def eliminate(
    matrices: FloatArray,
    sides: FloatArray,
    free: IntArray,
    linear: FloatArray,
    response: FloatArray,
    gain: FloatArray,
    downhill: FloatArray,
    reduced: FloatArray,
) -> None:
    """Solve for the linear parameters of every source and eliminate them.

    ``free`` (8,) says which free parameter each linear one is, -1 for one that is 0. Filled are ``linear`` (n, 8),
    ``response`` (n, 8, 4), how it follows the places, ``gain`` (n,), the χ² explained, and the system of the places:
    ``downhill`` (n, 4), ``reduced`` (n, 5, 4) with the diagonal before elimination in its last row.
    """
    size, n_free = N_PLACE + N_LINEAR, free.max() + 1
    matrix, side = np.empty((size, size)), np.empty(size)
    system, solved = np.empty((n_free, n_free)), np.empty((1 + N_PLACE, n_free))
    for k in range(len(matrices)):
        _gather(matrices[k], sides[k], matrix, side)
        _solve_linear(matrix, side, free, system, solved)
        gain[k] = 0.0
        for i in range(N_LINEAR):
            linear[k, i] = solved[0, free[i]] if free[i] >= 0 else 0.0
            gain[k] += side[N_PLACE + i] * linear[k, i]
        largest = 0.0
        for p in range(N_PLACE):
            flux, left = linear[k, p // 2], side[p]
            for i in range(N_LINEAR):
                left -= matrix[p, N_PLACE + i] * linear[k, i]
                response[k, i, p] = -flux * solved[1 + p, free[i]] if free[i] >= 0 else 0.0
            downhill[k, p] = flux * left
            for q in range(N_PLACE):
                seen = matrix[p, q]
                for i in range(N_LINEAR):
                    if free[i] >= 0:
                        seen -= matrix[p, N_PLACE + i] * solved[1 + q, free[i]]
                reduced[k, p, q] = flux * linear[k, q // 2] * seen
            reduced[k, N_PLACE, p] = flux * flux * matrix[p, p]
            largest = max(largest, reduced[k, N_PLACE, p])
        for p in range(N_PLACE):
            reduced[k, N_PLACE, p] = max(reduced[k, N_PLACE, p], 1e-12 * largest + 1e-30)


@jit
def damped_steps(
    reduced: FloatArray,
    downhill: FloatArray,
    damping: FloatArray,
    max_step: float,
    step: FloatArray,
    promise: FloatArray,
) -> None:
    """Fill each source's damped ``step``, no coordinate above ``max_step``, and the fall of χ² that it promises."""
    system = np.empty((N_PLACE, N_PLACE))
    for k in range(len(reduced)):
        for p in range(N_PLACE):
            step[k, p] = downhill[k, p]
            for q in range(N_PLACE):
                system[p, q] = reduced[k, p, q]
            system[p, p] += damping[k] * reduced[k, N_PLACE, p]
        factorize(system)
        solve_factored(system, step[k])
        promise[k] = 0.0
        for p in range(N_PLACE):
            promise[k] += step[k, p] * downhill[k, p]
            step[k, p] = min(max(step[k, p], -max_step), max_step)


@jit
def responses(
    matrices: FloatArray, flux: FloatArray, free: IntArray, combinations: FloatArray, rows: FloatArray
) -> None:
    """Fill ``rows`` (n, 3, k, 6): how combinations (k, 6) of the parameters move with the sides of each image.

    ``flux`` (n, 2) scales the derivatives by the places, ``free`` is that of `eliminate`.
    """
    size, n_free = N_PLACE + N_LINEAR, N_PLACE + free.max() + 1
    matrix, side, scale = np.empty((size, size)), np.empty(size), np.ones(size)
    of, system, vector = np.arange(size), np.empty((n_free, n_free)), np.empty(n_free)
    for i in range(N_LINEAR):
        of[N_PLACE + i] = N_PLACE + free[i] if free[i] >= 0 else -1
    for s in range(len(matrices)):
        _gather(matrices[s], np.zeros((N_IMAGES, 6)), matrix, side)
        for p in range(N_PLACE):
            scale[p] = flux[s, p // 2]
        system[:] = 0.0
        for i in range(size):
            for j in range(size):
                if of[i] >= 0 and of[j] >= 0:
                    system[of[i], of[j]] += scale[i] * scale[j] * matrix[i, j]
        make_regular(system)
        factorize(system)
        for k in range(len(combinations)):
            vector[:] = 0.0
            for i in range(combinations.shape[1]):
                vector[of[i]] += combinations[k, i]
            solve_factored(system, vector)
            for image in range(N_IMAGES):
                for i in range(6):
                    j = COLUMNS[image, i]
                    rows[s, image, k, i] = scale[j] * vector[of[j]] if of[j] >= 0 else 0.0


@jit
def influence(
    images: Float32Array,
    weights: Float32Array,
    which: IntArray,
    rows: FloatArray,
    roots: Float32Array,
    out: Float32Array,
) -> None:
    """What noise of unit variance in each pixel does to each combination.

    Fills ``out`` (5, n, k, pixels) with h = Σ_j rows_kj a_j w, times a root of a variance: of the difference with its
    own, with that of science, with that of the template; of science; of the template. a are the images of the sources
    ``which`` (any, 3, 6, pixels), rows (n, 3, k, 6), roots (n, 3, pixels).
    """
    n_pixels, r = images.shape[3], np.empty(6, np.float32)
    for s in range(out.shape[1]):
        for i in range(N_IMAGES):
            a, w = images[which[s], i], weights[which[s], i]
            for k in range(out.shape[2]):
                to = out[0 if i == 0 else 2 + i, s, k]
                for j in range(6):
                    r[j] = rows[s, i, k, j]
                for p in range(n_pixels):
                    seen = r[0] * a[0, p] + r[1] * a[1, p] + r[2] * a[2, p] + r[3] * a[3, p] + r[4] * a[4, p]
                    to[p] = w[p] * (seen + r[5] * a[5, p])
        for k in range(out.shape[2]):
            own, science, template = out[0, s, k], out[1, s, k], out[2, s, k]
            on_science, on_template = out[3, s, k], out[4, s, k]
            for p in range(n_pixels):
                science[p], template[p] = own[p] * roots[s, 1, p], own[p] * roots[s, 2, p]
                own[p] *= roots[s, 0, p]
                on_science[p] *= roots[s, 1, p]
                on_template[p] *= roots[s, 2, p]


@jit
def sum_pairs(left: Float32Array, right: Float32Array, out: FloatArray) -> None:
    """Add left · right of all pairs of the k rows of each source, (n, k, pixels), to ``out`` (n, k, k)."""
    for s in range(left.shape[0]):
        for i in range(left.shape[1]):
            for j in range(left.shape[1]):
                total = np.float32(0.0)
                for p in range(left.shape[2]):
                    total += left[s, i, p] * right[s, j, p]
                out[s, i, j] += total
