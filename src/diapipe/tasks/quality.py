"""How good a difference is, in the few numbers that a survey follows from visit to visit."""

from __future__ import annotations

import numpy as np

from diapipe.catalogs.stars import BRIGHT_SIGNAL_TO_NOISE, StarList
from diapipe.images import Difference
from diapipe.numerics.stats import robust_sigma, thinned
from diapipe.steps.summarize.star_residuals import star_residuals
from diapipe.steps.template import Registration

_SAMPLE = 100_000


def quality(difference: Difference, stars: StarList, registration: Registration | None) -> dict[str, float]:
    """Numbers for the metadata; one that cannot be told is left out.

    Parameters
    ----------
    difference
        As it is written.
    stars
        Of the science image.
    registration
        What they said about the WCSs.

    Returns
    -------
    dict
        ``noiseRatio``: robust scatter of the usable pixels over what their variance claims, 1 at best;
        ``starReducedChi2``: median of the reduced chi-square in the footprints of bright stars, 1 at best;
        ``registrationRms`` in science pixels per axis, of what is left between the stars of both images, and
        ``registrationStars``, their number.
    """
    found = {"noiseRatio": _noise_ratio(difference), "starReducedChi2": _star_chi2(difference, stars)}
    if registration is not None:
        applied = registration.is_significant
        found["registrationRms"] = registration.rms_after_px if applied else registration.rms_before_px
        found["registrationStars"] = float(registration.n_matched)
    return {name: float(value) for name, value in found.items() if np.isfinite(value)}


def _noise_ratio(difference: Difference) -> float:
    """Scatter of a sample of the pixels, in their own noise."""
    planes = difference.exposure.masked_image
    noise = np.sqrt(np.where(planes.usable(), planes.variance, np.nan))
    return robust_sigma(thinned(planes.image, _SAMPLE) / thinned(noise, _SAMPLE))


def _star_chi2(difference: Difference, stars: StarList) -> float:
    """Median over the bright stars."""
    psf = difference.exposure.psf
    if psf is None or not len(stars):
        return float("nan")
    found = star_residuals(difference.exposure.masked_image, stars, psf)
    bright = found.reduced_chi2[found.residual_fraction_err * BRIGHT_SIGNAL_TO_NOISE < 1.0]
    return float(np.nanmedian(bright)) if np.isfinite(bright).any() else float("nan")
