"""The sky: a mesh of modes, with the sources masked, and a spline through it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from diapipe.errors import InputError
from diapipe.images import UNUSABLE, Box, MeshField
from diapipe.numerics import background as meshes
from diapipe.numerics.arrays import BoolArray, Float32Array, FloatArray, IntArray, MaskArray
from diapipe.numerics.polynomials import chebyshev_terms, n_terms
from diapipe.steps.limits import Limited

N_REWEIGHTINGS = 5

TREND_ORDER = 3
"""Order of the polynomial from which a cell may be an outlier."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackgroundMesh(Limited):
    """How the sky is measured.

    Attributes
    ----------
    cell_pixels
        Side of a mesh cell; None: an eighth of the image's shorter side, between 96 and 256 px.
    source_sigma
        A block of pixels this far above the sky, in units of its own scatter, is a source.
    grow_pixels
        Sources are grown by this much.
    least_sky_fraction
        A cell with less source-free area takes its level from its neighbours.
    crowded_sky_fraction
        Where less of the whole image is free of sources, cells follow the density of the stars, not the sky: then only
        a polynomial through them counts.
    crowded_order
        Order of that polynomial.
    least_free_pixels
        Where fewer pixels are free of sources the darkest count as free, so that there are some to tell the noise: of
        2000 its variance is known to some percent.
    """

    may_be_zero = ("grow_pixels", "crowded_order", "least_sky_fraction", "crowded_sky_fraction", "least_free_pixels")
    shares = ("least_sky_fraction", "crowded_sky_fraction")

    cell_pixels: int | None = None
    source_sigma: float = 3.0
    grow_pixels: int = 8
    least_sky_fraction: float = 0.1
    crowded_sky_fraction: float = 0.2
    crowded_order: int = 2
    least_free_pixels: int = 2000


@dataclass(frozen=True, slots=True, eq=False)
class Sky:
    """What was found out about the sky.

    Attributes
    ----------
    background
        The level.
    is_source
        Blocks of pixels with a source on them, grown; shape (rows // block, columns // block).
    is_lit
        The same but for the darkest where sources are everywhere.
    block
        Side of a block in pixels.
    """

    background: MeshField
    is_source: BoolArray
    is_lit: BoolArray
    block: int

    def source_free(self, mask: MaskArray) -> BoolArray:
        """Usable pixels outside all sources; shape of ``mask``. The rest of an incomplete block counts as a source."""
        return self._without(self.is_source, mask)

    def dark(self, mask: MaskArray) -> BoolArray:
        """The same, or where sources leave next to none the darkest pixels between them."""
        return self._without(self.is_lit, mask)

    def _without(self, blocks: BoolArray, mask: MaskArray) -> BoolArray:
        free = np.zeros(mask.shape, np.bool_)
        wide = np.repeat(~blocks, self.block, axis=1)
        bits = np.int32(int(UNUSABLE))
        for row, line in enumerate(wide):
            rows = np.s_[row * self.block : (row + 1) * self.block, : wide.shape[1]]
            np.equal(mask[rows] & bits, 0, out=free[rows], where=line)
        return free


def measure_sky(
    image: Float32Array, mask: MaskArray, box: Box, *, options: BackgroundMesh, name: str = "the image"
) -> Sky:
    """Measure the smooth level under the sources.

    Statistics are taken of means over blocks of 4 x 4 pixels (2 x 2 on small images): the scatter of the pixels is then
    small against the sources, and a sixteenth of the numbers remains. The first mesh finds the sources; a second, of
    what is left above the first where no source is, is added to it. Where next to nothing is left, as in crowded
    fields, a polynomial through the first is the result.

    Raises
    ------
    InputError
        If no usable pixel is left.
    """
    block = 4 if min(box.shape) >= 384 else 2
    blocks = meshes.block_means(image, mask, int(UNUSABLE), block)
    cell = options.cell_pixels or int(np.clip(min(box.shape) // 8, 96, 256))
    rows, columns = meshes.cell_edges(blocks.shape[0], cell // block), meshes.cell_edges(blocks.shape[1], cell // block)
    first = meshes.cell_statistics(blocks, rows=rows, columns=columns)
    if not np.isfinite(first.level).any():
        found = int(np.count_nonzero((mask & np.int32(int(UNUSABLE))) == 0))
        raise InputError(
            f"{found} of the {box.area} pixels of {name} are usable, too few to measure its sky", found=found
        )
    level = _smooth(first, np.isfinite(first.level), rows, columns)
    excess = blocks - _over(level, rows, columns)
    is_source = _sources(excess, float(np.nanmedian(first.sigma)), block, options)
    second = meshes.cell_statistics(np.where(is_source, np.float32(np.nan), excess), rows=rows, columns=columns)
    area = np.outer(np.diff(rows), np.diff(columns))
    trusted = np.isfinite(second.level) & (second.n >= options.least_sky_fraction * area)
    if trusted.mean() >= 0.25:
        # where the sky slopes within a cell, the first mesh was less certain by that much
        tolerance = max(_tolerance(second), 0.4 * _tolerance(first))
        level = level + np.pad(meshes.smooth_mesh(second.level, trusted, tolerance=tolerance), 1, mode="edge")
    if np.mean(~is_source) < options.crowded_sky_fraction:
        level = _trend(level[1:-1, 1:-1], rows, columns, options.crowded_order)
    least = -(-options.least_free_pixels // block**2)
    is_lit = is_source if np.count_nonzero(~is_source) >= least else _but_the_darkest(excess, least)
    y, x = _nodes(rows), _nodes(columns)
    return Sky(MeshField(level, box.x0 - 0.5 + block * x, box.y0 - 0.5 + block * y), is_source, is_lit, block)


def _smooth(cells: meshes.CellStatistics, trusted: BoolArray, rows: IntArray, columns: IntArray) -> FloatArray:
    """Mesh from border to border without holes and outliers; corners that follow the trend of the image are none."""
    known = meshes.smooth_mesh(cells.level, trusted, tolerance=np.inf)
    trend = _trend(known, rows, columns, TREND_ORDER)
    left = meshes.smooth_mesh(known - trend[1:-1, 1:-1], trusted, tolerance=_tolerance(cells))
    return trend + np.pad(left, 1, mode="edge")


def _over(level: FloatArray, rows: IntArray, columns: IntArray) -> Float32Array:
    """Spline through a mesh at every block: their middles are half a block from their borders."""
    frame = Box.from_shape((int(rows[-1]), int(columns[-1])))
    return MeshField(level, _nodes(columns) - 0.5, _nodes(rows) - 0.5).over(frame)


def _trend(level: FloatArray, rows: IntArray, columns: IntArray, order: int) -> FloatArray:
    """The polynomial through the cells of least absolute deviation, by reweighting, from border to border."""
    while order > 0 and 2 * n_terms(order) > level.size:
        order -= 1
    v, u = (2.0 * _nodes(edges) / edges[-1] - 1.0 for edges in (rows, columns))
    at_x, at_y = np.meshgrid(u, v)
    everywhere = chebyshev_terms(at_x, at_y, order)
    terms = everywhere[:, 1:-1, 1:-1].reshape(n_terms(order), -1).T
    values, weight = level.ravel(), np.ones(level.size)
    for _ in range(N_REWEIGHTINGS):
        root = np.sqrt(weight)[:, None]
        solution, *_ = np.linalg.lstsq(root * terms, root[:, 0] * values, rcond=None)
        left = np.abs(values - terms @ solution)
        weight = 1.0 / np.maximum(left, max(1.4826 * float(np.median(left)), 1e-12))
    return np.asarray(np.tensordot(solution, everywhere, axes=1), dtype=np.float64)


def _tolerance(cells: meshes.CellStatistics) -> float:
    """A cell that is off by more than half the block scatter holds a bright source's wings."""
    return 0.5 * float(np.nanmedian(cells.sigma))


def _nodes(edges: IntArray) -> FloatArray:
    """Middles of the cells and, around them, the borders of the image, in blocks."""
    return np.concatenate([edges[:1], 0.5 * (edges[:-1] + edges[1:]), edges[-1:]]).astype(np.float64)


def _sources(excess: Float32Array, sigma: float, block: int, options: BackgroundMesh) -> BoolArray:
    """Blocks that stand above the sky when smoothed over 3 x 3, grown, and those without a value."""
    smooth, unknown = _smoothed(excess)
    reach = -(-options.grow_pixels // block)
    above = ndimage.maximum_filter(smooth > options.source_sigma * sigma / 3.0, 2 * reach + 1)
    return np.asarray(above | unknown, dtype=np.bool_)


def _but_the_darkest(excess: Float32Array, least: int) -> BoolArray:
    """All blocks but ``least`` or somewhat more: those of the lowest means of 3 x 3, whole, so that pixels of the
    noise's reach lie together.
    """
    smooth, unknown = _smoothed(excess)
    smooth[unknown] = np.inf
    darkest, count = np.argsort(smooth, axis=None, kind="stable"), -(-least // 9)
    while True:
        free = np.zeros(excess.shape, np.bool_)
        free.flat[darkest[:count]] = True
        free = ndimage.maximum_filter(free, 3) & ~unknown
        if np.count_nonzero(free) >= least or count >= free.size:
            return np.asarray(~free)
        count *= 2


def _smoothed(excess: Float32Array) -> tuple[Float32Array, BoolArray]:
    """Means over 3 x 3 blocks, and which blocks have no value."""
    unknown = ~np.isfinite(excess)
    return ndimage.uniform_filter(np.where(unknown, np.float32(0.0), excess), 3, mode="nearest"), unknown
