"""AbstractDetector: the significance of a point source at every pixel, and the sources that are seen in it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from diapipe.images import Detections, Exposure, MaskedImage
from diapipe.images.psf import SIGMA_TO_FWHM
from diapipe.numerics import components, peaks
from diapipe.numerics.arrays import Float32Array, FloatArray, IntArray
from diapipe.numerics.matched_filter import BLOCK_ROWS
from diapipe.steps.detect.regions import flagged, grown_footprints
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
    grow_sigma
        Footprints are grown by this many PSF sigmas, both signs together; those that then touch are one.
    dipole_separation_fwhm
        Peaks of opposite sign at most this many PSF FWHM apart are one source. The lobes that a small shift leaves are
        1.2 FWHM apart on the score, more with noise or a larger shift.
    blend_tolerance
        Error allowed to the model of a bright source, as a fraction, when a fainter peak beside it is judged.
    cell_px
        The PSF is taken as constant over squares of this side. The score's loss is quadratic in the PSF's change.
    """

    may_be_zero: ClassVar[tuple[str, ...]] = ("grow_sigma", "dipole_separation_fwhm", "blend_tolerance")

    searches: ClassVar[Literal["difference", "score"]]
    """Which image it looks at."""

    threshold_sigma: float = 5.2
    grow_sigma: float = 2.4
    dipole_separation_fwhm: float = 2.0
    blend_tolerance: float = 0.1
    cell_px: int = 4 * BLOCK_ROWS

    @abstractmethod
    def significance(self, image: Exposure, *, n_threads: int) -> tuple[Float32Array, Responses]:
        """Score of a point source at every pixel, in sigma, NaN where none can be given; and what one looks like."""

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
        runs = components.runs_above(score, self.threshold_sigma)
        psf_sigma = float(np.median(responses.sigma))
        found, partner = self._sources(score, runs, responses, psf_sigma)
        radius = self.grow_sigma * psf_sigma
        ones = np.broadcast_to(np.float32(1.0), score.shape)
        return Detections(
            footprints=grown_footprints(runs, found, partner, radius=radius, box=image.box),
            score=MaskedImage(score, flagged(image.masked_image.mask, runs, radius=radius), ones, image.box),
            threshold_sigma=self.threshold_sigma,
            searched=self.searches,
        )

    def _sources(
        self, score: Float32Array, runs: IntArray, responses: Responses, psf_sigma: float
    ) -> tuple[FloatArray, IntArray]:
        """Peaks that are sources, most significant first, and for each the index of its partner or -1 or below."""
        candidates = peaks.find_peaks(score, runs)
        own = peaks.sources_among(
            candidates,
            cell_of=responses.index_at(candidates[:, 0], candidates[:, 1]),
            responses=responses.images,
            threshold=self.threshold_sigma,
            tolerance=self.blend_tolerance,
            shape=score.shape,
        )
        kept = candidates[own]
        separation = self.dipole_separation_fwhm * SIGMA_TO_FWHM * psf_sigma
        return kept, peaks.opposite_partners(kept, separation=separation, shape=score.shape)
