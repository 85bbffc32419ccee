"""Counts: of sources, of pixels, of kernel candidates; and the depth reached."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import numpy as np
from astropy.table import Table

from diapipe.images import UNUSABLE, UNUSABLE_DIFFERENCE, Box, Difference, Exposure, MaskedImage
from diapipe.images.photo_calib import ZERO_POINT_NJY
from diapipe.images.psf import SIGMA_TO_FWHM
from diapipe.numerics.arrays import BoolArray, FloatArray

NO_MAGNITUDE = "instrumental magnitude"
AB_MAGNITUDE = "AB magnitude"
_STRIP_ROWS = 16


class CandidatesLike(Protocol):
    """Stamps that a kernel was fitted to, as the match step reports them."""

    @property
    def x(self) -> FloatArray:
        """Centre, parent pixel coordinates."""

    @property
    def y(self) -> FloatArray:
        """Centre, parent pixel coordinates."""

    @property
    def flux(self) -> FloatArray:
        """On the science image."""

    @property
    def reduced_chi2(self) -> FloatArray:
        """Of the stamp under the final kernel."""

    @property
    def kept(self) -> BoolArray:
        """Took part in the final fit."""

    @property
    def why_rejected(self) -> tuple[str, ...]:
        """Empty for those kept."""


_LIKELY = 0.5


def source_counts(dia_sources: Table) -> dict[str, Any]:
    """How many sources of which kind; sky sources are none and counted by themselves."""
    sky = column_or(dia_sources, "sky_source", False)
    n_sky, dia_sources = int(sky.sum()), dia_sources[~sky]
    bad = column_or(dia_sources, "dp_bad", False)
    negative, dipole = column_or(dia_sources, "isNegative", False), column_or(dia_sources, "isDipole", False)
    flags = [name for name in dia_sources.colnames if name.startswith("pixelFlags_")]
    return {
        "dia_sources": len(dia_sources),
        "sky_sources": n_sky,
        "glints": int(column_or(dia_sources, "glint_trail", False).sum()),
        "good": int((~bad).sum()),
        "bad": int(bad.sum()),
        "good_positive": int((~bad & ~negative).sum()),
        "good_negative": int((~bad & negative).sum()),
        "good_dipoles": int((~bad & dipole).sum()),
        **_reliable(dia_sources),
        "flagged": {name: int(np.asarray(dia_sources[name]).sum()) for name in flags},
    }


def _reliable(dia_sources: Table) -> dict[str, Any]:
    """How many are more likely real than not, and by which model; nothing where no score was asked for."""
    if "reliability" not in dia_sources.colnames:
        return {}
    n_reliable = int(np.count_nonzero(np.asarray(dia_sources["reliability"]) >= _LIKELY))
    return {"reliable": n_reliable, "reliability_version": str(dia_sources.meta.get("reliabilityVersion", ""))}


def column_or(table: Table, name: str, default: bool) -> BoolArray:
    """A boolean column, or the default for every row where the table has none."""
    if name in table.colnames:
        return np.asarray(table[name], dtype=np.bool_)
    return np.full(len(table), default)


def pixel_counts(difference: MaskedImage, science: MaskedImage, template: MaskedImage) -> dict[str, float]:
    """Fractions of the pixels that cannot be used: on the difference, on its inputs, and those lost on the way."""
    lost = in_science = in_template = beyond = 0
    for strip in _strips(difference.box):
        of_difference = ~difference[strip].usable(UNUSABLE_DIFFERENCE)
        of_science, of_template = ~science[strip].usable(UNUSABLE), ~template[strip].usable(UNUSABLE)
        lost += int(np.count_nonzero(of_difference))
        in_science += int(np.count_nonzero(of_science))
        in_template += int(np.count_nonzero(of_template))
        beyond += int(np.count_nonzero(of_difference & ~of_science & ~of_template))
    n = max(1, difference.box.area)
    return {
        "n": difference.box.area,
        "masked_fraction": lost / n,
        "masked_fraction_science": in_science / n,
        "masked_fraction_template": in_template / n,
        "masked_fraction_beyond_inputs": beyond / n,
    }


def _strips(box: Box) -> Iterator[Box]:
    """The image in strips that stay in the processor's cache."""
    for y in range(box.y0, box.y1, _STRIP_ROWS):
        yield Box(y, min(y + _STRIP_ROWS, box.y1), box.x0, box.x1)


def candidate_counts(candidates: CandidatesLike) -> dict[str, Any]:
    """The kernel's candidates: how many were used, why the others were not, and each of them."""
    why = [reason for reason in candidates.why_rejected if reason]
    return {
        "offered": len(candidates.x),
        "used": int(np.asarray(candidates.kept).sum()),
        "rejected": dict(Counter(why).most_common()),
        "x": np.round(candidates.x, 1),
        "y": np.round(candidates.y, 1),
        "flux": candidates.flux,
        "reduced_chi2": candidates.reduced_chi2,
        "kept": candidates.kept,
    }


def depth(difference: MaskedImage, *, psf_fwhm_px: float | None, exposure: Exposure) -> dict[str, Any]:
    """Flux of a point source of five sigma at the median noise, in the unit of the sources, and its magnitude."""
    flux, scale = limiting_flux(difference, psf_fwhm_px=psf_fwhm_px), nanojansky_per_unit(exposure)
    unit = exposure.unit if scale is None else "nJy"
    if flux is None:
        return {"flux_5sigma": None, "magnitude_5sigma": None, "unit": unit}
    magnitude, kind = magnitudes(np.array([flux]), exposure)
    return {"flux_5sigma": flux * (scale or 1.0), "magnitude_5sigma": magnitude[0], "magnitude": kind, "unit": unit}


def limiting_flux(pixels: MaskedImage, *, psf_fwhm_px: float | None) -> float | None:
    """Flux of a point source of five sigma: 5 √(A V) with the median variance V and A = 1/ΣP² = 4π σ² (King 1983).

    Parameters
    ----------
    pixels
        Usable ones count, every eighth along rows and columns.
    psf_fwhm_px
        FWHM of the Gaussian of the PSF's noise-equivalent area; None gives None.
    """
    usable = (pixels.mask[::8, ::8] & np.int32(int(UNUSABLE_DIFFERENCE))) == 0
    variance = pixels.variance[::8, ::8][usable]
    variance = variance[np.isfinite(variance) & (variance > 0)]
    if psf_fwhm_px is None or len(variance) == 0:
        return None
    return float(5.0 * psf_fwhm_px / SIGMA_TO_FWHM * np.sqrt(4.0 * np.pi * np.median(variance)))


def limiting_magnitudes(
    science: Exposure, template: Exposure, difference: Difference, *, widths: Mapping[str, float | None]
) -> dict[str, Any]:
    """Magnitudes of point sources of five sigma on the three images, all on the science image's calibration.

    Parameters
    ----------
    science, template
        On one grid, the template before it was matched.
    difference
        Its kernel tells what a count of the template is worth.
    widths
        Noise-equivalent FWHM in pixels by ``science``, ``template``, ``difference``.
    """
    scale = difference.kernel.sum if difference.convolved == "template" else 1.0 / difference.kernel.sum
    images = {"science": science, "template": template, "difference": difference.exposure}
    found: dict[str, Any] = {}
    for name, image in images.items():
        flux = limiting_flux(image.masked_image, psf_fwhm_px=widths[name])
        factor = scale if name == "template" else 1.0
        found[name] = None if flux is None else magnitudes(np.array([factor * flux]), science)[0][0]
    return found | {"magnitude": magnitudes(np.ones(1), science)[1]}


def magnitudes(flux: FloatArray, exposure: Exposure) -> tuple[FloatArray, str]:
    """AB magnitudes where the exposure is calibrated, else -2.5 log10 of the flux; NaN where it is not positive."""
    calibration = nanojansky_per_unit(exposure)
    with np.errstate(invalid="ignore", divide="ignore"):
        instrumental = -2.5 * np.log10(np.where(flux > 0, flux, np.nan))
    if calibration is None:
        return instrumental, NO_MAGNITUDE
    return instrumental + 2.5 * np.log10(ZERO_POINT_NJY / calibration), AB_MAGNITUDE


def nanojansky_per_unit(exposure: Exposure) -> float | None:
    """What one unit of the pixels is worth, None where that is not known."""
    if exposure.unit == "nJy":
        return 1.0
    return exposure.photo_calib.mean if exposure.photo_calib is not None else None
