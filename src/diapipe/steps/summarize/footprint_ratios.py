"""What the subtraction left of the kernel's own stars, as a part of their light; too much is an error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diapipe.errors import BadSubtractionError
from diapipe.images import UNUSABLE_DIFFERENCE, Difference, Exposure
from diapipe.numerics.arrays import BoolArray, FloatArray, IntArray, RealArray
from diapipe.numerics.weighting import cut_blocks
from diapipe.steps.limits import Limited
from diapipe.steps.summarize.parts import MatchLike
from diapipe.steps.summarize.star_residuals import footprint_radius

MEAN_OF_NOISE = float(np.sqrt(2.0 / np.pi))
"""Mean absolute value of unit noise."""

LEAST_SHARE = 0.5
"""Of a footprint that must be usable."""

LEAST_NOISE = 1e-3
"""Part of the variance that is noise at least, whatever the match says about its own error."""


@dataclass(frozen=True, slots=True, eq=False)
class FootprintRatios:
    """Residual over light in the footprint of each star of the kernel that can be judged.

    Attributes
    ----------
    ratio
        (mean |D| - √(2/π) mean σ) / mean |S|: 0 if only noise is left; shape (n,).
    """

    ratio: FloatArray

    @property
    def mean(self) -> float:
        """Mean of the ratios; NaN without stars."""
        return float(self.ratio.mean()) if len(self.ratio) else float("nan")

    @property
    def std(self) -> float:
        """Their scatter."""
        return float(self.ratio.std()) if len(self.ratio) else float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class SubtractionCheck(Limited):
    """Limits beyond which a subtraction is refused.

    Attributes
    ----------
    max_ratio
        Of the mean of the `FootprintRatios`.
    max_scatter
        Of their scatter from star to star.
    """

    max_ratio: float = 0.2
    max_scatter: float = 0.4


def footprint_ratios(difference: Difference, science: Exposure, match: MatchLike) -> FootprintRatios:
    """Residuals at the stars that carried the kernel.

    Parameters
    ----------
    difference
        Science minus matched template.
    science
        Without its sky; its box holds that of the difference.
    match
        Whose kept candidates are looked at, and what error it admits to.

    Notes
    -----
    A footprint is the circle in which a Gaussian star of that flux exceeds the noise of a pixel, 1 to 3 FWHM in radius.
    Its noise is the variance of the difference less what the match adds to it for its own error, (f T)²: that error is
    what is measured here.
    """
    exposure, kept = difference.exposure, np.asarray(match.candidates.kept, np.bool_)
    pixels, psf = exposure.masked_image, exposure.psf or science.psf
    if psf is None or not kept.any():
        return FootprintRatios(np.empty(0))
    x, y, flux = (np.asarray(v, np.float64)[kept] for v in _columns(match))
    noise = float(np.sqrt(np.median(pixels.variance[::16, ::16])))
    box, width = exposure.box, psf.sigma_at(x=exposure.box.x_center, y=exposure.box.y_center)
    radius = footprint_radius(flux, noise=noise, sigma_px=width)
    half = int(np.ceil(radius.max()))
    columns, rows = (np.floor(v + 0.5).astype(np.int64) for v in (x - box.x0, y - box.y0))
    offset = np.arange(-half, half + 1)
    circle = offset[None, :, None] ** 2 + offset[None, None, :] ** 2 <= radius[:, None, None] ** 2
    planes = pixels.image, pixels.mask, pixels.variance
    bits = int(UNUSABLE_DIFFERENCE)
    left, spread, good = cut_blocks(*planes, bits=bits, rows=rows, columns=columns, half=half)
    seen = science[box].masked_image.image if science.box != box else science.masked_image.image
    light, _, _ = cut_blocks(seen, *planes[1:], bits=bits, rows=rows, columns=columns, half=half)
    good &= circle
    variance = _pixel_noise(spread, difference, match, rows, columns, half)
    usable = good.sum(axis=(1, 2)) >= LEAST_SHARE * circle.sum(axis=(1, 2))
    residual = _sum(np.abs(left), good) - MEAN_OF_NOISE * _sum(np.sqrt(variance), good)
    total = _sum(np.abs(light), good)
    usable &= total > 0
    return FootprintRatios(residual[usable] / total[usable])


def _columns(match: MatchLike) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Places and fluxes of all candidates."""
    return match.candidates.x, match.candidates.y, match.candidates.flux


def _sum(values: RealArray, good: BoolArray) -> FloatArray:
    """Sum over the good pixels of each stamp."""
    return np.asarray(np.where(good, values, 0.0).sum(axis=(1, 2)), dtype=np.float64)


def _pixel_noise(
    spread: RealArray, difference: Difference, match: MatchLike, rows: IntArray, columns: IntArray, half: int
) -> FloatArray:
    """Variance without what stands for the error of the match."""
    noise = np.asarray(spread, np.float64)
    static = difference.matched_template
    if match.relative_error == 0.0 or static is None:
        return noise
    light, _, _ = cut_blocks(static.image, static.mask, static.variance, bits=0, rows=rows, columns=columns, half=half)
    error = difference.variance_factor * (match.relative_error * np.clip(light, 0.0, None)) ** 2
    return np.maximum(noise - error, LEAST_NOISE * noise)


def refuse_bad_subtraction(found: FootprintRatios, *, limits: SubtractionCheck, name: str) -> None:
    """Raise if too much is left of the stars.

    Parameters
    ----------
    found
        What is left.
    limits
        How much is too much.
    name
        Of the science image, for the message.

    Raises
    ------
    BadSubtractionError
        If the mean or the scatter of the ratios exceeds its limit.
    """
    for what, value, limit in (("mean", found.mean, limits.max_ratio), ("scatter", found.std, limits.max_scatter)):
        if value > limit:
            raise BadSubtractionError(
                f"the difference of {name} leaves {100 * found.mean:.0f}% of the light of its {len(found.ratio)} "
                f"kernel stars, with a scatter of {100 * found.std:.0f}%; the {what} must be below {100 * limit:.0f}%",
                ratio_mean=found.mean,
                ratio_std=found.std,
                limit=limit,
            )
