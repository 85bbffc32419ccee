"""How like a point source the difference is around a place: misfit, asymmetry, width, rings, single pixels."""

from __future__ import annotations

import numpy as np

from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.stamp_fits import bends, fit_stamps, slopes
from diapipe.steps.classify.seen import Seen

_SHAPE_FWHM = 1.5
"""Radius within which deviations from the PSF are fitted."""
_RINGS = {"core": (0.0, 0.75), "shoulder": (0.75, 1.5), "wing": (1.5, 3.0)}
_SIGNIFICANT = 2.0
_LARGE = 5.0
"""Ratios beyond this tell no more."""


def point_features(seen: Seen) -> dict[str, FloatArray]:
    """Features of the difference alone, each of shape (n,)."""
    left = seen.pull - seen.flux[:, None, None] * seen.model
    return {
        "log_snr": np.log10(np.maximum(seen.snr, 1.0)),
        **_misfit(seen, left),
        **_deviations(seen.core(_SHAPE_FWHM)),
        **_single_pixels(seen, left),
        **_signs(seen),
        **_growth(seen),
    }


def _misfit(seen: Seen, left: FloatArray) -> dict[str, FloatArray]:
    """χ² per pixel in rings, in its logarithm, and what exceeds noise as a part of the source's S/N."""
    told = {}
    for name, (low, high) in _RINGS.items():
        ring = seen.within(low, high)
        n = np.maximum(ring.sum(axis=(1, 2)), 1)
        chi2 = np.where(ring, left**2, 0.0).sum(axis=(1, 2))
        told[f"chi2_{name}"] = np.log10(np.maximum(chi2 / n, 0.1))
        told[f"excess_{name}"] = np.sqrt(np.maximum(chi2 - n, 0.0)) / seen.snr
    return told


def _deviations(seen: Seen) -> dict[str, FloatArray]:
    """Coefficients of a displaced, wider, longer PSF relative to its flux, lengths in FWHM, and what they win."""
    inside = seen.within(0.0, _SHAPE_FWHM) / np.where(seen.good, seen.sigma, 1.0)
    f = seen.fwhm[:, None, None]
    along_x, along_y = slopes(seen.psf)
    xx, yy, xy = bends(seen.psf)
    images = [seen.psf, along_x * f, along_y * f, (xx + yy) * f**2, (xx - yy) * f**2, 2.0 * xy * f**2]
    stack = np.stack([(image * inside).reshape(len(f), seen.n_pixels) for image in images], axis=1)
    data = np.where(seen.within(0.0, _SHAPE_FWHM), seen.pull, 0.0).reshape(len(f), seen.n_pixels)
    point, moved, shaped = (fit_stamps(data, stack[:, :k]) for k in (1, 3, 6))
    relative = shaped.coefficients / seen.flux[:, None]
    total = (data**2).sum(axis=1)
    n = np.maximum(seen.within(0.0, _SHAPE_FWHM).sum(axis=(1, 2)), 1)
    return {
        "shift": _bounded(np.hypot(relative[:, 1], relative[:, 2])),
        "width": _bounded(relative[:, 3]),
        "elongation": _bounded(np.hypot(relative[:, 4], relative[:, 5])),
        "shift_gain": np.sqrt(np.maximum(moved.explained - point.explained, 0.0)) / seen.snr,
        "shape_gain": np.sqrt(np.maximum(shaped.explained - moved.explained, 0.0)) / seen.snr,
        "chi2_shaped": np.log10(np.maximum((total - shaped.explained) / n, 0.1)),
        "point_share": point.explained / np.maximum(total, 1e-9),
    }


def _single_pixels(seen: Seen, left: FloatArray) -> dict[str, FloatArray]:
    """The pixels farthest above and below the fitted PSF, against its peak, and how sharp the source's peak is."""
    near = seen.within(0.0, _SHAPE_FWHM)
    peak = np.maximum(seen.flux * seen.model.max(axis=(1, 2)), 1e-9)
    highest, lowest = (np.where(near, sign * left, 0.0).max(axis=(1, 2)) for sign in (1.0, -1.0))
    core = seen.within(0.0, 0.6)
    brightest = np.where(core, seen.pull, 0.0).max(axis=(1, 2))
    return {
        "above": _bounded(highest / peak),
        "below": _bounded(lowest / peak),
        "above_sigma": np.log10(np.maximum(highest, 1.0)),
        "below_sigma": np.log10(np.maximum(lowest, 1.0)),
        "sharpness": _bounded(brightest / peak),
    }


def _signs(seen: Seen) -> dict[str, FloatArray]:
    """Part of the significant light that has the other sign, near the source and around it."""
    told = {}
    for name, (low, high) in {"inner": (0.0, 1.25), "outer": (1.25, 3.0)}.items():
        light = np.where(seen.within(low, high), seen.pull * seen.sigma, 0.0)
        light = np.where(np.isfinite(light) & (np.abs(seen.pull) > _SIGNIFICANT), light, 0.0)
        negative, positive = (np.maximum(sign * light, 0.0).sum(axis=(1, 2)) for sign in (-1.0, 1.0))
        told[f"negative_{name}"] = _bounded(negative / seen.flux)
        told[f"positive_{name}"] = _bounded(positive / seen.flux)
    return told


def _growth(seen: Seen) -> dict[str, FloatArray]:
    """Light in circles over that of the fitted PSF, and half that is missing on one side of the source."""
    told = {}
    for name, high in {"small": 0.5, "middle": 1.0, "large": 2.0}.items():
        circle = seen.within(0.0, high)
        light = np.where(circle, seen.pull * np.where(seen.good, seen.sigma, 0.0), 0.0).sum(axis=(1, 2))
        told[f"light_{name}"] = _bounded(
            light / np.maximum(seen.flux * np.where(circle, seen.psf, 0.0).sum(axis=(1, 2)), 1e-9)
        )
    return told


def _bounded(ratio: FloatArray) -> FloatArray:
    """A ratio within what is worth to tell apart."""
    return np.clip(ratio, -_LARGE, _LARGE)
