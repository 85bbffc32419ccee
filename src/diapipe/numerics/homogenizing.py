"""Kernels that bring several PSFs to one, and an image through a kernel that leaps from pixel to pixel.

A stack's PSF is one where an image of it ends and another on the pixel beside it; no kernel that is smooth over the
field follows. What is needed is a small correction for each region, taken by the pixel that it makes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.linalg import cho_factor, cho_solve

from diapipe.numerics.arrays import BoolArray, Float32Array, FloatArray, IntArray
from diapipe.numerics.jit import jit
from diapipe.numerics.whitening import noise_power

_SUM_WEIGHT = 1.0
"""What holds the sum of a change at 0: some hundred times all else."""

_ROUNDS = 4
"""Steps of the conjugate gradients; they begin with the solution for a PSF that is the target already."""


def homogenizing_changes(psfs: FloatArray, target: FloatArray, *, damping: float, half: int) -> FloatArray:
    """What is to be added to an image of each PSF P, as a convolution of it, so that its PSF is Q.

    Parameters
    ----------
    psfs, target
        P, shape (n, size, size), and Q, shape (size, size), of unit sum and an odd side.
    damping
        λ below: the square of the part of a star's light at a frequency, below which little is corrected.
    half
        Half-size of the changes.

    Returns
    -------
    FloatArray
        c of sum 0, shape (n, 2 half + 1, 2 half + 1).

    Notes
    -----
    Of all c of this size it is the one with the least Σ |P ⊗ (δ + c) - Q|² + λ Σ c². Where P has no light nothing is
    made up for, so that sharpening takes little noise along.
    """
    side = 2 * half + 1
    n = fft.next_fast_len(psfs.shape[-1] + 2 * half + 1, real=True)
    of_psfs, of_target = (fft.rfft2(images.astype(np.float32), (n, n)) for images in (psfs, target))
    factor = cho_factor(_normal_matrix(fft.irfft2(np.abs(of_target) ** 2, (n, n)), side, damping))
    powers, centre = np.abs(of_psfs) ** 2, np.exp(2j * np.pi * half * _frequencies(n)).astype(np.complex64)

    def inside(spectra: NDArray[np.complex128]) -> FloatArray:
        return np.asarray(np.roll(fft.irfft2(spectra, (n, n)), (half, half), axis=(-2, -1))[:, :side, :side])

    def applied(c: FloatArray) -> FloatArray:
        spread = inside(powers * fft.rfft2(c.astype(np.float32), (n, n)) * centre)
        return spread + damping * c + _SUM_WEIGHT * c.sum(axis=(1, 2), keepdims=True)

    def nearly_solved(c: FloatArray) -> FloatArray:
        return np.asarray(cho_solve(factor, c.reshape(len(c), -1).T).T.reshape(c.shape))

    rest = inside(np.conj(of_psfs) * (of_target - of_psfs))
    found, way = np.zeros_like(rest), nearly_solved(rest)
    old = (rest * way).sum(axis=(1, 2), keepdims=True)
    for _ in range(_ROUNDS):
        back = applied(way)
        bend = (way * back).sum(axis=(1, 2), keepdims=True)
        length = np.divide(old, bend, out=np.zeros_like(old), where=bend > 0.0)
        found, rest = found + length * way, rest - length * back
        steepest = nearly_solved(rest)
        new = (rest * steepest).sum(axis=(1, 2), keepdims=True)
        way = steepest + np.divide(new, old, out=np.zeros_like(old), where=old > 0.0) * way
        old = new
    changes = found.astype(np.float64)
    changes[:, half, half] -= changes.sum(axis=(1, 2))
    return changes


def _frequencies(n: int) -> FloatArray:
    """Sum of the frequencies along both axes of a real transform, in cycles per pixel; shape (n, n // 2 + 1)."""
    return np.asarray(np.fft.fftfreq(n)[:, None] + np.fft.rfftfreq(n)[None, :])


def _normal_matrix(overlaps: FloatArray, side: int, damping: float) -> FloatArray:
    """The normal equations of a change of an image with a PSF whose overlaps with itself, moved, are given."""
    v, u = (grid.ravel() for grid in np.mgrid[:side, :side])
    matrix = overlaps[v[:, None] - v, u[:, None] - u] + _SUM_WEIGHT
    matrix[np.diag_indices(len(v))] += damping
    return np.asarray(matrix)


def homogenized_noise(
    changes: FloatArray, shares: FloatArray, psf: FloatArray, correlation: FloatArray | None
) -> tuple[FloatArray, FloatArray]:
    """What the noise of an image is after changes, each on a part of it.

    Parameters
    ----------
    changes
        As from `homogenizing_changes`, shape (n, size, size).
    shares
        Part of the image that each is for, shape (n,).
    psf
        What fluxes are measured with.
    correlation
        Autocorrelation of the noise before; None for white noise.

    Returns
    -------
    gains
        By how much each multiplies the variance, shape (n,): that with which errors of PSF fluxes are right though the
        noise is taken to be correlated everywhere as it is on the mean. On the mean it is that of pixels.
    correlation
        Mean autocorrelation of the noise afterwards.
    """
    reach = changes.shape[-1] - 1 + (0 if correlation is None else correlation.shape[0] // 2)
    n = fft.next_fast_len(max(2 * reach + 1, psf.shape[-1]), real=True)
    before = np.broadcast_to(noise_power(correlation, n), (n, n // 2 + 1))
    kernels = changes.copy()
    kernels[:, changes.shape[-1] // 2, changes.shape[-1] // 2] += 1.0
    powers = np.abs(fft.rfft2(kernels, (n, n))) ** 2 * before
    mean = np.tensordot(shares / shares.sum(), powers, axes=1)
    after = fft.irfft2(mean, (n, n))
    seen = np.abs(fft.rfft2(psf, (n, n))) ** 2
    seen[:, 1 : (n + 1) // 2] *= 2.0  # the half of the spectrum that is not kept
    pixels = float(after[0, 0] / fft.irfft2(before, (n, n))[0, 0])
    gains = np.tensordot(powers, seen, axes=2) / (mean * seen).sum() * pixels
    image = np.roll(after, (reach, reach), axis=(0, 1))[: 2 * reach + 1, : 2 * reach + 1] / after[0, 0]
    return gains, np.asarray(image, dtype=np.float64)


@jit
def _settle(
    values: Float32Array, flat: BoolArray, known: BoolArray, reach: int, slack: float, source: IntArray
) -> None:
    """Write into ``source`` the node whose value each node is to have."""
    ny, nx, m = values.shape
    for j in range(ny):
        for i in range(nx):
            source[j, i] = j * nx + i
            if flat[j, i] or not known[j, i]:
                continue
            best, near = -1, np.inf
            for v in range(max(j - reach, 0), min(j + reach + 1, ny)):
                for u in range(max(i - reach, 0), min(i + reach + 1, nx)):
                    if flat[v, u]:
                        d = 0.0
                        for k in range(m):
                            d += (values[j, i, k] - values[v, u, k]) ** 2
                        if d < near:
                            near, best = d, v * nx + u
            if best < 0:
                continue
            p, q, to_near = best // nx, best % nx, np.sqrt(near)
            between = False
            for v in range(max(j - reach, 0), min(j + reach + 1, ny)):
                for u in range(max(i - reach, 0), min(i + reach + 1, nx)):
                    if flat[v, u] and not between:
                        d, e = 0.0, 0.0
                        for k in range(m):
                            d += (values[j, i, k] - values[v, u, k]) ** 2
                            e += (values[p, q, k] - values[v, u, k]) ** 2
                        between = e > d and np.sqrt(d) + to_near < slack * np.sqrt(e)
            if between:
                source[j, i] = best


def settled(values: Float32Array, known: BoolArray, *, flat: float, reach: int, slack: float = 1.2) -> IntArray:
    """Where values on a grid go in a ramp from one level to another: the node with the level that each is nearer to.

    An image that ends on a line is told by what it has of cells, and from one cell to the next its part of a stack is
    drawn as a ramp; half-way up lies the line.

    Parameters
    ----------
    values
        Shape (ny, nx, m).
    known
        Where there are any, shape (ny, nx); others have no level.
    flat
        A node that differs from its eight neighbours by no more than this has a level of its own.
    reach
        So many nodes off, along each axis, a level is sought.
    slack
        A node is in a ramp if its distances from both levels are together at most this times that of the levels. Others
        keep what they have: they are in holes.

    Returns
    -------
    IntArray
        Flat index of a node for each node, shape (ny, nx).
    """
    ny, nx, _ = values.shape
    is_flat = known.copy()
    for v, u in ((0, 1), (1, 0), (1, 1), (1, -1)):
        one = slice(0, ny - v), slice(max(0, -u), nx - max(0, u))
        other = slice(v, ny), slice(max(0, u), nx + min(0, u))
        steep = ((values[one] - values[other]) ** 2).sum(axis=-1) > flat**2
        steep &= known[one] & known[other]
        is_flat[one] &= ~steep
        is_flat[other] &= ~steep
    source = np.empty((ny, nx), np.int64)
    _settle(values, is_flat, known, reach, slack, source)
    return source


@jit
def convolve_labelled(
    image: Float32Array,
    usable: Float32Array,
    spoiled: BoolArray,
    labels: IntArray,
    step: int,
    changes: Float32Array,
    out: Float32Array,
    first: int,
    last: int,
) -> None:
    """Add to the pixels of rows first to last what their kernels change.

    Parameters
    ----------
    image
        Pixels, with margins of the kernels' half-size, 0 where not usable.
    usable
        1 or 0, of the same shape.
    spoiled
        Pixels of the result to whose kernel an unusable pixel comes, shape (height, width).
    labels
        Kernel of each node, 0 for none; a node stands for the ``step`` x ``step`` pixels around it, the first for
        those from the corner on.
    step
        Pixels between nodes.
    changes
        As from `homogenizing_changes`, turned by half a circle, shape (n, size, size); the first is not used.
    out
        The image, to be changed; shape (height, width).
    first, last
        Rows to make.

    Notes
    -----
    A pixel t is given Σ c (t' - t) over the usable pixels around it: where one is missing nothing is known to change.
    """
    width, size = out.shape[1], changes.shape[1]
    half = size // 2
    for y in range(first, last):
        row = labels[y // step]
        start = 0
        while start < width:
            label = row[start // step]
            bad = spoiled[y, start]
            end = start + 1
            while end < width and row[end // step] == label and spoiled[y, end] == bad:
                end += 1
            if label > 0:
                made, own = out[y, start:end], image[y + half, start + half : end + half]
                for v in range(size):
                    for u in range(size):
                        c = changes[label, v, u]
                        seen = image[y + v, start + u : end + u]
                        for x in range(end - start):  # from 0 on: indices that may be negative are not vectorised
                            made[x] += c * seen[x]
                if bad:
                    for v in range(size):
                        for u in range(size):
                            c = changes[label, v, u]
                            good = usable[y + v, start + u : end + u]
                            for x in range(end - start):
                                made[x] -= c * good[x] * own[x]
            start = end
