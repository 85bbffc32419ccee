"""Resampling of an image with its variance and its mask.

Output pixel p, whose centre lies at source position s(p), is

    I(p) = a Σ_i w_i I_i / Σ_i w_i,      V(p) = a² Σ_i w_i² V_i / (Σ_i w_i)²,

with w the product of the weights of an interpolant along each source axis and a the source pixels per output pixel, so
that the flux of a star is kept. Sums run over the source pixels that have a value; holes (unusable pixels) enter with
what their neighbours tell of them (`holes.fill_holes`).

The mask knows two kinds of bits. Holes contaminate: where they hold more than ``max_hole_share`` of Σ w² (the part of
the output's information that was made up), the output pixel gets the bits of the holes under its kernel; a hole under a
side lobe does not. The other bits are passed on from the nearest source pixels, those whose weight along each axis is
at least `SIGNIFICANT`.
"""

from __future__ import annotations

import numpy as np

from diapipe.numerics.arrays import BoolArray
from diapipe.numerics.gridding import cubic_weights
from diapipe.numerics.holes import fill_holes
from diapipe.numerics.interpolant import Interpolant
from diapipe.numerics.resample_rows import HOLE, SIGNIFICANT, ByteArray, Planes, Rule, SourceGrid, resample_rows
from diapipe.numerics.threads import over_bands

__all__ = ["SIGNIFICANT", "Planes", "SourceGrid", "resample"]


def resample(
    source: Planes,
    hole: BoolArray,
    grid: SourceGrid,
    *,
    shape: tuple[int, int],
    no_data: int,
    interpolant: Interpolant,
    max_hole_share: float = 0.04,
    n_threads: int = 1,
) -> Planes:
    """Resample three planes at the positions of a coarse grid.

    Parameters
    ----------
    source
        Planes to be resampled; non-finite values are allowed where ``hole`` is true.
    hole
        Source pixels that tell nothing, shape of the planes.
    grid
        Where the output pixels lie on the source.
    shape
        Rows and columns of the output.
    no_data
        Mask bits of an output pixel that cannot be computed: image and variance are NaN there.
    interpolant
        How to interpolate; stretched by the source pixels per output pixel along an axis where the source is the finer
        image, so that all of its pixels count and nothing is aliased.
    max_hole_share
        Share of Σ w² above which holes contaminate the output pixel. 0.04 is a single hole of weight 0.2.
    n_threads
        Threads to run at once; the result does not depend on it.

    Returns
    -------
    Planes
        The three planes of the output.
    """
    state = np.zeros(hole.shape, np.uint8)
    if hole.any():
        image, variance = fill_holes(source.image, source.variance, hole, n_threads=n_threads)
        source = Planes(image, variance, source.mask)
        _mark_holes(hole, state)
    along, _ = cubic_weights(np.arange(grid.step) / grid.step)
    rule = Rule(interpolant.polynomials, float(interpolant.stretch), float(max_hole_share), int(no_data))
    polynomials = interpolant.polynomials.astype(np.float32)
    output = Planes(np.empty(shape, np.float32), np.empty(shape, np.float32), np.empty(shape, np.int32))

    def work(first: int, last: int) -> None:
        taps = np.empty((2, interpolant.n_taps))
        resample_rows(source, state, grid, along, polynomials, rule, output, taps, first, last)

    over_bands(work, shape[0], n_threads=n_threads)
    return output


def _mark_holes(hole: BoolArray, state: ByteArray) -> None:
    """Mark the holes, and as near the pixels whose six taps from -2 to 3 along each axis touch one."""
    by_row = hole.copy()
    for offset in (-3, -2, -1, 1, 2):
        target, origin = _shifted(offset, hole.shape[1])
        by_row[:, target] |= hole[:, origin]
    near = by_row.copy()
    for offset in (-3, -2, -1, 1, 2):
        target, origin = _shifted(offset, hole.shape[0])
        near[target] |= by_row[origin]
    np.multiply(hole, HOLE, out=state, casting="unsafe")
    state |= near


def _shifted(offset: int, length: int) -> tuple[slice, slice]:
    """Slices that move an axis by ``offset``: target and origin."""
    if offset > 0:
        return slice(offset, None), slice(None, max(length - offset, 0))
    return slice(None, max(length + offset, 0)), slice(-offset, None)
