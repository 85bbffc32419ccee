"""What was found, in plain numbers and words: the part of ``summary.json`` that belongs to one image."""

from __future__ import annotations

from typing import Any

import numpy as np

from diapipe.catalogs.stars import StarList
from diapipe.images import Box, Psf
from diapipe.numerics.arrays import FloatArray
from diapipe.steps.characterize.background import Sky
from diapipe.steps.characterize.defects import Saturation
from diapipe.steps.characterize.noise import REACH, SkyNoise
from diapipe.steps.characterize.variance import Checked


def describe(
    sky: Sky,
    checked: Checked,
    noise: SkyNoise,
    saturation: Saturation,
    n_rays: int,
    psf: Psf,
    stars: StarList,
    box: Box,
) -> dict[str, Any]:
    """Plain values, in counts of the image and in pixels."""
    grid = np.linspace(0.1, 0.9, 5)
    places = [(box.x0 + u * box.width, box.y0 + v * box.height) for u in grid for v in grid]
    images = [psf.kernel_image(x=x, y=y) for x, y in places]
    widths = np.array([half_maximum_width(image) for image in images])
    areas = np.array([psf.fwhm_at(x=x, y=y) for x, y in places])
    rows = checked.variance[:: max(1, len(checked.variance) // 256)]
    return {
        "sky_level": sky.background.level,
        "sky_variation": float(np.ptp(sky.background.values)),
        "sky_sigma": float(np.sqrt(np.median(rows[np.isfinite(rows)]))),
        "variance_factor": checked.factor,
        "variance_measured_over_claimed": checked.measured_factor,
        "variance_check": checked.reason,
        "noise_lag1": 0.0 if noise.correlation is None else float(noise.correlation[REACH, REACH + 1]),
        "confusion": noise.confusion,
        "saturation": saturation.level,
        "saturation_source": saturation.source,
        "n_cosmic_ray_pixels": n_rays,
        "n_sources": len(stars),
        "n_stars": int(stars.is_star.sum()),
        "n_saturated": int(stars.is_saturated.sum()),
        "fwhm_px": float(np.median(widths)),
        "fwhm_variation": float(np.std(widths) / np.median(widths)),
        "fwhm_noise_equivalent_px": float(np.median(areas)),
    }


def warnings_about(checked: Checked, noise: SkyNoise, name: str) -> list[str]:
    """What a person should know before trusting the image."""
    found = []
    if checked.factor > 2.0 or checked.factor < 0.5:
        found.append(f"the variance of {name} was {checked.reason}")
    if noise.confusion > 0.5:
        share = 100 * noise.confusion
        found.append(f"{name} is crowded: {share:.0f}% of the variance between its sources is fainter sources")
    return found


def half_maximum_width(image: FloatArray) -> float:
    """FWHM of a PSF image in pixels: the diameter of the circle whose area is that above half of the peak.

    The pixels are refined eightfold by bilinear interpolation, and the peak taken from a parabola along either axis.
    """
    row, column = np.unravel_index(int(np.argmax(image)), image.shape)
    if not (0 < row < image.shape[0] - 1 and 0 < column < image.shape[1] - 1):
        return float("nan")
    gains = [_parabola_gain(image[row, column - 1 : column + 2]), _parabola_gain(image[row - 1 : row + 2, column])]
    half = 0.5 * (image[row, column] + sum(gains))
    fine = np.arange(0, image.shape[0] - 1, 0.125)
    low = fine.astype(int)
    part = fine - low
    rows = image[low] * (1 - part)[:, None] + image[low + 1] * part[:, None]
    above = rows[:, low] * (1 - part) + rows[:, low + 1] * part > half
    return float(2.0 * np.sqrt(np.count_nonzero(above) / np.pi) * 0.125)


def _parabola_gain(three: FloatArray) -> float:
    """How much the parabola through three equidistant values rises above the middle one."""
    curvature = 2.0 * three[1] - three[0] - three[2]
    return float((three[2] - three[0]) ** 2 / (8.0 * curvature)) if curvature > 0 else 0.0
