"""ClippedCoadder: what one image shows and the others do not is left out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from diapipe.numerics.arrays import Float32Array, IntArray, MaskArray
from diapipe.numerics.common_psf import noise_equivalent_sigma, smoothed, smoothing_to
from diapipe.numerics.components import grow_runs
from diapipe.numerics.outliers import (
    count_runs,
    medians,
    score_against,
    seldom,
    significant_regions,
)
from diapipe.numerics.stats import robust_sigma, thinned
from diapipe.steps.coadd.base import AbstractCoadder, Block, ByteArray

_SAMPLE = 50_000
_BRIGHT_SIGMA = 50.0
_LEAST_BRIGHT_PIXELS = 100
_NEAR_PX = 5

type Regions = tuple[IntArray, IntArray, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClippedCoadder(AbstractCoadder):
    """The mean less artefacts and transients: regions in which few images disagree with the median of all.

    Images of different seeing cannot be compared as they are. They are compared twice: all smoothed to one PSF, where
    stars agree and point sources stand out; and as they are, away from the light of stars, where what is sharper than a
    star stands out. A region is judged as a whole: if most of its pixels stand out in a few images only it is left out
    of each, with its surroundings; what stands out in many is a variable star or an error of the model, and stays.

    Attributes
    ----------
    n_sigma
        Height that a region must reach.
    n_sigma_edge
        Down to which height it extends.
    grow_fwhm
        By how much it grows on all sides, in FWHM of the smoothed images: the wings of a bright transient are fainter
        than any threshold.
    grow_sharp_px
        The same for regions found on the images as they are.
    widening
        Variance of the common PSF over that of the widest PSF; 1.5 is near the matched filter for all of them.
    least_model_error
        Part of the brightness of a source by which images differ at least, for their PSF models and positions are not
        perfect. What they really differ by is measured on the bright pixels of each image.
    max_epochs
        In up to so many images a region may stand out to be an artefact,
    max_share_of_few
        but not in more than this part of the images where they are few,
    max_share_of_many
        and in this part of them more where they are many.
    least_region_share
        Part of the pixels of a region for which this must hold.
    """

    may_be_zero = (*AbstractCoadder.may_be_zero, "least_model_error", "max_share_of_many", "grow_fwhm", "grow_sharp_px")
    shares = (*AbstractCoadder.shares, "max_share_of_few", "max_share_of_many", "least_region_share")
    margin_px = 48

    n_sigma: float = 5.0
    n_sigma_edge: float = 3.0
    grow_fwhm: float = 0.75
    grow_sharp_px: float = 2.0
    widening: float = 1.5
    least_model_error: float = 0.01
    max_epochs: int = 2
    max_share_of_few: float = 0.4
    max_share_of_many: float = 0.03
    least_region_share: float = 0.5

    def rejected(self, block: Block) -> ByteArray:
        """Regions of artefacts and transients of every image."""
        rejected = np.zeros(block.image.shape, np.uint8)
        if len(block.image) < 3:
            return rejected
        number = np.zeros(block.box.shape, np.int32)
        static = np.empty(block.box.shape, np.float32)
        medians(block.image, block.usable, static, number)
        wide = self._smoothed(block, static)
        most = self._most_epochs(number)
        if wide is None:
            bright = np.abs(static)
            self._reject(rejected, self._sharp_regions(block, static, bright, number, None), most, self.grow_sharp_px)
            return rejected
        smooth, gains, sigma = wide
        common = np.empty(block.box.shape, np.float32)
        medians(smooth, block.usable, common, number.copy())
        np.nan_to_num(common, copy=False)
        bright = ndimage.maximum_filter(np.abs(common), _NEAR_PX)
        regions = self._smooth_regions(block, smooth, common, bright, number, gains)
        self._reject(rejected, regions, most, 2.355 * sigma * self.grow_fwhm)
        self._reject(rejected, self._sharp_regions(block, static, bright, number, sigma), most, self.grow_sharp_px)
        return rejected

    def _smoothed(self, block: Block, static: Float32Array) -> tuple[Float32Array, list[float], float] | None:
        """The images at a common PSF, the gain of each and the width of the PSF; None if no PSF is known."""
        known = [psf for psf in block.psfs if psf is not None]
        if not known:
            return None
        sigma = float(np.sqrt(self.widening)) * max(noise_equivalent_sigma(psf) for psf in known)
        smooth, gains = np.empty_like(block.image), []
        filler = np.nan_to_num(static)
        for i, (psf, correlation) in enumerate(zip(block.psfs, block.correlations, strict=True)):
            matching = smoothing_to(known[0] if psf is None else psf, sigma, correlation)
            whole = np.where(block.usable[i] != 0, block.image[i], filler)
            smooth[i] = smoothed(whole, matching.kernel)
            gains.append(matching.gain)
        return smooth, gains, sigma

    def _smooth_regions(
        self,
        block: Block,
        smooth: Float32Array,
        common: Float32Array,
        bright: Float32Array,
        number: MaskArray,
        gains: list[float],
    ) -> list[Regions]:
        """What stands out from the median of the smoothed images, by image."""
        score, found = np.empty(block.box.shape, np.float32), []
        for i, gain in enumerate(gains):
            variance = _local_mean(block.variance[i])
            off = smooth[i] - common
            scatter, error = self._scatter(off, variance, bright, block.usable[i], gain)
            score_against(
                smooth[i],
                common,
                variance,
                bright,
                block.usable[i],
                number,
                gain * scatter**2,
                self.n_sigma * error,
                3,
                score,
            )
            found.append(self._regions(score))
        return found

    def _sharp_regions(
        self,
        block: Block,
        static: Float32Array,
        bright: Float32Array,
        number: MaskArray,
        sigma: float | None,
    ) -> list[Regions]:
        """What stands out from the median of the images as they are, where it is too bright for any star."""
        score, found = np.empty(block.box.shape, np.float32), []
        known = [float(psf.max()) for psf in block.psfs if psf is not None]
        sharpest = 1.0 if sigma is None else max(known) * 2.0 * np.pi * sigma**2
        for i in range(len(block.image)):
            variance = _local_mean(block.variance[i])
            off = block.image[i] - static
            scatter, _ = self._scatter(off, variance, bright, block.usable[i], 1.0)
            score_against(
                block.image[i],
                static,
                variance,
                bright,
                block.usable[i],
                number,
                scatter**2,
                max(sharpest, 1.0),
                3,
                score,
            )
            found.append(self._regions(score))
        return found

    def _scatter(
        self, off: Float32Array, variance: Float32Array, bright: Float32Array, usable: ByteArray, gain: float
    ) -> tuple[float, float]:
        """By how much noise exceeds what the variance says (1 or more), and by what part of its light a source differs."""
        step = max(1, int(np.sqrt(off.size / _SAMPLE)))
        pick = np.s_[::step, ::step]
        good = usable[pick] != 0
        noise = np.sqrt(gain * variance[pick][good])
        light, beyond = bright[pick][good], off[pick][good]
        dim = light < _NEAR_PX * noise
        sample = dim if np.count_nonzero(dim) > _LEAST_BRIGHT_PIXELS else np.ones(len(light), np.bool_)
        scatter = max(1.0, float(np.nan_to_num(robust_sigma(beyond[sample] / noise[sample]), nan=1.0)))
        shining = light > _BRIGHT_SIGMA * noise
        if np.count_nonzero(shining) < _LEAST_BRIGHT_PIXELS:
            return scatter, max(self.least_model_error, 0.02)
        relative = np.abs(thinned(beyond[shining] / light[shining], _SAMPLE))
        return scatter, max(self.least_model_error, float(np.median(relative)) / 0.6745)

    def _regions(self, score: Float32Array) -> Regions:
        return significant_regions(score, low=self.n_sigma_edge, high=self.n_sigma)

    def _most_epochs(self, number: MaskArray) -> MaskArray:
        """Up to how many images of so many may show an artefact."""
        most = np.minimum(self.max_share_of_few * number, self.max_epochs + self.max_share_of_many * number)
        return np.asarray(np.floor(most + 1e-6), dtype=np.int32)

    def _reject(self, rejected: ByteArray, regions: list[Regions], most: MaskArray, radius: float) -> None:
        """Mark the regions that are artefacts, grown."""
        counts = np.zeros(most.shape, np.int32)
        for runs, _, _ in regions:
            count_runs(runs, counts)
        for i, (runs, labels, n) in enumerate(regions):
            if n == 0:
                continue
            kept = seldom(runs, labels, n, counts, most, least_share=self.least_region_share)
            for row, first, last in grow_runs(runs[kept[labels]], radius, most.shape):
                rejected[i, row, first:last] = 1


def _local_mean(variance: Float32Array) -> Float32Array:
    """Mean of the variance over 5 x 5 pixels, so that a pixel's own light does not excuse it."""
    finite = np.isfinite(variance)
    if finite.all():
        return np.asarray(ndimage.uniform_filter(variance, 5), dtype=np.float32)
    typical = float(np.median(variance[finite])) if finite.any() else 1.0
    return np.asarray(ndimage.uniform_filter(np.where(finite, variance, np.float32(typical)), 5), dtype=np.float32)
