"""Images of different seeing compared: what they have in common, and by how much they may differ from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import label, maximum_filter, uniform_filter

from diapipe.numerics.arrays import BoolArray, Float32Array, FloatArray, MaskArray
from diapipe.numerics.common_psf import Smoothing, smoothed, smoothing_to
from diapipe.numerics.small_convolution import convolved_in_full
from diapipe.numerics.stats import robust_sigma, thinned
from diapipe.steps.coadd.base import Block, ByteArray

DIM_SIGMA = 5.0
"""A pixel with less light than so many sigma shows noise."""

_BRIGHT_SIGMA, _WING_SIGMA = 50.0, 300.0
_WING_SHARE = 0.05
_USUAL_ERROR = 0.02
_GAUSSIAN_SIZES = np.array([0.6745, 1.6449])  # below which half and nine tenths of Gaussian deviates lie
_SAMPLED_PIXELS = 50_000
_LEAST_PIXELS = 100
_HOLE_SIGMA = 3.0
_N_FITS, _CLIP = 4, 3.0
_DARKEST_PERCENT = 40.0
_FEW_PX = 9


@dataclass(frozen=True, slots=True, eq=False)
class Static:
    """What all images agree on: the median, of how many it is, and the light within a few pixels and within a PSF."""

    median: Float32Array
    number: MaskArray
    near: Float32Array
    far: Float32Array

    @property
    def dim(self) -> float:
        """Light that a part of the pixels has at most, if only by noise: the darkest that there are."""
        return float(np.percentile(thinned(self.near, _SAMPLED_PIXELS), _DARKEST_PERCENT))


def of_two(number: MaskArray) -> BoolArray:
    """Pixels that two images show: where they disagree there is no third to ask."""
    return np.asarray(number == 2)


def light_of(median: Float32Array, number: MaskArray, images: Float32Array, usable: ByteArray) -> Float32Array:
    """The light of the sky, without what one of two images alone shows: the darker of two, the median of more."""
    light = median.copy()
    for image, good in zip(images, usable, strict=True):
        alone = of_two(number) & (good != 0)
        light[alone] = median[alone] - np.abs(image[alone] - median[alone])
    return light


def against_others(image: Float32Array, good: ByteArray, sky: Static) -> Static:
    """What an image is compared with: the median, and of two the other, so far away that it is off by an image's noise.

    With noise σ in either their difference scatters by √2 σ, so either is to be off by that over √2. No light is
    negative: how far the other is below the sky is nothing against this one.
    """
    against_one = of_two(sky.number) & (good != 0)
    if not against_one.any():
        return sky
    own, median = image[against_one], sky.median.copy()
    other = np.float32(2.0) * median[against_one] - own
    typical = np.median(np.abs(thinned(own - other, _SAMPLED_PIXELS)))
    hole = -_HOLE_SIGMA * typical / (_GAUSSIAN_SIZES[0] * np.sqrt(2.0))
    median[against_one] = own + (np.maximum(other, np.float32(hole)) - own) / np.sqrt(np.float32(2.0))
    return replace(sky, median=median)


def excess_scatter(off: Float32Array, variance: Float32Array, sky: Static, good: ByteArray) -> float:
    """By how much noise exceeds what the variance says, from pixels without much light; at least 1."""
    values, noise, near, _ = _sampled(off, variance, sky, good)
    dim = near < np.maximum(DIM_SIGMA * noise, sky.dim)
    chosen = dim if np.count_nonzero(dim) > _LEAST_PIXELS else np.ones(len(dim), np.bool_)
    return max(1.0, float(np.nan_to_num(robust_sigma(values[chosen] / noise[chosen]), nan=1.0)))


def rescaled(image: Float32Array, variance: Float32Array, sky: Static, good: ByteArray) -> Float32Array:
    """What an image is off by from the median, on the median's flux scale and level.

    A scale that is wrong by some percent, as from a PSF that is cut off at another radius, would let every star stand
    out. The line is fitted to samples of the pixels, three times, without those beyond three times its scatter.
    """
    step = max(1, int(np.sqrt(image.size / _SAMPLED_PIXELS)))
    pick = np.s_[::step, ::step]
    usable = (good[pick] != 0) & np.isfinite(sky.median[pick]) & (variance[pick] > 0)
    light, values = sky.median[pick][usable], image[pick][usable]
    off = image - sky.median
    if len(light) < _LEAST_PIXELS:
        return off
    weight = 1.0 / np.sqrt(variance[pick][usable] + (_USUAL_ERROR * light) ** 2)
    kept = np.ones(len(light), np.bool_)
    level, scale = 0.0, 0.0
    for _ in range(_N_FITS):
        design = np.stack([weight[kept], (weight * light)[kept]], axis=1).astype(np.float64)
        (level, scale), *_ = np.linalg.lstsq(design, (weight * (values - light))[kept], rcond=None)
        left = np.abs(weight * (values - light - level - scale * light))
        kept = left < _CLIP * np.median(left) / _GAUSSIAN_SIZES[0]
    off -= np.float32(level) + np.float32(scale) * sky.median
    return off


def model_errors(off: Float32Array, variance: Float32Array, sky: Static, good: ByteArray) -> tuple[float, float]:
    """By what part of its light a source differs from the median, and by what part of its peak its wings.

    The first is seen on pixels of much light, the second far from peaks, where no PSF model reaches; where there are
    none they are what is usual.
    """
    values, noise, near, far = _sampled(off, variance, sky, good)
    wing = (far > _WING_SIGMA * noise) & (near < _WING_SHARE * far)
    return (
        _part(values, near, near > _BRIGHT_SIGMA * noise, unknown=_USUAL_ERROR),
        _part(values, far, wing, unknown=0.0),
    )


def _sampled(
    off: Float32Array, variance: Float32Array, sky: Static, good: ByteArray
) -> tuple[Float32Array, Float32Array, Float32Array, Float32Array]:
    """Some of the pixels: what they are off by, their noise, the light near and far."""
    step = max(1, int(np.sqrt(off.size / _SAMPLED_PIXELS)))
    pick = np.s_[::step, ::step]
    usable = (good[pick] != 0) & np.isfinite(off[pick]) & (variance[pick] > 0)
    return off[pick][usable], np.sqrt(variance[pick][usable]), sky.near[pick][usable], sky.far[pick][usable]


def _part(off: Float32Array, light: Float32Array, which: BoolArray, *, unknown: float) -> float:
    """Scatter of ``off / light``, from its median size or from its ninth decile, whichever tells more."""
    if np.count_nonzero(which) < _LEAST_PIXELS:
        return unknown
    sizes = np.percentile(np.abs(off[which] / light[which]), [50.0, 90.0]) / _GAUSSIAN_SIZES
    return float(sizes.max())


def psf_leaps(psfs: Sequence[FloatArray | None]) -> list[float]:
    """By what part of a star's flux each image's PSF is another than the mean PSF: max |P̄ ⋆ (P - P̄)| / ΣP̄².

    Where an image is left out of a mean, the light of stars is off by so much for its share. 0 for an unknown PSF.
    """
    known = [psf for psf in psfs if psf is not None]
    side = max(len(psf) for psf in known)
    mean = np.mean([np.pad(psf, (side - len(psf)) // 2) for psf in known], axis=0)
    norm = float((mean**2).sum())
    middle = slice((side - 1) // 2, (side - 1) // 2 + side)

    def leap(psf: FloatArray) -> float:
        off = np.pad(psf, (side - len(psf)) // 2) - mean
        correlation = convolved_in_full(off, mean[::-1, ::-1])[middle, middle]
        return float(np.abs(correlation).max()) / norm

    return [0.0 if psf is None else leap(psf) for psf in psfs]


def bright_holes(usable: ByteArray, variance: Float32Array, sky: Static) -> tuple[BoolArray, BoolArray]:
    """Pixels on much light that a smoothed image has from others, whose seeing is another: wide holes, as the core of a
    star, and those of a few pixels, as of a cosmic ray.
    """
    holes = (usable == 0) & (sky.near > _BRIGHT_SIGMA * np.sqrt(variance))
    if not holes.any():
        return holes, holes
    labels, _ = label(holes)
    wide = (np.bincount(labels.ravel()) > _FEW_PX)[labels] & holes
    return wide, holes & ~wide


def cut_by_border(variance: Float32Array, sky: Static) -> BoolArray:
    """Pixels of the border with light: of what it cuts off a star, smoothed images lack each another part."""
    lit = sky.near > DIM_SIGMA * np.sqrt(variance)
    lit[1:-1, 1:-1] = False
    return np.asarray(lit)


def beside(holes: BoolArray, reach: int) -> BoolArray:
    """Pixels no farther from a hole than ``reach``."""
    return np.asarray(maximum_filter(holes, 2 * reach + 1)) if holes.any() else holes


def borrowed(holes: BoolArray, kernel: FloatArray, sky: Static) -> Float32Array:
    """Light that smoothed pixels have from holes: by so much they may be off, in whatever seeing the others are."""
    return np.maximum(smoothed(np.where(holes, sky.near, np.float32(0.0)), kernel), np.float32(0.0))


def smoothed_alike(block: Block, sigma: float, static: Float32Array) -> tuple[Float32Array, list[Smoothing]]:
    """The images at a Gaussian PSF, holes filled with what the others have there, and how each was brought to it."""
    smooth, smoothings = np.empty_like(block.image), []
    filler, any_psf = np.nan_to_num(static), next(psf for psf in block.psfs if psf is not None)
    for i, (psf, correlation) in enumerate(zip(block.psfs, block.correlations, strict=True)):
        matching = smoothing_to(any_psf if psf is None else psf, sigma, correlation)
        whole = np.where(block.usable[i] != 0, block.image[i], filler)
        smooth[i] = smoothed(whole, matching.kernel)
        smoothings.append(matching)
    return smooth, smoothings


def local_mean(variance: Float32Array) -> Float32Array:
    """Mean of the variance over 5 x 5 pixels, so that a pixel's own light does not excuse it."""
    finite = np.isfinite(variance)
    if finite.all():
        return np.asarray(uniform_filter(variance, 5), dtype=np.float32)
    typical = float(np.median(variance[finite])) if finite.any() else 1.0
    return np.asarray(uniform_filter(np.where(finite, variance, np.float32(typical)), 5), dtype=np.float32)
