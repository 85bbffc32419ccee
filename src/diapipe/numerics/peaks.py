"""Peaks of a score image, and which of them are sources rather than the flank or ring of a brighter one."""

from __future__ import annotations

import numpy as np

from diapipe.numerics.arrays import BoolArray, Float32Array, FloatArray, IntArray
from diapipe.numerics.jit import inlined, jit


@inlined
def _is_peak(score: Float32Array, r: int, c: int, sign: int) -> bool:
    """Whether no neighbour is higher; of equal neighbours the first in row order is the peak. NaN is never higher."""
    here = sign * score[r, c]
    for dr in range(-1, 2):
        for dc in range(-1, 2):
            y, x = r + dr, c + dc
            if (dr == 0 and dc == 0) or y < 0 or x < 0 or y >= score.shape[0] or x >= score.shape[1]:
                continue
            there = sign * score[y, x]
            earlier = dr < 0 or (dr == 0 and dc < 0)
            if there > here or (earlier and there == here):
                return False
    return True


@inlined
def _refine(score: Float32Array, r: int, c: int, out: FloatArray) -> None:
    """Vertex (x, y, value) of the paraboloid through 3x3 pixels; the pixel itself where that lies outside of it."""
    out[0], out[1], out[2] = c, r, score[r, c]
    if r < 1 or c < 1 or r >= score.shape[0] - 1 or c >= score.shape[1] - 1:
        return
    s = score
    gx = 0.5 * (float(s[r, c + 1]) - float(s[r, c - 1]))
    gy = 0.5 * (float(s[r + 1, c]) - float(s[r - 1, c]))
    hxx = float(s[r, c + 1]) + float(s[r, c - 1]) - 2.0 * float(s[r, c])
    hyy = float(s[r + 1, c]) + float(s[r - 1, c]) - 2.0 * float(s[r, c])
    hxy = 0.25 * (float(s[r + 1, c + 1]) + float(s[r - 1, c - 1]) - float(s[r + 1, c - 1]) - float(s[r - 1, c + 1]))
    det = hxx * hyy - hxy * hxy
    if not det > 0.0:
        return
    dx, dy = (hxy * gy - hyy * gx) / det, (hxy * gx - hxx * gy) / det
    if abs(dx) < 0.5 and abs(dy) < 0.5:
        out[0], out[1], out[2] = c + dx, r + dy, score[r, c] + 0.5 * (gx * dx + gy * dy)


@jit
def _collect(score: Float32Array, runs: IntArray, peaks: FloatArray) -> int:
    """Write (x, y, value, component row) of every peak of the runs; returns how many there are."""
    n = 0
    for i in range(len(runs)):
        r = runs[i, 0]
        for c in range(runs[i, 1], runs[i, 2]):
            if _is_peak(score, r, c, runs[i, 3]):
                if n < len(peaks):
                    _refine(score, r, c, peaks[n])
                n += 1
    return n


def find_peaks(score: Float32Array, runs: IntArray) -> FloatArray:
    """Local extrema inside the runs.

    Parameters
    ----------
    score
        Shape (rows, columns).
    runs
        Signed runs (`components.runs_above`).

    Returns
    -------
    FloatArray
        Shape (n, 3): x and y of the vertex in array coordinates, and its value; the most significant first, ties in row
        order.
    """
    peaks = np.empty((len(runs), 3))
    n = _collect(score, runs, peaks)
    if n > len(peaks):
        peaks = np.empty((n, 3))
        _collect(score, runs, peaks)
    peaks = peaks[:n]
    return np.ascontiguousarray(peaks[np.argsort(-np.abs(peaks[:, 2]), kind="stable")])


@inlined
def _cubic(t: float, k: int) -> float:
    """Weight of sample k - 1 (k = 0..3) of the Catmull-Rom cubic at the fraction t after sample 0."""
    if k == 0:
        return 0.5 * t * (t * (2.0 - t) - 1.0)
    if k == 1:
        return 0.5 * (t * t * (3.0 * t - 5.0) + 2.0)
    if k == 2:
        return 0.5 * t * (t * (4.0 - 3.0 * t) + 1.0)
    return 0.5 * t * t * (t - 1.0)


@inlined
def _sample(image: FloatArray, dx: float, dy: float) -> float:
    """Value of an odd-sided image at an offset from its middle pixel, by bicubic interpolation; 0 outside."""
    half = image.shape[0] // 2
    column, row = int(np.floor(dx)), int(np.floor(dy))
    fx, fy = dx - column, dy - row
    total = 0.0
    for j in range(4):
        y = half + row + j - 1
        if y < 0 or y >= image.shape[0]:
            continue
        for i in range(4):
            x = half + column + i - 1
            if 0 <= x < image.shape[1]:
                total += _cubic(fy, j) * _cubic(fx, i) * image[y, x]
    return total


@inlined
def _explained(
    peaks: FloatArray,
    j: int,
    amplitude: FloatArray,
    cell_of: IntArray,
    responses: FloatArray,
    heads: IntArray,
    following: IntArray,
    reach: float,
) -> float:
    """Score that the accepted sources around peak ``j`` have at its place."""
    x, y, total = peaks[j, 0], peaks[j, 1], 0.0
    row, column = int(y / reach), int(x / reach)
    for r in range(max(row - 1, 0), min(row + 2, heads.shape[0])):
        for c in range(max(column - 1, 0), min(column + 2, heads.shape[1])):
            i = heads[r, c]
            while i >= 0:
                dx, dy = x - peaks[i, 0], y - peaks[i, 1]
                if abs(dx) < reach and abs(dy) < reach:
                    total += amplitude[i] * _sample(responses[cell_of[i]], dx, dy)
                i = following[i]
    return total


@jit
def _keep_own(
    peaks: FloatArray,
    cell_of: IntArray,
    responses: FloatArray,
    threshold: float,
    tolerance: float,
    heads: IntArray,
    keep: BoolArray,
    amplitude: FloatArray,
) -> None:
    """Go down the peaks, the most significant first, and keep those that the kept ones do not explain."""
    reach = responses.shape[1] / 2.0
    following = np.full(len(peaks), -1, np.int64)
    for j in range(len(peaks)):
        model = _explained(peaks, j, amplitude, cell_of, responses, heads, following, reach)
        sign = 1.0 if peaks[j, 2] > 0 else -1.0
        amplitude[j] = peaks[j, 2] - model
        keep[j] = sign * amplitude[j] > threshold + tolerance * abs(model)
        if keep[j]:
            row = min(max(int(peaks[j, 1] / reach), 0), heads.shape[0] - 1)
            column = min(max(int(peaks[j, 0] / reach), 0), heads.shape[1] - 1)
            following[j] = heads[row, column]
            heads[row, column] = j


def sources_among(
    peaks: FloatArray,
    *,
    cell_of: IntArray,
    responses: FloatArray,
    threshold: float,
    tolerance: float,
    shape: tuple[int, int],
) -> BoolArray:
    """Which peaks stand for a source of their own.

    The score of a source of amplitude A, at an offset d from it, is A R(d) with R the response of the filter to the
    PSF. Peaks are taken from the most significant down; each is a source if what remains of it, after the sources
    already taken, is still above the threshold with its own sign. So the flank, the noise on the wings and the negative
    ring of a bright source are not sources, and two blended transients are two.

    Parameters
    ----------
    peaks
        Shape (n, 3), as `find_peaks` gives them.
    cell_of
        Index into ``responses`` for every peak, shape (n,).
    responses
        R, 1 at the centre; shape (n_cells, m, m), m odd.
    threshold
        In units of the score.
    tolerance
        Error of the model, as a fraction of it: added to the threshold.
    shape
        Rows and columns of the image.

    Returns
    -------
    BoolArray
        Shape (n,).
    """
    keep = np.zeros(len(peaks), np.bool_)
    reach = responses.shape[1] / 2.0
    heads = np.full((int(shape[0] / reach) + 1, int(shape[1] / reach) + 1), -1, np.int64)
    _keep_own(peaks, cell_of, responses, threshold, tolerance, heads, keep, np.zeros(len(peaks)))
    return keep


@jit
def _pair(peaks: FloatArray, separation: float, heads: IntArray, following: IntArray, partner: IntArray) -> None:
    """Let each peak, the most significant first, take the peaks of opposite sign near it that nobody took."""
    for j in range(len(peaks)):
        if partner[j] != -1:
            continue
        row, column = int(peaks[j, 1] / separation), int(peaks[j, 0] / separation)
        best = -1
        for r in range(max(row - 1, 0), min(row + 2, heads.shape[0])):
            for c in range(max(column - 1, 0), min(column + 2, heads.shape[1])):
                i = heads[r, c]
                while i >= 0:
                    near = np.hypot(peaks[i, 0] - peaks[j, 0], peaks[i, 1] - peaks[j, 1]) <= separation
                    if near and i > j and partner[i] == -1 and peaks[i, 2] * peaks[j, 2] < 0:
                        partner[i] = -2 - j
                        best = i if best < 0 else min(best, i)
                    i = following[i]
        partner[j] = best


@jit
def _hash(peaks: FloatArray, size: float, heads: IntArray, following: IntArray) -> None:
    """Linked lists of the peaks in each square of side ``size``."""
    for j in range(len(peaks)):
        row = min(max(int(peaks[j, 1] / size), 0), heads.shape[0] - 1)
        column = min(max(int(peaks[j, 0] / size), 0), heads.shape[1] - 1)
        following[j] = heads[row, column]
        heads[row, column] = j


def opposite_partners(peaks: FloatArray, *, separation: float, shape: tuple[int, int]) -> IntArray:
    """Positive and negative peaks close together: the lobes of one dipole.

    Parameters
    ----------
    peaks
        Shape (n, 3), the most significant first.
    separation
        Largest distance of a pair in pixels.
    shape
        Rows and columns of the image.

    Returns
    -------
    IntArray
        For the most significant lobe the index of the most significant opposite one; for each opposite one -2 minus the
        index of the first; -1 for a peak that stands alone.
    """
    heads = np.full((int(shape[0] / separation) + 1, int(shape[1] / separation) + 1), -1, np.int64)
    following, partner = np.full(len(peaks), -1, np.int64), np.full(len(peaks), -1, np.int64)
    _hash(peaks, separation, heads, following)
    _pair(peaks, separation, heads, following, partner)
    return partner
