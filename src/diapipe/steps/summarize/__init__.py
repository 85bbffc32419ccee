"""summarize: everything about a difference that is worth a number, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from astropy.table import Table

from diapipe.catalogs.stars import StarList
from diapipe.images import ChebyshevField, Difference, Exposure, MaskedImage, SpatialKernel
from diapipe.images.psf import Psf
from diapipe.steps.summarize.concerns import concerns
from diapipe.steps.summarize.noise import NoiseCheck, check_noise
from diapipe.steps.summarize.plain import plain
from diapipe.steps.summarize.psf_widths import describe_psf
from diapipe.steps.summarize.star_residuals import StarResiduals, star_residuals
from diapipe.steps.summarize.tally import (
    CandidatesLike,
    candidate_counts,
    depth,
    magnitudes,
    pixel_counts,
    source_counts,
)

__all__ = [
    "SCHEMA",
    "MatchLike",
    "NoiseCheck",
    "StarResiduals",
    "check_noise",
    "concerns",
    "plain",
    "star_residuals",
    "summarize",
]

SCHEMA = "diapipe-summary/1"
"""Name and version of the layout of `summary.json`."""
BRIGHT_SIGNAL_TO_NOISE = 200.0
"""Stars above this are the bright ones of the summary: their Poisson noise is below half a percent."""


class MatchLike(Protocol):
    """A fitted matching kernel, as the match step reports it."""

    @property
    def kernel(self) -> SpatialKernel:
        """Maps the convolved image onto the other."""

    @property
    def background(self) -> ChebyshevField:
        """Science above matched template."""

    @property
    def convolved(self) -> str:
        """Which image was convolved."""

    @property
    def reason(self) -> str:
        """Why that one, in words."""

    @property
    def candidates(self) -> CandidatesLike:
        """The stamps of the fit."""

    @property
    def spatial_order(self) -> int:
        """Polynomial order of the kernel over the image."""

    @property
    def basis(self) -> str:
        """The basis in words."""


def summarize(
    difference: Difference,
    *,
    science: Exposure,
    template: Exposure,
    match: MatchLike,
    stars: StarList,
    score: MaskedImage,
    dia_sources: Table,
    template_own_psf: Psf | None = None,
    steps: Mapping[str, Mapping[str, Any]] | None = None,
    warnings: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Summary of a difference; plain values that strict JSON holds.

    Parameters
    ----------
    difference
        The result, whitened or not.
    science, template
        What was subtracted, characterized and on one grid; the template before it was matched.
    match
        The fit.
    stars
        Sources of the science image.
    score
        The matched-filter score, with DETECTED planes in its mask.
    dia_sources
        The catalogue.
    template_own_psf
        PSF of the template on its own grid, for its width before the warp.
    steps
        What other steps say of themselves, by name ("science", "template", "registration", ...); put in as it is.
    warnings
        What other steps warn of; those found here are added.
    """
    exposure = difference.exposure
    psf = _psf_facts(science, template, exposure, template_own_psf)
    summary = {
        "schema": SCHEMA,
        "science": _exposure_facts(science),
        "template": {"name": template.name},
        "flux_unit": exposure.unit,
        "convolved": match.convolved,
        "convolved_reason": match.reason,
        "psf": psf,
        "kernel": _kernel_facts(match, whitened=difference.whitening is not None),
        "background": _background_facts(match.background, unit=exposure.unit),
        "candidates": candidate_counts(match.candidates),
        "noise": check_noise(exposure.masked_image, score, science.masked_image),
        "stars": _star_facts(exposure.masked_image, stars, science),
        "pixels": pixel_counts(exposure.masked_image, science.masked_image, template.masked_image),
        "depth": depth(exposure.masked_image, psf_fwhm_px=_width(psf["difference"]), exposure=exposure),
        "counts": source_counts(dia_sources),
        "steps": steps or {},
    }
    values: dict[str, Any] = plain(summary)
    values["warnings"] = [*warnings, *concerns(values)]
    return values


def _exposure_facts(exposure: Exposure) -> dict[str, Any]:
    """What identifies an exposure."""
    info = exposure.info
    return {
        "name": exposure.name,
        "unit": exposure.unit,
        "width": exposure.box.width,
        "height": exposure.box.height,
        "visit": info.visit,
        "detector": info.detector,
        "band": info.band,
        "mjd_midpoint": info.mjd_midpoint,
    }


def _psf_facts(science: Exposure, template: Exposure, difference: Exposure, own: Psf | None) -> dict[str, Any]:
    """The PSFs of all images and the ratio of the seeing."""
    facts: dict[str, Any] = {
        "science": describe_psf(science.psf, science.box),
        "template": describe_psf(template.psf, science.box),
        "difference": describe_psf(difference.psf, science.box),
    }
    widths = _width(facts["science"]), _width(facts["template"])
    facts["seeing_ratio"] = widths[0] / widths[1] if widths[0] and widths[1] else None
    facts["pixel_scale_arcsec"] = _pixel_scale(science)
    facts["template_own_grid_fwhm_px"] = _width(describe_psf(own, template.box))
    return facts


def _width(described: dict[str, Any] | None) -> float | None:
    """FWHM of a described PSF."""
    return None if described is None else float(described["fwhm_px"])


def _pixel_scale(exposure: Exposure) -> float | None:
    """Side of a pixel of equal area, arcsec; None without a WCS."""
    if exposure.wcs is None:
        return None
    return float(3600.0 * np.sqrt(abs(np.linalg.det(exposure.wcs.pixel_scale_matrix))))


def _kernel_facts(match: MatchLike, *, whitened: bool) -> dict[str, Any]:
    """Size, order, basis and sum of the kernel."""
    kernel, box = match.kernel, match.kernel.box
    corners = [
        kernel.sum_at(x=box.x0 + fx * (box.width - 1), y=box.y0 + fy * (box.height - 1))
        for fx in (0, 1)
        for fy in (0, 1)
    ]
    return {
        "size_px": kernel.size,
        "spatial_order": match.spatial_order,
        "basis": match.basis,
        "sum": kernel.sum,
        "sum_range": [min(corners), max(corners)],
        "whitened": whitened,
    }


def _background_facts(background: ChebyshevField, *, unit: str) -> dict[str, Any]:
    """What was left of background between the images."""
    box = background.box
    x, y = np.meshgrid(np.linspace(box.x0, box.x1 - 1, 9), np.linspace(box.y0, box.y1 - 1, 9))
    values = background.at(x=x, y=y)
    return {
        "order": background.order,
        "mean": float(values.mean()),
        "min": float(values.min()),
        "max": float(values.max()),
        "unit": unit,
    }


def _star_facts(difference: MaskedImage, stars: StarList, science: Exposure) -> dict[str, Any]:
    """Residuals at stars: medians, and each star for the plot."""
    if science.psf is None or not len(stars):
        return {"n": 0, "median_reduced_chi2_bright": None, "median_reduced_chi2_faint": None, "magnitude": None}
    found = star_residuals(difference, stars, science.psf)
    error = found.flux * found.residual_fraction_err
    bright = found.flux > BRIGHT_SIGNAL_TO_NOISE * error
    magnitude, kind = magnitudes(found.flux, science)
    return {
        "n": len(found),
        "n_bright": int(bright.sum()),
        "median_reduced_chi2_bright": _median(found.reduced_chi2[bright]),
        "median_reduced_chi2_faint": _median(found.reduced_chi2[~bright]),
        "magnitude_kind": kind,
        "magnitude": np.round(magnitude, 3),
        "reduced_chi2": np.round(found.reduced_chi2, 3),
        "residual_fraction": np.round(found.residual_fraction, 6),
        "residual_fraction_err": np.round(found.residual_fraction_err, 6),
        "x": np.round(found.x, 1),
        "y": np.round(found.y, 1),
    }


def _median(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float | None:
    """Median of the finite values; None where there are none."""
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else None
