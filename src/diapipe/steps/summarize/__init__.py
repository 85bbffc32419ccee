"""summarize: everything about a difference that is worth a number, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from astropy.table import Table

from diapipe.images import ChebyshevField, Difference, Exposure
from diapipe.numerics.whitening import noise_gain
from diapipe.steps.summarize.concerns import concerns
from diapipe.steps.summarize.footprint_ratios import (
    FootprintRatios,
    SubtractionCheck,
    footprint_ratios,
    refuse_bad_subtraction,
)
from diapipe.steps.summarize.noise import NoiseCheck, check_noise
from diapipe.steps.summarize.objects import summarize_objects, with_forced_fluxes
from diapipe.steps.summarize.parts import (
    AlignedLike,
    CharacterizedLike,
    CleanedLike,
    DetectionsLike,
    MatchLike,
    RegistrationLike,
)
from diapipe.steps.summarize.plain import plain
from diapipe.steps.summarize.psf_widths import describe_psf
from diapipe.steps.summarize.reasons import why_convolved
from diapipe.steps.summarize.star_facts import star_facts
from diapipe.steps.summarize.star_residuals import StarResiduals, star_residuals
from diapipe.steps.summarize.tally import (
    candidate_counts,
    depth,
    limiting_magnitudes,
    pixel_counts,
    source_counts,
)
from diapipe.steps.summarize.template_fluxes import objects_with_template_fluxes, with_template_fluxes

__all__ = [
    "SCHEMA",
    "FootprintRatios",
    "MatchLike",
    "NoiseCheck",
    "StarResiduals",
    "SubtractionCheck",
    "check_noise",
    "concerns",
    "footprint_ratios",
    "objects_with_template_fluxes",
    "plain",
    "refuse_bad_subtraction",
    "star_facts",
    "star_residuals",
    "summarize",
    "summarize_objects",
    "with_forced_fluxes",
    "with_template_fluxes",
]

SCHEMA = "diapipe-summary/1"
"""Name and version of the layout of `summary.json`."""


def summarize(
    *,
    science: CharacterizedLike,
    template: CharacterizedLike,
    registration: RegistrationLike,
    aligned: AlignedLike,
    match: MatchLike,
    difference: Difference,
    cleaned: CleanedLike,
    detections: DetectionsLike,
    dia_sources: Table,
    seconds: Mapping[str, float],
) -> dict[str, Any]:
    """Summary of a difference; plain values that strict JSON holds.

    Parameters
    ----------
    science, template
        The inputs as characterized, each on its own grid.
    registration
        What was fitted between the grids.
    aligned
        The template on the science grid, before it was matched.
    match
        The fit of the kernel.
    difference
        The result, whitened or not.
    cleaned
        What was masked on it beyond the masks of the images.
    detections, dia_sources
        What changed.
    seconds
        Wall-clock time by stage.
    """
    exposure, pixels = difference.exposure, difference.exposure.masked_image
    psf = _psf_facts(science.exposure, aligned.exposure, exposure, template.exposure)
    summary = {
        "schema": SCHEMA,
        "science": _exposure_facts(science.exposure),
        "template": _exposure_facts(template.exposure),
        "flux_unit": _flux_unit(dia_sources, exposure),
        "pixel_unit": exposure.unit,
        "convolved": match.convolved,
        "convolved_reason": why_convolved(match, difference),
        "alignment": _alignment_facts(aligned, registration),
        "psf": psf,
        "kernel": _kernel_facts(match, difference),
        "background": _background_facts(match.background, unit=exposure.unit),
        "candidates": candidate_counts(match.candidates),
        "noise": plain(check_noise(pixels, detections.score, science.exposure.masked_image))
        | _excess_facts(difference),
        "masked_on_difference": {
            "cosmic_ray_pixels": cleaned.n_cosmic_ray_pixels,
            "streaks": list(cleaned.streaks),
        },
        "residuals": _residual_facts(footprint_ratios(difference, science.exposure, match)),
        "stars": star_facts(difference.exposure, science.stars, science.exposure),
        "pixels": pixel_counts(pixels, science.exposure.masked_image, aligned.exposure.masked_image),
        "limiting_magnitudes": limiting_magnitudes(
            science.exposure, aligned.exposure, difference, widths=_depth_widths(psf)
        ),
        "depth": depth(pixels, psf_fwhm_px=_width(psf["difference"], "noise_equivalent_fwhm_px"), exposure=exposure),
        "counts": {"threshold_sigma": detections.threshold_sigma, "searched": detections.searched}
        | source_counts(dia_sources),
        "steps": {
            "science": without(science.summary, "warnings"),
            "template": without(template.summary, "warnings"),
        },
        "seconds": dict(seconds),
    }
    values: dict[str, Any] = plain(summary)
    values["warnings"] = [
        *(as_sentence(text) for part in (science, template) for text in part.summary.get("warnings", ())),
        *map(as_sentence, match.warnings),
        *concerns(values),
    ]
    return values


def as_sentence(text: str) -> str:
    """The text with a full stop; what begins with the name of a file keeps it as it is."""
    return text if text.endswith(".") else f"{text}."


def without(mapping: Mapping[str, Any], key: str) -> dict[str, Any]:
    """The mapping less one key."""
    return {k: v for k, v in mapping.items() if k != key}


def _residual_facts(found: FootprintRatios) -> dict[str, Any]:
    """What is left of the stars of the kernel."""
    return {"n_stars": len(found.ratio), "footprint_ratio_mean": found.mean, "footprint_ratio_std": found.std}


def _depth_widths(psf: Mapping[str, Any]) -> dict[str, float | None]:
    """Noise-equivalent widths of the three PSFs."""
    return {name: _width(psf[name], "noise_equivalent_fwhm_px") for name in ("science", "template", "difference")}


def _flux_unit(dia_sources: Table, difference: Exposure) -> str:
    """Unit of the fluxes in the table: not that of the pixels where these are calibrated in another one."""
    unit = dia_sources["psfFlux"].unit if "psfFlux" in dia_sources.colnames else None
    return difference.unit if unit is None else str(unit)


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


def _psf_facts(science: Exposure, template: Exposure, difference: Exposure, own: Exposure) -> dict[str, Any]:
    """The PSFs of all images and the ratio of the seeing."""
    facts: dict[str, Any] = {
        "science": describe_psf(science.psf, science.box),
        "template": describe_psf(template.psf, science.box),
        "difference": describe_psf(difference.psf, science.box),
    }
    widths = _width(facts["science"]), _width(facts["template"])
    facts["seeing_ratio"] = widths[0] / widths[1] if widths[0] and widths[1] else None
    facts["pixel_scale_arcsec"] = _pixel_scale(science)
    facts["template_own_grid_fwhm_px"] = _width(describe_psf(own.psf, own.box))
    return facts


def _alignment_facts(aligned: AlignedLike, registration: RegistrationLike) -> dict[str, Any]:
    """How the template came onto the science grid, and what the stars said about the WCSs."""
    return {
        "how": aligned.how,
        "coverage": aligned.coverage,
        "registration_applied": aligned.registration_applied,
        "stars_matched": registration.n_matched,
        "order": registration.order,
        "rms_before_px": registration.rms_before_px,
        "rms_after_px": registration.rms_after_px,
        "rms_displacement_px": registration.rms_displacement_px,
        "significance": registration.significance,
    }


def _width(described: dict[str, Any] | None, kind: str = "fwhm_px") -> float | None:
    """Width of a described PSF."""
    return None if described is None else float(described[kind])


def _pixel_scale(exposure: Exposure) -> float | None:
    """Side of a pixel of equal area, arcsec; None without a WCS."""
    if exposure.wcs is None:
        return None
    return float(3600.0 * np.sqrt(abs(np.linalg.det(exposure.wcs.pixel_scale_matrix))))


def _kernel_facts(match: MatchLike, difference: Difference) -> dict[str, Any]:
    """Size, order, basis and sum of the kernel, and what was made of it."""
    kernel, box = match.kernel, match.kernel.box
    corners = [
        kernel.sum_at(x=box.x0 + fx * (box.width - 1), y=box.y0 + fy * (box.height - 1))
        for fx in (0, 1)
        for fy in (0, 1)
    ]
    return {
        "size_px": kernel.size,
        "spatial_order": match.spatial_order,
        "relative_error": match.relative_error,
        "basis": match.basis,
        "fitted_to": match.fitted_to,
        "sum": kernel.sum,
        "sum_error": match.kernel_sum_error,
        "sum_range": [min(corners), max(corners)],
        "whitened": difference.whitening is not None,
        "proper": difference.template_filter is not None,
    }


def _excess_facts(difference: Difference) -> dict[str, Any]:
    """What the difference showed of noise beyond what its inputs claim, and was given in its variance and errors."""
    exposure = difference.exposure
    factor = 1.0
    if exposure.psf is not None and exposure.noise_correlation is not None:
        psf = exposure.psf.kernel_image(x=exposure.box.x_center, y=exposure.box.y_center)
        factor = noise_gain(psf, exposure.noise_correlation)
    return {"variance_factor": difference.variance_factor, "flux_error_factor": float(np.sqrt(factor))}


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
