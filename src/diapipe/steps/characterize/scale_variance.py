"""scale_variance: one factor that brings a variance plane to the scatter that the pixels show."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from scipy import ndimage

from diapipe.errors import InputError
from diapipe.images import UNUSABLE_DIFFERENCE, Box, MaskedImage, MaskPlane, MeshField
from diapipe.numerics import background as meshes
from diapipe.numerics import stats
from diapipe.numerics.arrays import BoolArray, Float32Array, FloatArray
from diapipe.steps.limits import Limited

NOT_SKY = MaskPlane.DETECTED | MaskPlane.DETECTED_NEGATIVE | MaskPlane.INTRP | UNUSABLE_DIFFERENCE
"""Planes whose pixels do not scatter as the sky does; the unusable ones of a difference are filled before it is made
white, and scatter less: a satellite's trail on 8% of a detector made errors 8% too small.
"""

TILE_PX, N_TILES = 256, 4
"""A large image is looked at on 4 x 4 tiles of this side: a million pixels tell the factor to 0.3%."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleVariance(Limited):
    """How the factor is measured.

    Attributes
    ----------
    planes
        Pixels with any of these are left out.
    background_cell_px
        Side of the cells of the sky that is taken off first; 0 takes nothing off.
    source_sigma
        Where the mean of 3 x 3 pixels is this far from the sky, in units of its own scatter, stands a source, marked or
        not; None believes the mask alone.
    grow_px
        Those are grown by this much.
    limit
        A factor above this is not believed.
    """

    may_be_zero: ClassVar[tuple[str, ...]] = ("background_cell_px", "planes", "grow_px")

    planes: MaskPlane = NOT_SKY
    background_cell_px: int = 32
    source_sigma: float | None = 4.0
    grow_px: int = 5
    limit: float = 10.0


class ScaledVariance(NamedTuple):
    """An image with its variance multiplied by ``factor``, and how that was found (``none``: too few pixels, 1)."""

    masked_image: MaskedImage
    factor: float
    mode: Literal["pixel", "image", "none"]


def scale_variance(
    masked_image: MaskedImage, *, options: ScaleVariance | None = None, name: str = "the image"
) -> ScaledVariance:
    """Multiply the variance plane by what the scatter of the source-free pixels says.

    Parameters
    ----------
    masked_image
        Science image, template or difference; a new one is returned.
    options
        What to leave out, and the limit.
    name
        What messages call it.

    Raises
    ------
    InputError
        If both ways give a factor above the limit: the plane is no variance of this image.

    Notes
    -----
    In pixels, (0.7413 IQR of I/√V)². Where that exceeds the limit, as on an image with a few tiny variances, (0.7413
    IQR of I)² / median V (SPEC I). The original relies on a mask in which all sources are marked; without, it takes
    their wings for scatter, which on a field of 5 stars a square arcminute is 5% to 10%, on a crowded one everything.
    """
    options = options or ScaleVariance()
    image, variance = _sky_pixels(masked_image, options)
    if len(image) < 2:
        return ScaledVariance(masked_image, 1.0, "none")
    mode: Literal["pixel", "image"] = "pixel"
    factor = by_pixel = stats.robust_sigma(image / np.sqrt(variance)) ** 2
    if not factor <= options.limit:
        mode, factor = "image", stats.robust_sigma(image) ** 2 / float(np.median(variance))
    if not factor <= options.limit:
        raise InputError(
            f"the pixels of {name} have {by_pixel:.3g} times the variance that they claim, {factor:.3g} times its "
            f"median; at most {options.limit:g} is mended by a factor: check its unit and the mask",
            factor=factor,
        )
    scaled = masked_image.variance * np.float32(factor)
    return ScaledVariance(replace(masked_image, variance=scaled), factor, mode)


def _sky_pixels(masked_image: MaskedImage, options: ScaleVariance) -> tuple[FloatArray, FloatArray]:
    """Pixels less the sky, and their variances, where there is nothing but sky."""
    values, variances = [], []
    for box in _sampled(masked_image.box):
        part = masked_image[box]
        good = part.usable(options.planes)
        level = _sky(part, good, options.background_cell_px)
        if options.source_sigma is not None and good.any():
            good &= ~_sources(part, level, good, n_sigma=options.source_sigma, grow_px=options.grow_px)
            level = _sky(part, good, options.background_cell_px)
        values.append(part.image[good].astype(np.float64) - level[good])
        variances.append(part.variance[good].astype(np.float64))
    return np.concatenate(values), np.concatenate(variances)


def _sources(part: MaskedImage, level: Float32Array, good: BoolArray, *, n_sigma: float, grow_px: int) -> BoolArray:
    """Pixels near which the mean of 3 x 3 stands out of the sky, to either side: a difference has both."""
    pulls = np.zeros(good.shape, np.float32)
    pulls[good] = (part.image[good] - level[good]) / np.sqrt(part.variance[good])
    smooth = ndimage.uniform_filter(pulls, 3)
    low, centre = np.percentile(smooth[good], [15.87, 50.0])  # sources of positive light leave the lower half alone
    far = np.abs(smooth - centre) > n_sigma * (centre - low)
    return np.asarray(ndimage.maximum_filter(far, 2 * grow_px + 1), dtype=np.bool_)


def _sampled(box: Box) -> list[Box]:
    """The image, or tiles on a regular grid over a large one."""
    if box.area <= N_TILES**2 * TILE_PX**2 or min(box.shape) < N_TILES * TILE_PX:
        return [box]
    rows, columns = (np.linspace(0, length - TILE_PX, N_TILES).astype(int) for length in box.shape)
    corners = [(box.y0 + int(row), box.x0 + int(column)) for row in rows for column in columns]
    return [Box(y, y + TILE_PX, x, x + TILE_PX) for y, x in corners]


def _sky(part: MaskedImage, good: BoolArray, cell: int) -> Float32Array:
    """The smooth level through the modes of cells; shape of the image."""
    flat = np.zeros(good.shape, np.float32)
    if cell == 0 or not good.any():
        return flat
    rows, columns = (meshes.cell_edges(length, cell) for length in good.shape)
    pixels = np.where(good, part.image, np.float32(np.nan))
    cells = meshes.cell_statistics(pixels, rows=rows, columns=columns)
    trusted = np.isfinite(cells.level)
    if not trusted.any():
        return flat + np.float32(np.median(pixels[good]))
    level = meshes.smooth_mesh(cells.level, trusted, tolerance=np.inf)
    y, x = (0.5 * (edges[1:] + edges[:-1] - 1.0).astype(np.float64) for edges in (rows, columns))
    return MeshField(level, x, y).over(Box.from_shape(good.shape))
