"""The verb: bring a template onto the science grid."""

from __future__ import annotations

from dataclasses import dataclass

from diapipe.errors import NoOverlapError
from diapipe.images import Exposure, MaskedImage
from diapipe.images.pixel_map import PixelMap
from diapipe.steps.template.mapping import distance_arcmin, template_positions
from diapipe.steps.template.registration import Registration
from diapipe.steps.warp import AbstractWarp, How, WienerWarp, through

LARGEST_ARCMIN = 300.0
"""Farther apart than this images are told to be in degrees."""


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
