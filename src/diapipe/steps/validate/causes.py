"""Why a source is there that nothing true explains."""

from __future__ import annotations

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from diapipe.images import Psf
from diapipe.numerics.arrays import BoolArray

KNOWN = "known object"
"""Cause of a source at the place of an object that was seen on other visits too: no noise, but told by them alone."""
CAUSES = ("edge", "artefact", "cosmic ray", "bright star", "galaxy", "noise", "unknown", KNOWN)
"""In the order in which they are tried."""

STAR_RATIO = 0.1
"""A source with less than this part of the light of a star beside it may be what is left of the star."""
STATIC_RATIO = 0.5
"""A source that is lower than this part of the static light under it may be what is left of that."""
NOISE_SNR = 6.5
"""Noise makes no brighter source on images of any size: one in 10^10."""
_SHARP = 5.0


def causes_of(sources: Table) -> NDArray[np.str_]:
    """The likeliest cause of each DIA source, if it is no change of the sky.

    Returns
    -------
    NDArray
        One of `CAUSES` for each, but `KNOWN`: *unknown* is what none of the others explains, as a real change.
    """
    told = {
        "edge": _any(sources, "pixelFlags_edge", "pixelFlags_nodata", "pixelFlags_offimage"),
        "artefact": _any(
            sources,
            "pixelFlags_bad",
            "pixelFlags_interpolated",
            "pixelFlags_saturated",
            "pixelFlags_saturated_template",
            "pixelFlags_streak",
            "glint_trail",
        ),
        "cosmic ray": _any(sources, "pixelFlags_cr") | (np.asarray(sources["dp_sharpness"]) > _SHARP),
        "bright star": np.asarray(sources["dp_starRatio"]) < STAR_RATIO,
        "galaxy": np.asarray(sources["dp_templateRatio"]) < STATIC_RATIO,
        "noise": np.abs(np.asarray(sources["snr"])) < NOISE_SNR,
    }
    longest = f"U{max(map(len, CAUSES))}"
    return np.select(list(told.values()), np.array(list(told), longest), default=np.array("unknown", longest))


def expected_noise_density(psf: Psf, *, x: float, y: float, threshold: float) -> float:
    """Peaks of either sign above a threshold that white noise alone makes on each pixel.

    The mean number of maxima of a smooth Gaussian field above u is, for high u, its mean Euler characteristic
    λ u exp(-u²/2) / (2π)^(3/2) (Adler 1981), with λ the mean square slope of the field along an axis in units of its
    variance: of noise seen through the PSF P, half the mean of k² over its power spectrum.

    Parameters
    ----------
    psf
        Through which the noise is seen.
    x, y
        Where.
    threshold
        In sigma.
    """
    image = psf.kernel_image(x=x, y=y)
    power = np.abs(np.fft.fft2(image)) ** 2
    k = 2.0 * np.pi * np.fft.fftfreq(len(image))
    steepness = ((k[:, None] ** 2 + k[None, :] ** 2) * power).sum() / (2.0 * power.sum())
    return float(2.0 * steepness * threshold * np.exp(-0.5 * threshold**2) / (2.0 * np.pi) ** 1.5)


def _any(sources: Table, *names: str) -> BoolArray:
    """Whether any of the flags is set."""
    found: BoolArray = np.zeros(len(sources), np.bool_)
    for name in names:
        found |= np.asarray(sources[name], dtype=np.bool_)
    return found
