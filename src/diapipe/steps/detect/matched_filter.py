"""MatchedFilter: significance of a point source at every pixel, thresholded in true sigma."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import numpy as np

from diapipe.images import UNUSABLE_DIFFERENCE, Exposure
from diapipe.numerics import matched_filter
from diapipe.numerics.arrays import Float32Array, FloatArray
from diapipe.numerics.matched_filter import BLOCK_ROWS, SeparableFilter
from diapipe.numerics.small_convolution import convolved_in_full
from diapipe.numerics.threads import over_bands
from diapipe.numerics.whitening import noise_gain
from diapipe.steps.detect.base import AbstractDetector, Responses
from diapipe.steps.detect.psf_cells import cell_psfs


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedFilter(AbstractDetector):
    """Likelihood-ratio filter with the difference's own PSF and variance (`diapipe.numerics.matched_filter`).

    Attributes
    ----------
    least_coverage
        A score is given where at least this fraction of the filter's weight ΣP² lies on usable pixels.
    lost_fraction
        Fraction of ΣP² that the trimmed, separated filter may lack; the score loses half of it, its noise stays exact.
    """

    may_be_zero = (*AbstractDetector.may_be_zero, "least_coverage", "lost_fraction")
    shares = ("least_coverage", "lost_fraction")

    searches: ClassVar[Literal["difference", "score"]] = "difference"

    least_coverage: float = 0.5
    lost_fraction: float = 1e-3

    def significance(self, image: Exposure, *, n_threads: int) -> tuple[Float32Array, Responses]:
        """The difference filtered with its PSF, over the noise of that."""
        filters = self._filters(image)
        return self._score(image, filters, n_threads), filters.responses

    def variance_of_smoothed(self, responses: Responses) -> float:
        """1 / ΣP² of the PSF: the filtered image is then Σ P D."""
        return 4.0 * np.pi * float(np.median(responses.sigma)) ** 2

    def _filters(self, difference: Exposure) -> Filters:
        """Filters over the image."""
        stamps, n_x = cell_psfs(difference, self.cell_px)
        half = max(matched_filter.core_half(stamp, lost=self.lost_fraction) for stamp in stamps)
        cores = [matched_filter.cropped(stamp, half) for stamp in stamps]
        own = [matched_filter.separated(core, lost=self.lost_fraction) for core in cores]
        return Filters(
            own=own,
            squares=[matched_filter.squared(filter_, lost=self.lost_fraction) for filter_ in own],
            noise=[noise_gain(f.image(), difference.noise_correlation) for f in own],
            responses=Responses(
                n_x,
                self.cell_px,
                np.stack([_response(stamp, f.image()) for stamp, f in zip(stamps, own, strict=True)]),
                1.0 / np.sqrt(4.0 * np.pi * (stamps**2).sum(axis=(1, 2))),
            ),
        )

    def _score(self, difference: Exposure, filters: Filters, n_threads: int) -> Float32Array:
        """The score at every pixel."""
        planes = difference.masked_image
        image, variance = np.ascontiguousarray(planes.image), np.ascontiguousarray(planes.variance)
        mask = np.ascontiguousarray(planes.mask)
        score = np.empty(image.shape, np.float32)

        def work(first: int, last: int) -> None:
            for k, x in enumerate(range(0, image.shape[1], self.cell_px)):
                i = first // self.cell_px * filters.responses.n_x + k
                matched_filter.filter_block(
                    image,
                    mask,
                    variance,
                    int(UNUSABLE_DIFFERENCE),
                    *filters.own[i],
                    *filters.squares[i],
                    filters.noise[i],
                    self.least_coverage,
                    first,
                    x,
                    last - first,
                    min(self.cell_px, image.shape[1] - x),
                    score,
                )

        over_bands(work, image.shape[0], n_threads=n_threads, band_rows=BLOCK_ROWS)
        return score


class Filters(NamedTuple):
    """The PSF's filters on a grid of squares, row by row, and what they make of the PSF."""

    own: list[SeparableFilter]
    squares: list[SeparableFilter]
    noise: list[float]
    responses: Responses


def _response(stamp: FloatArray, filter_image: FloatArray) -> FloatArray:
    """What the filter makes of the PSF, 1 at the centre: R(d) = Σ_u Q(u) P(u + d) / Σ_u Q(u) P(u)."""
    full = convolved_in_full(stamp, filter_image[::-1, ::-1])
    middle = full.shape[0] // 2
    return np.asarray(full / full[middle, middle], dtype=np.float64)
