"""What background is left on a difference, on the finest mesh on which there is any."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from diapipe.images.box import Box
from diapipe.images.fields import field_terms
from diapipe.images.mesh_field import MeshField
from diapipe.numerics import background as meshes
from diapipe.numerics.arrays import BoolArray, Float32Array, FloatArray, MaskArray, RealArray
from diapipe.numerics.stats import robust_sigma, thinned

BLOCK_PX = 4
"""Pixels are averaged in blocks of this side first: fewer numbers, and single bad pixels do not count."""

CELLS_PX = (48, 96, 192)
"""Sides of the meshes tried, finest first."""

LEAST_CELLS = 3
"""Along either axis: four cells do not tell by their scatter whether there is anything."""

LEAST_CELL_SIGMAS = 14.0
"""Cells narrower than this many sigma of the PSF follow sources: at 9 a flux is low by 3%, at 14 by 0.3%."""

SIGNIFICANT = 2.0
"""A mesh is used where the scatter of its cells is above this many times their variance: else it would only add
noise.
"""

SOURCE_SIGMA = 4.0
"""What rises or sinks by so much over a PSF is a source, and no background; it is left out, `SOURCE_REACH` sigma of the
PSF around: with its light in the cells a flux was low by 1% where the seeing was two arcsec.
"""

SOURCE_REACH = 3.0

OUTLIER = 5.0
"""A cell this many scatters away from its surroundings holds the light of a saturated star, and takes their level."""

ORDER = 2
"""Polynomial order of what is looked for where no mesh shows anything."""

LEAST_EXPLAINED = 4.0
"""χ² that each of its coefficients must explain on average; noise gives 1, and this with all six once in 2000."""

MEDIAN_CHI2 = 0.455
"""Median of χ² with one degree of freedom."""

MEDIAN_ERROR = 1.2533
"""Error of a median in units of that of a mean, √(π/2)."""

LEAST_SCATTER = 1e-6
"""Of blocks in units of the noise: below is rounding, as where an image is subtracted from itself."""


def residual_background(
    pull: RealArray, mask: MaskArray, bad_bits: int, box: Box, *, psf_sigma_px: float = 0.0
) -> MeshField | None:
    """Smooth level of a difference in units of its noise, or None where there is none to be seen.

    Parameters
    ----------
    pull
        Difference over its sigma; NaN pixels are ignored.
    mask
        Same shape.
    bad_bits
        Planes whose pixels do not count.
    box
        Where the pixels lie.
    psf_sigma_px
        Width of a source: meshes that would follow it are not tried.

    Notes
    -----
    The finest mesh that shows more than its own noise, else a plane or a parabola if it explains cells of the finest:
    six numbers are well known even where no single cell is.
    """
    blocks = meshes.block_means(np.asarray(pull, dtype=np.float32), mask, bad_bits, BLOCK_PX)
    for cell_px in (side for side in CELLS_PX if side >= LEAST_CELL_SIGMAS * psf_sigma_px):
        cell = cell_px // BLOCK_PX
        if min(blocks.shape) < LEAST_CELLS * cell:
            break
        level, error = _levels(blocks, cell)
        known = np.isfinite(level)
        if not known.any() or np.median((level[known] / error[known]) ** 2) < MEDIAN_CHI2 * SIGNIFICANT:
            continue
        trend = _trend(level, known)
        smooth = trend + meshes.smooth_mesh(level - trend, known, tolerance=_tolerance(level - trend, error, known))
        above, error = _levels(_above(blocks, smooth, cell, psf_sigma_px), cell)
        known = np.isfinite(above)
        if known.any():
            smooth = smooth + meshes.smooth_mesh(above, known, tolerance=_tolerance(above, error, known))
        return _field(smooth, cell, box)
    return _parabola(blocks, CELLS_PX[0] // BLOCK_PX, box)


def _above(blocks: Float32Array, smooth: FloatArray, cell: int, psf_sigma_px: float) -> Float32Array:
    """Blocks less the mesh ``smooth``, NaN where something as wide as the PSF stands out of it."""
    y, x = (cell * (np.arange(n, dtype=np.float64) + 0.5) - 0.5 for n in smooth.shape)
    above = blocks - MeshField(smooth, x, y).over(Box.from_shape(blocks.shape))
    known = np.isfinite(above)
    seen = ndimage.gaussian_filter(np.where(known, above, np.float32(0.0)), max(psf_sigma_px / BLOCK_PX, 0.5))
    is_source = np.abs(seen) > SOURCE_SIGMA * robust_sigma(thinned(seen[known], 100_000))
    reach = int(np.ceil(SOURCE_REACH * psf_sigma_px / BLOCK_PX))
    near = ndimage.maximum_filter(is_source, size=2 * reach + 1)
    above[near] = np.nan
    return above


def _field(level: FloatArray, cell: int, box: Box) -> MeshField:
    """Values of cells with their centres."""
    y, x = (BLOCK_PX * cell * (np.arange(n, dtype=np.float64) + 0.5) - 0.5 for n in level.shape)
    return MeshField(level, x + box.x0, y + box.y0)


def _parabola(blocks: Float32Array, cell: int, box: Box) -> MeshField | None:
    """The polynomial of `ORDER` through the cells, on their mesh; None if it is not significant."""
    level, error = _levels(blocks, cell)
    field = _field(level, cell, box)
    x, y = np.meshgrid(field.x, field.y)
    terms = field_terms(box, ORDER, x=x, y=y)
    use = np.isfinite(level)
    for _ in range(2):
        if np.count_nonzero(use) < 3 * len(terms):
            return None
        design, target = (terms[:, use] / error[use]).T, level[use] / error[use]
        solution, *_ = np.linalg.lstsq(design, target, rcond=None)
        fitted = np.tensordot(solution, terms, axes=1)
        use &= np.abs(level - fitted) < OUTLIER * error
    explained = float((target**2).sum() - ((target - design @ solution) ** 2).sum())
    return replace(field, values=fitted) if explained > LEAST_EXPLAINED * len(terms) else None


def _trend(level: FloatArray, known: BoolArray) -> FloatArray:
    """The polynomial of `ORDER` through the cells but for outliers; 0 where too few are known.

    Of a level that rises towards a corner the corner's cell stands out from its neighbours, as if a star were in it.
    """
    box = Box.from_shape(level.shape)
    x, y = np.meshgrid(np.arange(box.width, dtype=np.float64), np.arange(box.height, dtype=np.float64))
    terms, use = field_terms(box, ORDER, x=x, y=y), known.copy()
    trend = np.zeros(level.shape)
    for _ in range(3):
        if np.count_nonzero(use) < 3 * len(terms):
            return np.zeros(level.shape)
        solution, *_ = np.linalg.lstsq(terms[:, use].T, level[use], rcond=None)
        trend = np.tensordot(solution, terms, axes=1)
        left = np.where(known, level - trend, np.inf)
        use = np.abs(left) <= OUTLIER * robust_sigma(left[known])
    return trend


def _tolerance(level: FloatArray, error: FloatArray, known: BoolArray) -> FloatArray:
    """How far a cell may lie from the median of those around it: its error, or what cells usually do on this mesh."""
    if min(level.shape) < 3:
        return np.where(known, np.inf, 0.0)
    nearest = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
    whole = level[tuple(nearest)]
    usual = robust_sigma((whole - ndimage.median_filter(whole, size=3, mode="nearest"))[known])
    return np.where(known, OUTLIER * np.maximum(error, usual), 0.0)


def _levels(blocks: Float32Array, cell: int) -> tuple[FloatArray, FloatArray]:
    """Median of the blocks of every cell and its error, above zero; NaN where fewer than a quarter of them are good."""
    n_y, n_x = blocks.shape[0] // cell, blocks.shape[1] // cell
    cells = blocks[: n_y * cell, : n_x * cell].reshape(n_y, cell, n_x, cell).swapaxes(1, 2).reshape(n_y, n_x, cell**2)
    ordered = np.sort(cells, axis=2)
    n = np.count_nonzero(np.isfinite(ordered), axis=2)
    # both middle values, so that the difference turned round has the level turned round
    below, above = (
        np.take_along_axis(ordered, k[..., None], axis=2)[..., 0] for k in (np.maximum(n - 1, 0) // 2, n // 2)
    )
    middle = 0.5 * (below + above)
    level = np.where(4 * n >= cell**2, middle, np.nan).astype(np.float64)
    scatter = max(robust_sigma(thinned(blocks, 100_000)), LEAST_SCATTER)
    error = MEDIAN_ERROR * scatter / np.sqrt(np.maximum(n, 1))
    return level, error
