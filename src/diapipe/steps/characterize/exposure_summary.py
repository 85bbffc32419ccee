"""exposure_summary: one line about an image, from which it is chosen or left out without being opened again."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy.table import Table

from diapipe.images import Exposure, Psf
from diapipe.images.psf import SIGMA_TO_FWHM
from diapipe.images.sky import icrs_of, pixel_scale_deg
from diapipe.numerics.arrays import BoolArray, FloatArray
from diapipe.numerics.moments import adaptive_moments
from diapipe.numerics.stats import median, robust_sigma
from diapipe.steps.characterize.characterized import Characterized

GRID = 5
"""Places along either axis at which the PSF's variation is looked at."""

BRIGHT = 20.0
"""Stars above this signal-to-noise ratio are compared with a PSF that was not made from any."""


def exposure_summary(found: Characterized, stars: Table) -> dict[str, Any]:
    """Plain values by the column names of `diapipe.catalogs.visit_summaries.VISIT_SUMMARY`.

    Parameters
    ----------
    found
        What `characterize` returned.
    stars
        Its `star_table`.

    Returns
    -------
    dict
        Without the final scale, which other images decide; ``nJyPerCount`` is that of the image's own calibration, NaN
        where it has none.
    """
    exposure, summary = found.exposure, found.summary
    assert exposure.psf is not None
    info, calib = exposure.info, exposure.photo_calib
    of_pixels = np.sqrt(summary["variance_measured_over_claimed"] / summary["variance_factor"])
    correction = exposure.aperture_corrections.get("psfFlux")
    box = exposure.box
    return {
        "id": info.detector,
        "visit": info.visit,
        "band": info.band,
        "mjd": info.mjd_midpoint,
        "expTime": info.exposure_time_s,
        **_of_psf(exposure.psf, exposure),
        **_place(exposure),
        **_of_stars(stars),
        "skyBg": float(summary["sky_level"]),
        "skyNoise": float(summary["sky_sigma"] * (of_pixels if np.isfinite(of_pixels) else 1.0)),
        "meanVar": float(summary["sky_sigma"]) ** 2,
        "gain": float("nan") if info.gain is None else float(info.gain),
        "apertureCorrection": 1.0 if correction is None else float(correction.at(x=box.x_center, y=box.y_center)),
        "nSources": len(stars),
        "nJyPerCount": 1.0 if exposure.unit == "nJy" else float("nan") if calib is None else float(calib.mean),
        "nJyPerCountErr": float("nan") if calib is None else float(calib.error),
    }


def _of_psf(psf: Psf, exposure: Exposure) -> dict[str, float]:
    """Sizes of the PSF in the middle, and how much they change over the image."""
    box = exposure.box
    middle = psf.kernel_image(x=box.x_center, y=box.y_center)
    at = (np.arange(GRID) + 0.5) / GRID
    others = [psf.kernel_image(x=box.x0 + u * box.width, y=box.y0 + v * box.height) for u in at for v in at]
    ixx, iyy, ixy = _moments(np.stack([middle, *others]), psf.sigma_at(x=box.x_center, y=box.y_center))
    sigma, trace = float((ixx[0] * iyy[0] - ixy[0] ** 2) ** 0.25), np.sqrt(0.5 * (ixx[1:] + iyy[1:]))
    return {
        "psfSigma": sigma,
        "psfFwhm": float(SIGMA_TO_FWHM * sigma),
        "psfArea": float(1.0 / (middle**2).sum()),
        "psfIxx": float(ixx[0]),
        "psfIyy": float(iyy[0]),
        "psfIxy": float(ixy[0]),
        "psfTraceRadiusDelta": float(np.ptp(trace)),
    }


def _moments(images: FloatArray, sigma: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Adaptive moments xx, yy, xy of small images, shape (n, size, size)."""
    n, size = len(images), images.shape[1]
    stack = images.reshape(n * size, size).astype(np.float32)
    middle = np.full(n, float(size // 2))
    found = adaptive_moments(
        stack, np.ones_like(stack), middle, middle + size * np.arange(n), sigma_start=sigma, radius=size // 2 - 3
    )
    return found.ixx, found.iyy, found.ixy


def _place(exposure: Exposure) -> dict[str, Any]:
    """Where the image lies: NaN on the sky where it has no WCS."""
    box, wcs = exposure.box, exposure.wcs
    x = np.array([box.x_center, box.x0 - 0.5, box.x1 - 0.5, box.x1 - 0.5, box.x0 - 0.5])
    y = np.array([box.y_center, box.y0 - 0.5, box.y0 - 0.5, box.y1 - 0.5, box.y1 - 0.5])
    ra, dec = (np.full(5, np.nan), np.full(5, np.nan)) if wcs is None else icrs_of(wcs, x, y)
    return {
        "pixelScale": float("nan") if wcs is None else 3600.0 * pixel_scale_deg(wcs),
        "ra": float(ra[0]),
        "dec": float(dec[0]),
        "raCorners": [float(value) for value in ra[1:]],
        "decCorners": [float(value) for value in dec[1:]],
        "bbox_min_x": box.x0,
        "bbox_min_y": box.y0,
        "bbox_max_x": box.x1 - 1,
        "bbox_max_y": box.y1 - 1,
    }


def _of_stars(stars: Table) -> dict[str, Any]:
    """How the shapes of stars differ from the PSF's."""
    chosen = _compared(stars)
    own = [np.asarray(stars[name], np.float64)[chosen] for name in ("ixx", "iyy", "ixy")]
    model = [np.asarray(stars[name], np.float64)[chosen] for name in ("ixxPSF", "iyyPSF", "ixyPSF")]
    (e1, e2, size), (psf_e1, psf_e2, psf_size) = _shape(*own), _shape(*model)
    scatter = robust_sigma(size - psf_size)
    return {
        "nPsfStar": int(chosen.sum()),
        "psfStarDeltaE1Median": median(e1 - psf_e1),
        "psfStarDeltaE2Median": median(e2 - psf_e2),
        "psfStarDeltaE1Scatter": robust_sigma(e1 - psf_e1),
        "psfStarDeltaE2Scatter": robust_sigma(e2 - psf_e2),
        "psfStarDeltaSizeMedian": median(size - psf_size),
        "psfStarDeltaSizeScatter": scatter,
        "psfStarScaledDeltaSizeScatter": scatter / median(size) ** 2,
        "starEMedian": median(np.hypot(e1, e2)),
    }


def _compared(stars: Table) -> BoolArray:
    """The stars that the PSF was made from; where it was given, those that are bright, alone and not saturated."""
    measured = ~np.asarray(stars["shape_flag"], np.bool_)
    used = np.asarray(stars["calib_psf_used"], np.bool_)
    if used.any():
        return np.asarray(used & measured)
    good = np.asarray(stars["extendedness"]) < 0.5
    good &= np.asarray(stars["dp_isIsolated"], np.bool_) & ~np.asarray(stars["pixelFlags_saturatedCenter"], np.bool_)
    return np.asarray(good & measured & (np.asarray(stars["psfFlux"]) > BRIGHT * np.asarray(stars["psfFluxErr"])))


def _shape(ixx: FloatArray, iyy: FloatArray, ixy: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Ellipticities e1 and e2, and the determinant radius."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return (ixx - iyy) / (ixx + iyy), 2.0 * ixy / (ixx + iyy), (ixx * iyy - ixy**2) ** 0.25
