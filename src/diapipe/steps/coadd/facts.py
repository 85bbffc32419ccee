"""What is to be known of each input before pixels are summed: one look at it, one input in memory at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diapipe.errors import InputError
from diapipe.images import Box, Exposure, MaskedImage, ObservationInfo, WeightMap
from diapipe.images.psf.stacked import PsfPart, StackedPsf, parts_of, sampled_psf
from diapipe.numerics.arrays import BoolArray, Float32Array, FloatArray
from diapipe.numerics.blending import feathered_weights, missing_shares
from diapipe.numerics.resample_rows import Planes
from diapipe.steps.coadd.base import AbstractCoadder
from diapipe.steps.coadd.inputs import CoaddInput

_SAMPLE = 200_000
_LEAST_CELL_SHARE = 0.25
_THINNING = 2
_MEDIAN_VARIANCE = np.pi / 2.0  # of a median over that of a mean
FIELD_NODES = 12
"""Positions along each axis at which aperture corrections are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Facts:
    """An input as the coadd sees it.

    Attributes
    ----------
    input
        Where its pixels are.
    weight
        Of the whole image.
    variance
        Typical variance of its pixels, nJy².
    nodes
        Weights at the centres of cells of the coadd, those of the border included.
    parts
        Its PSFs with the part of it for which each holds, as polynomials; empty if unknown.
    correlation
        Autocorrelation of its noise.
    levels, level_weights
        Medians in large cells, and one over the variance that noise gives each, 0 where there is none; flattened.
    corrections
        Aperture corrections at `FIELD_NODES` x `FIELD_NODES` positions, by flux.
    info, visits
        Of the observation.
    """

    input: CoaddInput
    weight: float
    variance: float
    nodes: Float32Array
    parts: list[PsfPart]
    correlation: FloatArray | None
    levels: FloatArray
    level_weights: FloatArray
    corrections: dict[str, FloatArray]
    info: ObservationInfo
    visits: tuple[int, ...]


def facts_of(source: CoaddInput, box: Box, options: AbstractCoadder) -> Facts | None:
    """Look at an input; None if it has no usable pixel on the coadd.

    Raises
    ------
    InputError
        If its pixels have no variance.
    """
    exposure = source.read(box)
    if exposure is None:
        return None
    if not exposure.has_variance:
        raise InputError(f"{source.name} has no variance; a coadd needs it for the weights and for its own")
    pixels, usable = exposure.masked_image, exposure.masked_image.usable()
    if not usable.any():
        return None
    typical = _typical_variance(pixels, usable)
    correlation = exposure.noise_correlation
    shared = 1.0 if correlation is None else max(float(correlation.sum()), 1e-3)
    weight = 1.0 if options.weighting == "uniform" else 1.0 / (typical * shared)
    cells = _feathered(pixels, box, options)
    levels, numbers = cell_medians(pixels, usable, box, level_cell_px(box, options))
    return Facts(
        input=source,
        weight=weight,
        variance=typical,
        nodes=np.asarray(cells * np.float32(weight), dtype=np.float32),
        parts=_psf_parts(exposure, cells, box, options),
        correlation=correlation,
        levels=levels,
        level_weights=numbers / (_MEDIAN_VARIANCE * typical * shared),
        corrections=_corrections(exposure, box),
        info=exposure.info,
        visits=exposure.inputs or (exposure.info.visit,),
    )


def level_cell_px(box: Box, options: AbstractCoadder) -> int:
    """Side of the cells in which levels are seen: eight or more along the shorter side, if it has 256 px."""
    return max(32, min(options.level_cell_px, min(box.shape) // 8))


def cell_medians(pixels: MaskedImage, usable: BoolArray, box: Box, cell: int) -> tuple[FloatArray, FloatArray]:
    """Medians of the usable pixels in the cells of a box, and how many pixels each has; 0 for under a quarter of it."""
    rows, columns = -(-box.height // cell), -(-box.width // cell)
    medians, numbers = np.zeros((rows, columns)), np.zeros((rows, columns))
    for row in range(rows):
        for column in range(columns):
            own = Box(
                box.y0 + row * cell,
                min(box.y0 + (row + 1) * cell, box.y1),
                box.x0 + column * cell,
                min(box.x0 + (column + 1) * cell, box.x1),
            )
            part = own.intersect(pixels.box)
            if part is None:
                continue
            at = tuple(slice(s.start, s.stop, _THINNING) for s in part.slices_in(pixels.box))
            values = pixels.image[at][usable[at]]
            if len(values) * _THINNING**2 >= _LEAST_CELL_SHARE * cell**2:
                medians[row, column], numbers[row, column] = np.median(values), len(values)
    return medians.ravel(), numbers.ravel()


def cell_centres(box: Box, cell: int) -> tuple[FloatArray, FloatArray]:
    """The x and y of the middles of the cells of a box, flattened."""
    x = box.x0 + cell * (np.arange(-(-box.width // cell)) + 0.5) - 0.5
    y = box.y0 + cell * (np.arange(-(-box.height // cell)) + 0.5) - 0.5
    grid_x, grid_y = np.meshgrid(x, y)
    return grid_x.ravel(), grid_y.ravel()


def _typical_variance(pixels: MaskedImage, usable: BoolArray) -> float:
    step = max(1, int(np.sqrt(usable.size / _SAMPLE)))
    sample = pixels.variance[::step, ::step][usable[::step, ::step]]
    return float(np.median(sample if len(sample) else pixels.variance[usable]))


def _feathered(pixels: MaskedImage, box: Box, options: AbstractCoadder) -> Float32Array:
    """Weights of 0 to 1 that rise from where the image has pixels, at the cells of the coadd.

    Pixels of no use, as the core of a star, are left out one by one: around them the others of the image count fully.
    """
    rows, columns = pixels.box.slices_in(box)
    planes = Planes(pixels.image, pixels.variance, pixels.mask)
    missing = missing_shares(planes, box.shape, options.cell_px, columns.start, rows.start)
    return feathered_weights(missing, step=options.cell_px, feather_px=options.feather_px)


def _psf_parts(exposure: Exposure, cells: Float32Array, box: Box, options: AbstractCoadder) -> list[PsfPart]:
    """The PSF of an input, or those of the detectors that it is made of, each with its weights at the cells."""
    if exposure.psf is None:
        return []
    whole = cell_weights(cells, box, options.cell_px)
    if not isinstance(exposure.psf, StackedPsf):
        return [PsfPart(field=sampled_psf(exposure.psf, exposure.box, order=options.psf_order), weight=whole)]
    found = []
    x, y = cell_centres(box, options.cell_px)
    x, y = x.reshape(cells.shape), y.reshape(cells.shape)
    parts = parts_of(exposure.psf)
    shares = np.stack([part.weight.at(x=x, y=y) for part in parts])
    total = shares.sum(axis=0)
    shares = np.where(total > 0, shares / np.maximum(total, 1e-30), 1.0 / len(parts))
    for part, share in zip(parts, shares, strict=True):
        weight = (share * cells).astype(np.float32)
        if weight.any():
            found.append(PsfPart(field=part.field, weight=cell_weights(weight, box, options.cell_px)))
    return found


def cell_weights(values: Float32Array, box: Box, cell: int) -> WeightMap:
    """Weights at the centres of the cells of a coadd."""
    middle = 0.5 * (cell - 1)
    return WeightMap(values, box.x0 + middle, box.y0 + middle, float(cell))


def _corrections(exposure: Exposure, box: Box) -> dict[str, FloatArray]:
    x, y = field_positions(box)
    return {name: field.at(x=x, y=y) for name, field in exposure.aperture_corrections.items()}


def field_positions(box: Box) -> tuple[FloatArray, FloatArray]:
    """The x and y of `FIELD_NODES` x `FIELD_NODES` positions over a box, flattened."""
    fraction = (np.arange(FIELD_NODES) + 0.5) / FIELD_NODES
    x, y = np.meshgrid(box.x0 + fraction * box.width - 0.5, box.y0 + fraction * box.height - 0.5)
    return x.ravel(), y.ravel()
