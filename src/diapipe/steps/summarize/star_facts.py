"""What is left of the stars of a difference, as plain values for the summary."""

from __future__ import annotations

from typing import Any

import numpy as np

from diapipe.catalogs.stars import BRIGHT_SIGNAL_TO_NOISE, StarList
from diapipe.images import Exposure
from diapipe.steps.summarize.star_residuals import AT_MOST, star_residuals
from diapipe.steps.summarize.tally import magnitudes


def star_facts(difference: Exposure, stars: StarList, science: Exposure, *, at_most: int = AT_MOST) -> dict[str, Any]:
    """Residuals at stars: medians, and each star for the plot.

    Parameters
    ----------
    difference
        With its PSF, or that of the science image.
    stars
        Of the science image.
    science
        Its calibration makes magnitudes.
    at_most
        Number of stars.
    """
    psf = difference.psf or science.psf
    if psf is None or not len(stars):
        return {"n": 0, "median_reduced_chi2_bright": None, "median_reduced_chi2_faint": None, "magnitude": None}
    found = star_residuals(difference.masked_image, stars, psf, at_most=at_most)
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
