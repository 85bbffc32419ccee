"""The verb: bring a template onto the science grid."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from astropy.wcs import WCS

from diapipe.errors import NoOverlapError
from diapipe.images import Box, ChebyshevField, Exposure, MaskedImage, PhotoCalib
from diapipe.images.fields import field_terms
from diapipe.images.pixel_map import PixelMap
from diapipe.images.psf import WarpedPsf
from diapipe.steps.template.base import AbstractWarp, empty
from diapipe.steps.template.mapping import distance_arcmin, template_positions
from diapipe.steps.template.registration import Registration
from diapipe.steps.template.wiener import WienerWarp

LARGEST_ARCMIN = 300.0
"""Farther apart than this images are told to be in degrees."""

type How = Literal["identity", "shift by whole pixels", "interpolated"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AlignedTemplate:
    """The template on the science grid.

    Attributes
    ----------
    exposure
        On the science image's box and WCS, with PSF, calibration, corrections and noise correlation as they are there.
    coverage
        Fraction of the science pixels on which the template is usable.
    how
        What had to be done.
    pixel_map
        Where the science pixels lie on the template, registration included if it was applied.
    registration_applied
        Whether the displacement fitted on stars is part of the map.
    """

    exposure: Exposure
    coverage: float
    how: How
    pixel_map: PixelMap
    registration_applied: bool


def warp_onto(
    template: Exposure,
    science: Exposure,
    *,
    registration: Registration | None = None,
    warp: AbstractWarp | None = None,
    n_threads: int = 1,
) -> AlignedTemplate:
    """Bring a template onto the pixels of a science image.

    WCSs and registration make one map and one interpolation. Where the map is a shift by whole pixels, nothing is
    interpolated.

    Parameters
    ----------
    template, science
        Both with a WCS, or both without one and of one shape.
    registration
        From `register`; applied if it is significant.
    warp
        How to interpolate.
    n_threads
        Threads to run at once; the result does not depend on it.

    Returns
    -------
    AlignedTemplate
        The template on the box of the science image, and how it came there.

    Raises
    ------
    InputError
        If the WCSs cannot be compared.
    NoOverlapError
        If the template covers too little of the science image.
    """
    warp = warp or WienerWarp()
    pixel_map = template_positions(science, template)
    _require_overlap(pixel_map, template, science)
    applied = registration is not None and registration.is_significant
    if registration is not None and applied:
        x, y = pixel_map.node_positions
        dx, dy = registration.displacement
        pixel_map = pixel_map.moved(dx.at(x=x, y=y), dy.at(x=x, y=y))
    exposure, how = through(pixel_map, template, box=science.box, wcs=science.wcs, warp=warp, n_threads=n_threads)
    coverage = _required_coverage(exposure.masked_image, template, science, warp)
    return AlignedTemplate(
        exposure=exposure, coverage=coverage, how=how, pixel_map=pixel_map, registration_applied=applied
    )


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


def _require_overlap(pixel_map: PixelMap, template: Exposure, science: Exposure) -> None:
    """Refuse before any pixel is touched if the mapped region misses the template."""
    reach = pixel_map.source_box()
    if reach is None or reach.intersect(template.box) is None:
        arcmin = distance_arcmin(science, template)
        far = f"{arcmin:.1f} arcmin" if arcmin < LARGEST_ARCMIN else f"{arcmin / 60.0:.0f} degrees"
        raise NoOverlapError(
            f"cannot difference {science.name}: its WCS lies {far} from the template's nearest edge "
            f"({template.name}); check CRVAL or give another template",
            distance_arcmin=arcmin,
        )


def _required_coverage(aligned: MaskedImage, template: Exposure, science: Exposure, warp: AbstractWarp) -> float:
    coverage = float(aligned.usable().mean())
    if coverage < warp.required_template_fraction or coverage == 0.0:
        raise NoOverlapError(
            f"cannot difference {science.name}: usable pixels of the template {template.name} cover {coverage:.1%} of "
            f"it; at least {warp.required_template_fraction:.0%} are needed",
            coverage=coverage,
        )
    return coverage


def _whole_shift(pixel_map: PixelMap, tolerance: float) -> tuple[int, int] | None:
    """The shift by whole pixels (x, y) that the map is, or None if it is none."""
    x, y = pixel_map.node_positions
    dx, dy = pixel_map.x - x, pixel_map.y - y
    if not (np.isfinite(dx).all() and np.isfinite(dy).all()):
        return None
    shift = round(float(np.median(dx))), round(float(np.median(dy)))
    off = max(float(np.abs(dx - shift[0]).max()), float(np.abs(dy - shift[1]).max()))
    return shift if off <= tolerance else None


def _shifted(template: Exposure, box: Box, pixel_map: PixelMap, shift: tuple[int, int]) -> Exposure:
    """The template moved by whole pixels: its own pixels, NO_DATA where it does not reach."""
    dx, dy = shift
    wanted = box.shifted(x=dx, y=dy)
    if template.box.contains(wanted):
        part = template.masked_image[wanted]
        planes = MaskedImage(part.image, part.mask, part.variance, box)
    else:
        planes = _padded(template.masked_image, wanted, box)
    if shift == (0, 0):
        return replace(template, masked_image=planes)
    psf = None if template.psf is None else WarpedPsf(template.psf, pixel_map)
    return replace(_moved_fields(template, pixel_map, box), masked_image=planes, psf=psf)


def _padded(source: MaskedImage, wanted: Box, box: Box) -> MaskedImage:
    planes = empty(box)
    part = wanted.intersect(source.box)
    if part is not None:
        to, origin = part.slices_in(wanted), part.slices_in(source.box)
        planes.image[to], planes.variance[to] = source.image[origin], source.variance[origin]
        planes.mask[to] = source.mask[origin]
    return planes


def _interpolated(template: Exposure, box: Box, pixel_map: PixelMap, warp: AbstractWarp, n_threads: int) -> Exposure:
    planes = warp.resampled(template.masked_image, pixel_map, box, n_threads=n_threads)
    gain = warp.variance_gain(pixel_map, box, template.box, template.noise_correlation)
    if gain != 1.0:
        planes = replace(planes, variance=planes.variance * np.float32(gain))
    return replace(
        _moved_fields(template, pixel_map, box),
        masked_image=planes,
        psf=None if template.psf is None else WarpedPsf(template.psf, pixel_map, warp.interpolant(pixel_map)),
        noise_correlation=warp.noise_correlation(pixel_map, box, template.box, template.noise_correlation),
    )


def _moved_fields(template: Exposure, pixel_map: PixelMap, box: Box) -> Exposure:
    """Calibration and corrections of the template as fields over the science box."""
    calib = template.photo_calib
    if calib is not None and calib.field is not None:
        calib = PhotoCalib(calib.mean, calib.error, _moved(calib.field, pixel_map, box))
    corrections = {name: _moved(field, pixel_map, box) for name, field in template.aperture_corrections.items()}
    return replace(template, photo_calib=calib, aperture_corrections=corrections)


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
