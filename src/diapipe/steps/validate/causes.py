"""Why a source is there that nothing true explains."""

from __future__ import annotations

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from diapipe.catalogs.stars import StarList
from diapipe.images import Psf
from diapipe.numerics import pairs
from diapipe.numerics.arrays import BoolArray, FloatArray

CAUSES = ("edge", "artefact", "cosmic ray", "bright star", "galaxy", "noise", "unknown")
"""In the order in which they are tried."""

NEAR_FWHM = 3.0
"""Residuals of a star or a galaxy lie within this distance of it, or within its own size."""
BRIGHTER = 10.0
"""It has at least so many times the source's flux."""
NOISE_SNR = 6.5
"""Noise makes no brighter source on images of any size: one in 10^10."""
_SHARP = 5.0


def causes_of(sources: Table, *, stars: StarList, fwhm_px: float) -> NDArray[np.str_]:
    """The likeliest cause of each source, if it is no change of the sky.

    Parameters
    ----------
    sources
        DIA sources.
    stars
        Sources of the science image, whose light may be left over.
    fwhm_px
        Of the difference's PSF.

    Returns
    -------
    NDArray
        One of `CAUSES` for each: *unknown* is what none of the others explains, as a real change.
    """
    flux = np.abs(np.asarray(sources["psfFlux"], dtype=np.float64))
    beside = _much_brighter(sources, stars, flux, fwhm_px)
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
        "bright star": (beside >= 0) & np.append(stars.is_star, False)[beside],
        "galaxy": beside >= 0,
        "noise": np.abs(np.asarray(sources["snr"])) < NOISE_SNR,
    }
    return np.select([told[cause] for cause in CAUSES[:-1]], CAUSES[:-1], default=CAUSES[-1])


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


def _much_brighter(sources: Table, stars: StarList, flux: FloatArray, fwhm_px: float) -> NDArray[np.int64]:
    """Index of the nearest thing near each source that is much brighter than it; -1 where there is none."""
    places = np.stack([np.asarray(sources["x"]), np.asarray(sources["y"])], axis=1).astype(np.float64)
    near = pairs.all_pairs(places, np.stack([stars.x, stars.y], axis=1), radius=NEAR_FWHM * fwhm_px)
    near = near.select(stars.flux[near.second] > BRIGHTER * flux[near.first])
    found = np.full(len(sources), -1, np.int64)
    farthest_first = np.argsort(-near.distance, kind="stable")
    found[near.first[farthest_first]] = near.second[farthest_first]
    return found
