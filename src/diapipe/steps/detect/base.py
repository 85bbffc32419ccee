"""AbstractDetector: the significance of a point source at every pixel, and the sources that are seen in it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np

from diapipe.images import UNUSABLE_DIFFERENCE, Detections, Exposure, MaskedImage
from diapipe.images.mask import planes_of
from diapipe.images.psf import SIGMA_TO_FWHM
from diapipe.numerics import components, peaks
from diapipe.numerics.arrays import Float32Array, FloatArray, IntArray
from diapipe.numerics.matched_filter import BLOCK_ROWS
from diapipe.numerics.stats import robust_sigma
from diapipe.steps.detect import regions
from diapipe.steps.limits import Limited


@dataclass(frozen=True, slots=True, eq=False)
class Responses:
    """What a point source looks like on the score, on a grid of squares, row by row.

    Attributes
    ----------
    n_x
        Squares in a row.
    side
        Of a square in pixels.
    images
        Score of a source around it, 1 at the centre; shape (n, m, m), m odd.
    sigma
        Gaussian width of the PSF, by its noise-equivalent area, in pixels; shape (n,).
    """

    n_x: int
    side: int
    images: FloatArray
    sigma: FloatArray

    def index_at(self, x: FloatArray, y: FloatArray) -> IntArray:
        """Square of each position (array coordinates)."""
        column = np.clip(x // self.side, 0, self.n_x - 1).astype(np.int64)
        row = np.clip(y // self.side, 0, len(self.images) // self.n_x - 1).astype(np.int64)
        return row * self.n_x + column


@dataclass(frozen=True, slots=True, kw_only=True)
class AbstractDetector(Limited, ABC):
    """A way to find sources on an image of what changed.

    Attributes
    ----------
    threshold_sigma
        A source has a peak with absolute score above this. White noise seen through a PSF of sigma s has about
        A (2π)^-1.5 t exp(-t²/2) / s² peaks of both signs above t in A pixels: 5 on 4000 x 4000 at t = 5, 2 at 5.2.
    threshold_counts
        Threshold on the image as smoothed for the search, in its own unit, instead of one in sigma; None for none.
    noise
        ``pixel``: the threshold is in units of the noise at each pixel, by the variance; ``image``: of one scatter for
        all, measured on the usable pixels, for images whose variance nobody trusts. Significances are by the variance.
    polarity
        Which sources are searched.
    peak_factor
        A region counts if its highest pixel exceeds the threshold times this.
    min_pixels
        A region counts if it has so many pixels above the threshold.
    excluded_planes
        Mask planes, by name, on whose pixels nothing is detected; what is unusable tells nothing anyway, but near it a
        filter sees.
    grow_sigma
        Footprints are grown by this many PSF sigmas, both signs together; those that then touch are one.
    grow_isotropically
        By a disk; otherwise by a diamond, whose reach is that along rows plus that along columns.
    merge_signs
        Whether positive and negative footprints that touch are one, and close peaks of opposite sign a dipole;
        otherwise they stay apart, and may overlap.
    merge_px
        Footprints are grown by this much more, by a diamond, before those of opposite sign are merged.
    dipole_separation_fwhm
        Peaks of opposite sign at most this many PSF FWHM apart are one source. The lobes that a small shift leaves are
        1.2 FWHM apart on the score, more with noise or a larger shift.
    blend_tolerance
        Error allowed to the model of a bright source, as a fraction, when a fainter peak beside it is judged.
    cell_px
        The PSF is taken as constant over squares of this side. The score's loss is quadratic in the PSF's change.
    """

    may_be_zero: ClassVar[tuple[str, ...]] = (
        "peak_factor",
        "grow_sigma",
        "merge_px",
        "dipole_separation_fwhm",
        "blend_tolerance",
    )

    searches: ClassVar[Literal["difference", "score"]]
    """Which image it looks at."""

    threshold_sigma: float = 5.2
    threshold_counts: float | None = None
    noise: Literal["pixel", "image"] = "pixel"
    polarity: Literal["both", "positive", "negative"] = "both"
    peak_factor: float = 1.0
    min_pixels: int = 1
    excluded_planes: tuple[str, ...] = ()
    grow_sigma: float = 2.4
    grow_isotropically: bool = True
    merge_signs: bool = True
    merge_px: int = 0
    dipole_separation_fwhm: float = 2.0
    blend_tolerance: float = 0.1
    cell_px: int = 4 * BLOCK_ROWS

    def __post_init__(self) -> None:
        Limited.__post_init__(self)
        planes_of(self.excluded_planes)

    @abstractmethod
    def significance(self, image: Exposure, *, n_threads: int) -> tuple[Float32Array, Responses]:
        """Score of a point source at every pixel, in sigma, NaN where none can be given; and what one looks like."""

    @abstractmethod
    def variance_of_smoothed(self, responses: Responses) -> float:
        """Uniform variance of white pixels under which `significance` is the smoothed image itself."""

    def detect(self, image: Exposure, *, n_threads: int = 1) -> Detections:
        """Threshold, and keep the peaks that are sources of their own.

        Parameters
        ----------
        image
            What it `searches`, with its PSF.
        n_threads
            Threads to use; the result does not depend on it.
        """
        score, responses = self.significance(image, n_threads=n_threads)
        judged, threshold = self._judged(image, score, responses, n_threads)
        runs = self._runs(judged, threshold)
        psf_sigma = float(np.median(responses.sigma))
        found, partner = self._sources(judged, runs, responses, psf_sigma, threshold)
        if judged is not score:
            found, partner = regions.rated(found, partner, score)
        growth = regions.Growth(
            radius_px=self.grow_sigma * psf_sigma,
            isotropic=self.grow_isotropically,
            merge=self.merge_signs,
            merge_px=self.merge_px,
        )
        mask, ones = image.masked_image.mask, np.broadcast_to(np.float32(1.0), score.shape)
        return Detections(
            footprints=regions.grown_footprints(runs, found, partner, growth=growth, box=image.box),
            score=MaskedImage(score, regions.flagged(mask, runs, growth=growth), ones, image.box),
            threshold_sigma=self.threshold_sigma,
            searched=self.searches,
        )

    def _judged(
        self, image: Exposure, score: Float32Array, responses: Responses, n_threads: int
    ) -> tuple[Float32Array, float]:
        """What is held against the threshold, and the threshold: the score, unless an option asks for another."""
        judged, threshold, pixels = score, self.threshold_sigma, image.masked_image
        if self.threshold_counts is not None:
            variance, threshold = self.variance_of_smoothed(responses), self.threshold_counts
            white = replace(image, noise_correlation=None)
            judged, _ = self.significance(_with_variance(white, variance), n_threads=n_threads)
        elif self.noise == "image":
            variance = robust_sigma(pixels.image[pixels.usable(UNUSABLE_DIFFERENCE)]) ** 2
            judged, _ = self.significance(_with_variance(image, variance), n_threads=n_threads)
        if self.excluded_planes:
            excluded = (pixels.mask & np.int32(int(planes_of(self.excluded_planes)))) != 0
            judged = np.where(excluded, np.float32(np.nan), judged)
        return judged, threshold

    def _runs(self, judged: Float32Array, threshold: float) -> IntArray:
        """Signed runs of the regions that count."""
        runs = components.runs_above(judged, threshold)
        if self.polarity != "both":
            runs = np.ascontiguousarray(runs[runs[:, 3] == (1 if self.polarity == "positive" else -1)])
        if self.min_pixels > 1 or self.peak_factor > 1.0:
            least = threshold * self.peak_factor
            runs = regions.significant(runs, judged, min_pixels=self.min_pixels, least_peak=least)
        return runs

    def _sources(
        self, judged: Float32Array, runs: IntArray, responses: Responses, psf_sigma: float, threshold: float
    ) -> tuple[FloatArray, IntArray]:
        """Peaks that are sources, the highest first, and for each the index of its partner or -1 or below."""
        candidates = peaks.find_peaks(judged, runs)
        own = peaks.sources_among(
            candidates,
            cell_of=responses.index_at(candidates[:, 0], candidates[:, 1]),
            responses=responses.images,
            threshold=threshold,
            tolerance=self.blend_tolerance,
            shape=judged.shape,
        )
        kept = candidates[own]
        if not self.merge_signs:
            return kept, np.full(len(kept), -1, np.int64)
        separation = self.dipole_separation_fwhm * SIGMA_TO_FWHM * psf_sigma
        return kept, peaks.opposite_partners(kept, separation=separation, shape=judged.shape)


def _with_variance(image: Exposure, variance: float) -> Exposure:
    """The image with one variance for all pixels that had a usable one."""
    planes = image.masked_image
    flat = np.where((planes.variance > 0) & (planes.variance < np.inf), np.float32(variance), np.float32(np.inf))
    return replace(image, masked_image=replace(planes, variance=flat))
