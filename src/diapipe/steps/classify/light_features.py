"""How a difference compares with the light that does not change: what errors of the match would leave of that."""

from __future__ import annotations

import numpy as np

from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.stamp_fits import bends, fit_stamps, slopes
from diapipe.steps.classify.seen import Seen

_FIT_FWHM = 1.5
_RATIO = (-4.0, 3.0)
"""Decades of ratios worth to tell apart."""
_LARGE = 5.0


def light_features(seen: Seen) -> dict[str, FloatArray]:
    """Features of the difference beside science and template, each of shape (n,)."""
    return {**_static(seen), **_left_over(seen.core(_FIT_FWHM)), **_holder(seen.core(_FIT_FWHM))}


def _static(seen: Seen) -> dict[str, FloatArray]:
    """Light at the place and the brightest around it."""
    light, _ = _fitted_light(seen, seen.other)
    peak = seen.flux * seen.psf.max(axis=(1, 2))
    near, far = (np.where(seen.radius < r, seen.other, 0.0).max(axis=(1, 2)) for r in (1.0, 3.0))
    flat = np.where(seen.radius < 3.0, seen.other, -np.inf).reshape(len(light), seen.n_pixels)
    where = seen.radius.reshape(len(light), seen.n_pixels)[np.arange(len(light)), flat.argmax(axis=1)]
    noise = seen.error * seen.psf.max(axis=(1, 2))
    return {
        "static_snr": np.log10(np.maximum(light / seen.error, 0.3)),
        "static_ratio": _decades(seen.flux, np.maximum(light, seen.error)),
        "near_ratio": _decades(peak, np.maximum(near, noise)),
        "far_ratio": _decades(peak, np.maximum(far, noise)),
        "far_distance": where,
    }


def _left_over(seen: Seen) -> dict[str, FloatArray]:
    """The difference as what a wrong scale, place and width leave of the static light, against a point source."""
    inside = seen.within(0.0, _FIT_FWHM)
    weight = inside / np.where(seen.good, seen.sigma, 1.0)
    f = seen.fwhm[:, None, None]
    along_x, along_y = slopes(seen.other)
    xx, yy, _ = bends(seen.other)
    images = [seen.other, along_x * f, along_y * f, (xx + yy) * f**2]
    stack = np.stack([(image * weight).reshape(len(f), seen.n_pixels) for image in images], axis=1)
    data = np.where(inside, seen.pull, 0.0).reshape(len(f), seen.n_pixels)
    total = np.maximum((data**2).sum(axis=1), 1e-9)
    every, moved = fit_stamps(data, stack), fit_stamps(data, stack[:, 1:3])
    point = fit_stamps(data, (seen.model * inside).reshape(len(f), 1, seen.n_pixels))
    scale, across, down, width = every.coefficients.T
    n = np.maximum(inside.sum(axis=(1, 2)), 1)
    return {
        "left_scale": _log_size(scale),
        "left_shift": _log_size(np.hypot(across, down)),
        "left_width": _log_size(width),
        "left_share": every.explained / total,
        "left_moved_share": moved.explained / total,
        "left_over_point": np.clip((every.explained - point.explained) / np.maximum(seen.snr**2, 1.0), -2.0, 2.0),
        "left_chi2": np.log10(np.maximum((total - every.explained) / n, 0.1)),
    }


def _holder(seen: Seen) -> dict[str, FloatArray]:
    """Whether the image that should show the source does: its light there, and how much that stands out."""
    light, around = _fitted_light(seen, seen.holder)
    noise = seen.error
    middle = np.where(seen.radius < 0.5, seen.holder, 0.0)
    top = middle.max(axis=(1, 2)) / np.maximum(seen.psf.max(axis=(1, 2)), 1e-9)
    return {
        "holder_ratio": np.clip(light / np.maximum(seen.flux, noise), -_LARGE, _LARGE),
        "holder_contrast": np.clip(around / np.maximum(seen.flux, noise), -_LARGE, _LARGE),
        "holder_sharpness": np.clip(top / np.maximum(light, noise), -_LARGE, _LARGE),
    }


def _fitted_light(seen: Seen, image: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Flux of the PSF in an image without and with a level of its own, within an FWHM."""
    inside = seen.radius < 1.0
    psf, values = np.where(inside, seen.psf, 0.0), np.where(inside, image, 0.0)
    squares, light = (psf**2).sum(axis=(1, 2)), (psf * values).sum(axis=(1, 2))
    n, sum_psf, total = inside.sum(axis=(1, 2)), psf.sum(axis=(1, 2)), values.sum(axis=(1, 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        plain = light / squares
        level = (light - sum_psf * total / n) / (squares - sum_psf**2 / n)
    return np.nan_to_num(plain, nan=0.0, posinf=0.0, neginf=0.0), np.nan_to_num(level, nan=0.0, posinf=0.0, neginf=0.0)


def _decades(value: FloatArray, of: FloatArray) -> FloatArray:
    """Logarithm of a ratio."""
    return np.clip(np.log10(np.maximum(value, 1e-30) / np.maximum(of, 1e-30)), *_RATIO)


def _log_size(value: FloatArray) -> FloatArray:
    """Logarithm of a coefficient's size."""
    return np.clip(np.log10(np.abs(value) + 1e-12), *_RATIO)
