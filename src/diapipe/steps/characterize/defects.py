"""What an image tells of its own bad pixels: no value, padded, saturated, bled over, in a bad column."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diapipe.images import Exposure, MaskPlane
from diapipe.numerics import blobs, lines, padding
from diapipe.numerics.arrays import Float32Array, MaskArray
from diapipe.steps.limits import Limited


@dataclass(frozen=True, slots=True, kw_only=True)
class Defects(Limited):
    """How saturated pixels and bad columns are found.

    Attributes
    ----------
    saturation_counts
        Level from which on a pixel is saturated; None: as the exposure says, else where bright sources are cut flat.
    saturation_margin
        Share of the level below it that counts as saturated: charge spills before the ceiling is reached.
    grow_pixels
        Saturated regions are grown by this much, for the charge that bled into their borders.
    plateau_tolerance
        Nine neighbouring pixels equal to this fraction are a flat top, which no PSF has.
    find_bad_columns
        Flag columns that stand out from those beside them.
    """

    may_be_zero = ("saturation_margin", "grow_pixels", "plateau_tolerance")
    shares = ("saturation_margin",)

    saturation_counts: float | None = None
    saturation_margin: float = 0.02
    grow_pixels: int = 2
    plateau_tolerance: float = 0.015
    find_bad_columns: bool = True


@dataclass(frozen=True, slots=True)
class Saturation:
    """The level used, in counts of the image, and where it comes from; None where nothing is saturated."""

    level: float | None
    source: str


def flag_defects(exposure: Exposure, *, options: Defects) -> tuple[MaskArray, Saturation]:
    """Mask of an exposure: its own where it brought one, else NO_DATA, SAT and BAD columns from the pixels.

    Pixels without a finite value, and regions filled with one value as resampling programs leave them beyond the data,
    are NO_DATA in either case.
    """
    pixels = exposure.masked_image
    lost = ~np.isfinite(pixels.image)
    padded = padding.constant_regions(pixels.image, below=_half_height(pixels.image))
    if padded is not None:
        lost |= padded
    any_lost = bool(lost.any())
    if exposure.has_mask:
        mask = pixels.mask | (lost * np.int32(MaskPlane.NO_DATA)) if any_lost else pixels.mask
        return mask, Saturation(options.saturation_counts or exposure.info.saturation, "given")
    mask = lost * np.int32(MaskPlane.NO_DATA) if any_lost else np.zeros(pixels.shape, np.int32)
    columns = lines.bad_columns(pixels.image) if options.find_bad_columns else None
    if columns is not None:
        mask[columns] |= np.int32(MaskPlane.BAD)
    saturation = _saturation(exposure, options)
    if saturation.level is not None:
        margin = options.saturation_margin * abs(saturation.level) if saturation.source != "measured" else 0.0
        above = blobs.pixels_above(pixels.image, saturation.level - margin)
        blobs.set_around(mask, above, options.grow_pixels, int(MaskPlane.SAT))
    return mask, saturation


def _saturation(exposure: Exposure, options: Defects) -> Saturation:
    """Saturation level from the options, the exposure, or the pixels."""
    if options.saturation_counts is not None:
        return Saturation(options.saturation_counts, "option")
    if exposure.info.saturation is not None:
        return Saturation(exposure.info.saturation, "given")
    level = flat_top_level(exposure.masked_image.image, tolerance=options.plateau_tolerance)
    return Saturation(level, "none found" if level is None else "measured")


def _half_height(image: Float32Array) -> float:
    """Middle between the sky and the highest value: flat tops of sources lie above, padding below."""
    sample = image[:: max(1, len(image) // 64)]
    finite = sample[np.isfinite(sample)]
    if len(finite) == 0:
        return float("inf")
    highest = float(np.fmax.reduce(image, axis=None))
    return 0.5 * (float(np.median(finite)) + (highest if np.isfinite(highest) else float(finite.max())))


def flat_top_level(image: Float32Array, *, tolerance: float) -> float | None:
    """Level at which the brightest sources are cut off flat; None if they are not.

    A flat top is a pixel all of whose eight neighbours are within ``tolerance`` of it, among the pixels above half of
    the highest value. Three of them at one level, within a tenth, are needed; the level is set 3% below the lowest.
    """
    finite = np.where(np.isfinite(image), image, -np.inf)
    highest, sky = float(finite.max()), float(np.median(finite[:: max(1, len(finite) // 64)]))
    rows, columns = np.nonzero(finite[1:-1, 1:-1] > sky + 0.5 * (highest - sky))
    if len(rows) < 9:
        return None
    around = np.stack([finite[rows + i, columns + j] for i in range(3) for j in range(3)]) - sky
    flat = (around.max(axis=0) - around.min(axis=0)) < tolerance * around[4]
    if not flat.any():
        return None
    tops = around[4][flat]
    at_ceiling = tops[tops > 0.9 * tops.max()]
    return None if len(at_ceiling) < 3 else float(sky + 0.97 * at_ceiling.min())
