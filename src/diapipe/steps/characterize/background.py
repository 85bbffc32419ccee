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

N_REWEIGHTINGS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class BackgroundMesh:
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
    """

    cell_pixels: int | None = None
    source_sigma: float = 3.0
    grow_pixels: int = 8
    least_sky_fraction: float = 0.1
    crowded_sky_fraction: float = 0.2
    crowded_order: int = 2


@dataclass(frozen=True, slots=True, eq=False)
class Sky:
    """What was found out about the sky.

    Attributes
    ----------
    background
        The level.
    is_source
        Blocks of pixels with a source on them, grown; shape (rows // block, columns // block).
    block
        Side of a block in pixels.
    """

    background: MeshField
    is_source: BoolArray
    block: int

    def source_free(self, mask: MaskArray) -> BoolArray:
        """Usable pixels outside all sources; shape of ``mask``. The rest of an incomplete block counts as a source."""
        free = np.zeros(mask.shape, np.bool_)
        wide = np.repeat(~self.is_source, self.block, axis=1)
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
    small against the sources, and a sixteenth of the numbers remains. The first mesh finds the sources, the second,
    with the sources masked and grown, is the result; where next to nothing is left, as in crowded fields, a polynomial
    through the first is.

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
    centre_x, centre_y = _centres(columns, block, box.x0), _centres(rows, block, box.y0)
    level = meshes.smooth_mesh(first.level, np.isfinite(first.level), tolerance=_tolerance(first))
    is_source = _sources(blocks, level, float(np.nanmedian(first.sigma)), rows, columns, block, options)
    second = meshes.cell_statistics(np.where(is_source, np.float32(np.nan), blocks), rows=rows, columns=columns)
    area = np.outer(np.diff(rows), np.diff(columns))
    trusted = np.isfinite(second.level) & (second.n >= options.least_sky_fraction * area)
    if trusted.mean() >= 0.25:
        level = meshes.smooth_mesh(second.level, trusted, tolerance=_tolerance(second))
    if np.mean(~is_source) < options.crowded_sky_fraction:
        level = _polynomial(level, options.crowded_order)
    return Sky(MeshField(level, centre_x, centre_y), is_source, block)


def _polynomial(level: FloatArray, order: int) -> FloatArray:
    """A mesh as the polynomial through its own cells of least absolute deviation, by reweighting."""
    v, u = (np.linspace(-1.0, 1.0, n) if n > 1 else np.zeros(1) for n in level.shape)
    while order > 0 and 2 * n_terms(order) > level.size:
        order -= 1
    terms = chebyshev_terms(*np.meshgrid(u, v), order).reshape(n_terms(order), -1).T
    values, weight = level.ravel(), np.ones(level.size)
    for _ in range(N_REWEIGHTINGS):
        root = np.sqrt(weight)[:, None]
        solution, *_ = np.linalg.lstsq(root * terms, root[:, 0] * values, rcond=None)
        left = np.abs(values - terms @ solution)
        weight = 1.0 / np.maximum(left, max(1.4826 * float(np.median(left)), 1e-12))
    return np.asarray((terms @ solution).reshape(level.shape), dtype=np.float64)


def _tolerance(cells: meshes.CellStatistics) -> float:
    """A cell that is off by more than half the block scatter holds a bright source's wings."""
    return 0.5 * float(np.nanmedian(cells.sigma))


def _centres(edges: IntArray, block: int, origin: int) -> FloatArray:
    """Middles of the cells in parent coordinates."""
    return origin - 0.5 + block * _middles(edges)


def _middles(edges: IntArray) -> FloatArray:
    """Middle between each border and the next."""
    return np.asarray(0.5 * (edges[:-1] + edges[1:]), dtype=np.float64)


def _sources(
    blocks: Float32Array,
    level: FloatArray,
    sigma: float,
    rows: IntArray,
    columns: IntArray,
    block: int,
    options: BackgroundMesh,
) -> BoolArray:
    """Blocks that stand above the sky when smoothed over 3 x 3, grown, and those without a value."""
    across = meshes.spline_matrix(_middles(columns), np.arange(0.5, blocks.shape[1], dtype=np.float64))
    down = meshes.spline_matrix(_middles(rows), np.arange(0.5, blocks.shape[0], dtype=np.float64))
    excess = blocks - (down @ level @ across.T).astype(np.float32)
    unknown = ~np.isfinite(excess)
    excess[unknown] = 0.0
    smooth = ndimage.uniform_filter(excess, 3, mode="nearest")
    reach = -(-options.grow_pixels // block)
    above = ndimage.maximum_filter(smooth > options.source_sigma * sigma / 3.0, 2 * reach + 1)
    return np.asarray(above | unknown, dtype=np.bool_)
