"""A science image and its template with sources of known truth in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy.table import Table

from diapipe.catalogs.stars import StarList
from diapipe.errors import InputError
from diapipe.images import Exposure
from diapipe.images.sky import between
from diapipe.numerics import pairs
from diapipe.numerics.arrays import FloatArray
from diapipe.steps.inject.adding import inject

_FEWEST = 5
"""Common stars needed to tell what the template's counts are worth."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InjectedPair:
    """Two images with what was put into them.

    Attributes
    ----------
    science, template
        With `MaskPlane.INJECTED` where something was added.
    sources
        Columns of `diapipe.catalogs.injections.INJECTION`, fluxes as the difference has them.
    """

    science: Exposure
    template: Exposure
    sources: Table


def inject_pair(
    science: Exposure,
    stars: StarList,
    template: Exposure,
    template_stars: StarList,
    *,
    sources: Table,
    rng: np.random.Generator,
) -> InjectedPair:
    """Put sources into a pair of characterized images.

    What faded is given like the rest, as it would be on the science image, and added to the template with the flux that
    makes it as bright there: by the calibrations where both have one, else by the stars that both show.

    Parameters
    ----------
    science, template
        With PSF, variance and mask; the template on any grid.
    stars, template_stars
        Their sources.
    sources
        Of `choose` or `given_on`, for the science image.
    rng
        Of the photons.

    Raises
    ------
    InputError
        If an image has no PSF, or something is to fade and neither calibrations nor five common stars tell how the
        counts of the images compare.
    """
    sources = Table(sources, copy=True)
    faded = np.asarray(sources["is_faded"])
    x, y = _on(template, science, np.asarray(sources["x"]), np.asarray(sources["y"]))
    margin = 4.0
    box = template.box
    there = (x > box.x0 + margin) & (x < box.x1 - 1 - margin) & (y > box.y0 + margin) & (y < box.y1 - 1 - margin)
    sources, faded, x, y = sources[there], faded[there], x[there], y[there]
    fading = sources[faded]
    if len(fading):
        ratio = _counts_per_count(science, stars, template, template_stars)
        fading["x"], fading["y"], fading["flux"] = x[faded], y[faded], np.asarray(fading["flux"]) * ratio
        template = inject(template, fading, rng=rng)
    science = inject(science, sources[~faded], rng=rng)
    sources["flux"][faded] *= -1.0
    return InjectedPair(science=science, template=template, sources=sources)


def _on(template: Exposure, science: Exposure, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Pixels of the template under pixels of the science image; images without a WCS have one grid."""
    if science.wcs is None or template.wcs is None or science.wcs is template.wcs:
        return x, y
    return between(science.wcs, template.wcs)(x, y)


def _counts_per_count(science: Exposure, stars: StarList, template: Exposure, template_stars: StarList) -> float:
    """Counts of the template for one of the science image."""
    calibs = science.photo_calib, template.photo_calib
    if calibs[0] is not None and calibs[1] is not None:
        return calibs[0].mean / calibs[1].mean
    good = stars.is_star & ~stars.is_saturated & stars.is_isolated
    there = template_stars.is_star & ~template_stars.is_saturated
    of_science, of_template = stars.select(good), template_stars.select(there)
    psf = template.psf
    radius = 1.0 if psf is None else psf.fwhm_at(x=template.box.x_center, y=template.box.y_center)
    found = pairs.mutual(
        np.stack(_on(template, science, of_science.x, of_science.y), axis=1),
        np.stack([of_template.x, of_template.y], axis=1),
        radius=radius,
    )
    if len(found.first) < _FEWEST:
        raise InputError(
            f"{science.name} and {template.name} show {len(found.first)} stars together and have no calibrations; "
            f"{_FEWEST} stars, or both calibrations, are needed to put sources into the template"
        )
    return float(np.median(of_template.flux[found.second] / of_science.flux[found.first]))
