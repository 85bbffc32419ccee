"""ClippedCoadder: what one image shows and the others do not is left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.ndimage import maximum_filter

from diapipe.images.psf import SIGMA_TO_FWHM
from diapipe.numerics.arrays import BoolArray, Float32Array, IntArray, MaskArray
from diapipe.numerics.common_psf import Smoothing, noise_equivalent_sigma
from diapipe.numerics.components import grow_runs
from diapipe.numerics.outliers import (
    count_runs,
    medians,
    region_peaks,
    score_beyond,
    seldom,
    significant_regions,
)
from diapipe.numerics.seen_noise import seen_variance
from diapipe.steps.coadd.base import AbstractCoadder, Block, ByteArray
from diapipe.steps.coadd.comparison import (
    DIM_SIGMA,
    Static,
    against_others,
    beside,
    borrowed,
    bright_holes,
    cut_by_border,
    excess_scatter,
    light_of,
    local_mean,
    model_errors,
    of_two,
    psf_leaps,
    rescaled,
    smoothed_alike,
)

_LEAST_IMAGES = 2
_ROOM_OF_TWO = np.float32(3.0)
"""Times as many errors of the model are allowed where two images disagree: a star off by many, of which there is no
third to ask, is better left as it is than seen by one image alone."""
_NEAR_PX, _FAR_PX = 5, 41


class Regions(NamedTuple):
    """Connected pixels of one image that stand out: runs, the region of each, how high each is, which may go."""

    runs: IntArray
    labels: IntArray
    peaks: Float32Array
    may_go: BoolArray

    @property
    def n(self) -> int:
        """How many there are."""
        return len(self.peaks)


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
    n_model_errors
        Height of a region above the static sky in units of the errors that follow.
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
    n_model_errors: float = 3.0
    least_model_error: float = 0.01
    max_epochs: int = 2
    max_share_of_few: float = 0.4
    max_share_of_many: float = 0.03
    least_region_share: float = 0.5

    def rejected(self, block: Block) -> ByteArray:
        """Regions of artefacts and transients of every image."""
        rejected = np.zeros(block.image.shape, np.uint8)
        if len(block.image) < _LEAST_IMAGES:
            return rejected
        number = np.zeros(block.box.shape, np.int32)
        static = np.empty(block.box.shape, np.float32)
        medians(block.image, block.usable, static, number)
        spread = [local_mean(variance) for variance in block.variance]
        known = [psf for psf in block.psfs if psf is not None]
        if not known:
            light = np.abs(light_of(static, number, block.image, block.usable))
            sky = Static(static, number, light, np.zeros_like(static))
            self._reject(rejected, self._sharp_regions(block, spread, sky, 1.0), number, self.grow_sharp_px)
            return rejected
        sigma = float(np.sqrt(self.widening)) * max(noise_equivalent_sigma(psf) for psf in known)
        smooth, smoothings = smoothed_alike(block, sigma, static)
        common = np.empty(block.box.shape, np.float32)
        medians(smooth, block.usable, common, np.zeros_like(number))
        light = np.abs(np.nan_to_num(light_of(common, number, smooth, block.usable)))
        sky = Static(common, number, maximum_filter(light, _NEAR_PX), maximum_filter(light, _FAR_PX))
        reach = SIGMA_TO_FWHM * sigma * self.grow_fwhm
        regions = self._smooth_regions(block, spread, sky, (smooth, smoothings, sigma))
        self._reject(rejected, self._worthwhile(regions, block, smooth - common, reach, light), number, reach)
        sharpest = max(1.0, max(float(psf.max()) for psf in known) * 2.0 * np.pi * sigma**2)
        regions = self._sharp_regions(block, spread, replace(sky, median=static), sharpest)
        self._reject(rejected, regions, number, self.grow_sharp_px)
        return rejected

    def _smooth_regions(
        self,
        block: Block,
        spread: Sequence[Float32Array],
        sky: Static,
        alike: tuple[Float32Array, list[Smoothing], float],
    ) -> list[Regions]:
        """What stands out from the median of the smoothed images, by image."""
        smooth, smoothings, sigma = alike
        found = []
        for i, (kernel, gain) in enumerate(smoothings):
            variance = np.float32(gain) * spread[i]
            wide, small = bright_holes(block.usable[i], variance, sky)
            wide |= cut_by_border(variance, sky)
            good = np.where(beside(wide, int(np.ceil(2.0 * sigma))), np.uint8(0), block.usable[i])
            off = rescaled(smooth[i], variance, against_others(smooth[i], good, sky), good)
            near, far = model_errors(off, variance, sky, good)
            near = max(self.least_model_error, near)
            allowed = np.float32(self.n_model_errors) * (np.float32(near) * sky.near + np.float32(far) * sky.far)
            allowed *= np.where(of_two(sky.number), _ROOM_OF_TWO, np.float32(1.0))
            seen = seen_variance(off, variance, sky.near, good, dim_sigma=DIM_SIGMA, dim=sky.dim)
            if small.any():
                allowed += borrowed(small, kernel, sky)
            found.append(self._regions(off, seen, allowed, good, sky.number))
        return found

    def _worthwhile(
        self, regions: list[Regions], block: Block, off: Float32Array, reach: float, light: Float32Array
    ) -> list[Regions]:
        """Regions may go where something is wrong by more than leaving the image out would spoil.

        Without it the mean has another PSF, for all light within the region: a star that varies by a tenth is better
        left as it is than seen by another PSF than the stars around it are.
        """
        around = maximum_filter(light, 2 * int(np.ceil(reach)) + 1)
        judged = []
        for one, wrong, leap in zip(regions, off, psf_leaps(block.psfs), strict=True):
            gain = np.maximum(np.abs(wrong) - np.float32(leap) * around, np.float32(0.0))
            judged.append(one._replace(may_go=region_peaks(gain, one.runs, one.labels, one.n) > 0.0))
        return judged

    def _sharp_regions(
        self, block: Block, spread: Sequence[Float32Array], sky: Static, sharpest: float
    ) -> list[Regions]:
        """What stands out from the median of the images as they are, where it is too bright for any star."""
        found = []
        allowed = np.float32(sharpest) * sky.near
        for i in range(len(block.image)):
            good = block.usable[i]
            off = block.image[i] - against_others(block.image[i], good, sky).median
            variance = spread[i] * np.float32(excess_scatter(off, spread[i], sky, good) ** 2)
            found.append(self._regions(off, variance, allowed, good, sky.number))
        return found

    def _regions(
        self,
        off: Float32Array,
        variance: Float32Array,
        allowed: Float32Array,
        good: ByteArray,
        number: MaskArray,
    ) -> Regions:
        """Connected pixels that are off by more than is allowed, in units of their noise."""
        score = np.empty(off.shape, np.float32)
        score_beyond(off, variance, allowed, good, number, _LEAST_IMAGES, score)
        score[of_two(number) & (score < 0.0)] = 0.0  # the darker is believed: artefacts and transients add light
        runs, labels, n = significant_regions(score, low=self.n_sigma_edge, high=self.n_sigma)
        return Regions(runs, labels, region_peaks(score, runs, labels, n), np.ones(n, np.bool_))

    def _most_epochs(self, number: MaskArray) -> MaskArray:
        """Up to how many images of so many may show an artefact."""
        most = np.minimum(self.max_share_of_few * number, self.max_epochs + self.max_share_of_many * number)
        return np.asarray(np.maximum(np.floor(most + 1e-6), of_two(number)), dtype=np.int32)

    def _reject(self, rejected: ByteArray, regions: list[Regions], number: MaskArray, radius: float) -> None:
        """Mark the regions that are artefacts, grown; of two images never both, the higher regions first.

        Around a ray an interpolation rings, and there the other image is the brighter.
        """
        most, counts = self._most_epochs(number), np.zeros(number.shape, np.int32)
        alone = of_two(number).astype(np.float32)
        for one in regions:
            count_runs(one.runs, counts)
        pending = []
        for i, one in enumerate(regions):
            if one.n == 0:
                continue
            goes = one.may_go & seldom(one.runs, one.labels, one.n, counts, most, least_share=self.least_region_share)
            waits = goes & (region_peaks(alone, one.runs, one.labels, one.n) > 0)
            for row, first, last in grow_runs(one.runs[(goes & ~waits)[one.labels]], radius, number.shape):
                rejected[i, row, first:last] = 1
            pending += [(float(one.peaks[k]), i, int(k)) for k in np.flatnonzero(waits)]
        for _, i, k in sorted(pending, reverse=True):
            self._reject_of_two(rejected, i, regions[i].runs[regions[i].labels == k], number, radius)

    def _reject_of_two(self, rejected: ByteArray, i: int, runs: IntArray, number: MaskArray, radius: float) -> None:
        """Mark a region, grown, but not where the other image of two is marked; nothing if it mostly lies there."""
        others = np.arange(len(rejected)) != i

        def taken(row: int, first: int, last: int) -> BoolArray:
            part = np.s_[row, first:last]
            return np.asarray((rejected[others, *part] != 0).any(axis=0) & of_two(number[part]))

        if np.mean(np.concatenate([taken(*run) for run in runs])) > self.least_region_share:
            return
        for run in grow_runs(runs, radius, number.shape):
            row, first, last = run
            rejected[i, row, first:last] |= ~taken(*run)
