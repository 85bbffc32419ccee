"""The verb: bring an exposure onto other pixels, with everything that is known about it."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from astropy.wcs import WCS

from diapipe.images import Box, ChebyshevField, Exposure, MaskedImage, PhotoCalib
from diapipe.images.fields import field_terms
from diapipe.images.pixel_map import PixelMap
from diapipe.images.psf import WarpedPsf
from diapipe.steps.warp.base import AbstractWarp, empty

type How = Literal["identity", "shift by whole pixels", "interpolated"]


def through(
    pixel_map: PixelMap,
    source: Exposure,
    *,
    box: Box,
    wcs: WCS | None,
    warp: AbstractWarp,
    n_threads: int = 1,
) -> tuple[Exposure, How]:
    """An exposure on the pixels of ``box``, where a map says, and what had to be done for it."""
    shift = _whole_shift(pixel_map, warp.same_grid_px)
    if shift is None:
        return replace(_interpolated(source, box, pixel_map, warp, n_threads), wcs=wcs), "interpolated"
    moved = replace(_shifted(source, box, pixel_map, shift), wcs=wcs)
    return moved, "identity" if shift == (0, 0) else "shift by whole pixels"


def _whole_shift(pixel_map: PixelMap, tolerance: float) -> tuple[int, int] | None:
    """The shift by whole pixels (x, y) that the map is, or None if it is none."""
    x, y = pixel_map.node_positions
    dx, dy = pixel_map.x - x, pixel_map.y - y
    if not (np.isfinite(dx).all() and np.isfinite(dy).all()):
        return None
    shift = round(float(np.median(dx))), round(float(np.median(dy)))
    off = max(float(np.abs(dx - shift[0]).max()), float(np.abs(dy - shift[1]).max()))
    return shift if off <= tolerance else None


def _shifted(source: Exposure, box: Box, pixel_map: PixelMap, shift: tuple[int, int]) -> Exposure:
    """The source moved by whole pixels: its own pixels, NO_DATA where it does not reach."""
    dx, dy = shift
    wanted = box.shifted(x=dx, y=dy)
    if source.box.contains(wanted):
        part = source.masked_image[wanted]
        planes = MaskedImage(part.image, part.mask, part.variance, box)
    else:
        planes = _padded(source.masked_image, wanted, box)
    if shift == (0, 0):
        return replace(source, masked_image=planes)
    psf = None if source.psf is None else WarpedPsf(source.psf, pixel_map)
    return replace(_moved_fields(source, pixel_map, box), masked_image=planes, psf=psf)


def _padded(source: MaskedImage, wanted: Box, box: Box) -> MaskedImage:
    planes = empty(box)
    part = wanted.intersect(source.box)
    if part is not None:
        to, origin = part.slices_in(wanted), part.slices_in(source.box)
        planes.image[to], planes.variance[to] = source.image[origin], source.variance[origin]
        planes.mask[to] = source.mask[origin]
    return planes


def _interpolated(source: Exposure, box: Box, pixel_map: PixelMap, warp: AbstractWarp, n_threads: int) -> Exposure:
    planes = warp.resampled(source.masked_image, pixel_map, box, n_threads=n_threads)
    gain = warp.variance_gain(pixel_map, box, source.box, source.noise_correlation)
    if gain != 1.0:
        planes = replace(planes, variance=planes.variance * np.float32(gain))
    return replace(
        _moved_fields(source, pixel_map, box),
        masked_image=planes,
        psf=None if source.psf is None else WarpedPsf(source.psf, pixel_map, warp.interpolant(pixel_map)),
        noise_correlation=warp.noise_correlation(pixel_map, box, source.box, source.noise_correlation),
    )


def _moved_fields(source: Exposure, pixel_map: PixelMap, box: Box) -> Exposure:
    """Calibration and corrections of the source as fields over the box."""
    calib = source.photo_calib
    if calib is not None and calib.field is not None:
        calib = PhotoCalib(calib.mean, calib.error, _moved(calib.field, pixel_map, box))
    corrections = {name: _moved(field, pixel_map, box) for name, field in source.aperture_corrections.items()}
    return replace(source, photo_calib=calib, aperture_corrections=corrections)


def _moved(field: ChebyshevField, pixel_map: PixelMap, box: Box) -> ChebyshevField:
    """The field through a map, fitted with its own order where the map leads into the region of the field."""
    x, y = (
        grid.ravel() for grid in np.meshgrid(np.linspace(box.x0, box.x1 - 1, 32), np.linspace(box.y0, box.y1 - 1, 32))
    )
    source_x, source_y = pixel_map.at(x=x, y=y)
    own = field.box
    inside = (
        (source_x >= own.x0 - 0.5)
        & (source_x <= own.x1 - 0.5)
        & (source_y >= own.y0 - 0.5)
        & (source_y <= own.y1 - 0.5)
    )
    if inside.sum() < 2 * len(field.coefficients):
        nearest = field.at(x=own.x_center, y=own.y_center)
        return ChebyshevField.constant(float(nearest), box)
    values = field.at(x=source_x[inside], y=source_y[inside])
    terms = field_terms(box, field.order, x=x[inside], y=y[inside]).T
    coefficients, *_ = np.linalg.lstsq(terms, values, rcond=None)
    return ChebyshevField(coefficients, box)
