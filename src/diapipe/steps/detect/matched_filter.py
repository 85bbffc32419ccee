"""MatchedFilter: significance of a point source at every pixel, thresholded in true sigma."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from diapipe.errors import PsfUndefinedError
from diapipe.images import (
    UNUSABLE_DIFFERENCE,
    Box,
    Detections,
    Exposure,
    Footprints,
    MaskedImage,
    MaskPlane,
    Peaks,
    Psf,
)
from diapipe.numerics import components, matched_filter, peaks
from diapipe.numerics.arrays import Float32Array, FloatArray, IntArray, MaskArray
from diapipe.numerics.matched_filter import BLOCK_ROWS, SeparableFilter
from diapipe.numerics.small_convolution import convolved_in_full
from diapipe.numerics.threads import over_bands
from diapipe.steps.detect.base import AbstractDetector


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedFilter(AbstractDetector):
    """Likelihood-ratio filter with the difference's own PSF and variance (`diapipe.numerics.matched_filter`).

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
    least_coverage
        A score is given where at least this fraction of the filter's weight ΣP² lies on usable pixels.
    lost_fraction
        Fraction of ΣP² that the trimmed, separated filter may lack; the score loses half of it, its noise stays exact.
    cell_px
        The PSF is taken as constant over squares of this side. The score's loss is quadratic in the PSF's change.
    """

    may_be_zero = ("grow_sigma", "dipole_separation_fwhm", "blend_tolerance", "least_coverage", "lost_fraction")
    shares = ("least_coverage", "lost_fraction")

    threshold_sigma: float = 5.2
    grow_sigma: float = 2.4
    dipole_separation_fwhm: float = 2.0
    blend_tolerance: float = 0.1
    least_coverage: float = 0.5
    lost_fraction: float = 1e-3
    cell_px: int = 4 * BLOCK_ROWS

    def detect(self, difference: Exposure, *, n_threads: int = 1) -> Detections:
        """Filter, threshold, and keep the peaks that are sources of their own."""
        cells = self._cells(difference)
        score = self._score(difference, cells, n_threads)
        runs = components.runs_above(score, self.threshold_sigma)
        psf_sigma = float(np.median(cells.sigma))
        found, partner = self._sources(score, runs, cells, psf_sigma)
        footprints = _footprints(runs, found, partner, radius=self.grow_sigma * psf_sigma, box=difference.box)
        mask = _flagged(difference.masked_image.mask, runs, radius=self.grow_sigma * psf_sigma)
        ones = np.broadcast_to(np.float32(1.0), score.shape)
        return Detections(
            footprints=footprints,
            score=MaskedImage(score, mask, ones, difference.box),
            threshold_sigma=self.threshold_sigma,
        )

    def _cells(self, difference: Exposure) -> Cells:
        """Filters over the image."""
        if difference.psf is None:
            raise PsfUndefinedError(f"{difference.name} has no PSF; the matched filter needs one")
        stamps, n_x = _cell_psfs(difference.psf, difference.box, self.cell_px)
        half = max(matched_filter.core_half(stamp, lost=self.lost_fraction) for stamp in stamps)
        cores = [matched_filter.cropped(stamp, half) for stamp in stamps]
        filters = [matched_filter.separated(core, lost=self.lost_fraction) for core in cores]
        squares = [matched_filter.squared(filter_, lost=self.lost_fraction) for filter_ in filters]
        return Cells(
            n_x=n_x,
            filters=filters,
            squares=squares,
            noise=[matched_filter.correlated_noise_factor(f.image(), difference.noise_correlation) for f in filters],
            responses=np.stack([_response(stamp, f.image()) for stamp, f in zip(stamps, filters, strict=True)]),
            sigma=1.0 / np.sqrt(4.0 * np.pi * (stamps**2).sum(axis=(1, 2))),
        )

    def _score(self, difference: Exposure, cells: Cells, n_threads: int) -> Float32Array:
        """The score at every pixel."""
        planes = difference.masked_image
        image, variance = np.ascontiguousarray(planes.image), np.ascontiguousarray(planes.variance)
        mask = np.ascontiguousarray(planes.mask)
        score = np.empty(image.shape, np.float32)

        def work(first: int, last: int) -> None:
            for k, x in enumerate(range(0, image.shape[1], self.cell_px)):
                i = first // self.cell_px * cells.n_x + k
                matched_filter.filter_block(
                    image,
                    mask,
                    variance,
                    int(UNUSABLE_DIFFERENCE),
                    *cells.filters[i],
                    *cells.squares[i],
                    cells.noise[i],
                    self.least_coverage,
                    first,
                    x,
                    last - first,
                    min(self.cell_px, image.shape[1] - x),
                    score,
                )

        over_bands(work, image.shape[0], n_threads=n_threads, band_rows=BLOCK_ROWS)
        return score

    def _sources(
        self, score: Float32Array, runs: IntArray, cells: Cells, psf_sigma: float
    ) -> tuple[FloatArray, IntArray]:
        """Peaks that are sources, most significant first, and for each the index of its partner or -1 or below."""
        candidates = peaks.find_peaks(score, runs)
        cell_of = cells.index_at(candidates[:, 0], candidates[:, 1], self.cell_px)
        own = peaks.sources_among(
            candidates,
            cell_of=cell_of,
            responses=cells.responses,
            threshold=self.threshold_sigma,
            tolerance=self.blend_tolerance,
            shape=score.shape,
        )
        kept = candidates[own]
        separation = self.dipole_separation_fwhm * 2.3548 * psf_sigma
        return kept, peaks.opposite_partners(kept, separation=separation, shape=score.shape)


class Cells(NamedTuple):
    """The PSF's filters on a grid of squares, row by row."""

    n_x: int
    filters: list[SeparableFilter]
    squares: list[SeparableFilter]
    noise: list[float]
    responses: FloatArray
    sigma: FloatArray

    def index_at(self, x: FloatArray, y: FloatArray, side: int) -> IntArray:
        """Cell of each position (array coordinates)."""
        column = np.clip(x // side, 0, self.n_x - 1).astype(np.int64)
        row = np.clip(y // side, 0, len(self.filters) // self.n_x - 1).astype(np.int64)
        return row * self.n_x + column


def _cell_psfs(psf: Psf, box: Box, side: int) -> tuple[FloatArray, int]:
    """PSF images at the centres of the cells, shape (n, size, size), and the cells in a row.

    Where the PSF is undefined the nearest defined cell's stands in.
    """
    tops, lefts = range(box.y0, box.y1, side), range(box.x0, box.x1, side)
    centers = [
        (0.5 * (x + min(x + side, box.x1) - 1), 0.5 * (y + min(y + side, box.y1) - 1)) for y in tops for x in lefts
    ]
    stamps: dict[int, FloatArray] = {}
    for i, (x, y) in enumerate(centers):
        try:
            stamps[i] = psf.kernel_image(x=x, y=y)
        except PsfUndefinedError:
            continue
    if not stamps:
        raise PsfUndefinedError(f"the PSF is defined nowhere on the difference {box}")
    where = np.array(centers)
    known = np.array(list(stamps))
    nearest = [known[np.argmin(((where[known] - center) ** 2).sum(axis=1))] for center in where]
    return np.stack([stamps[int(i)] for i in nearest]), len(lefts)


def _response(stamp: FloatArray, filter_image: FloatArray) -> FloatArray:
    """What the filter makes of the PSF, 1 at the centre: R(d) = Σ_u Q(u) P(u + d) / Σ_u Q(u) P(u)."""
    full = convolved_in_full(stamp, filter_image[::-1, ::-1])
    middle = full.shape[0] // 2
    return np.asarray(full / full[middle, middle], dtype=np.float64)


def _footprints(runs: IntArray, found: FloatArray, partner: IntArray, *, radius: float, box: Box) -> Footprints:
    """Grown footprints that hold a source, with the sources as peaks; an opposite lobe is told to its main peak."""
    grown = components.grow_runs(runs, radius, box.shape)
    labels, n = components.label_runs(grown)
    order = np.argsort(labels, kind="stable")
    offsets = np.concatenate([[0], np.cumsum(np.bincount(labels, minlength=n))]).astype(np.int64)
    spans = grown[order] + np.array([box.y0, box.x0, box.x0])
    main = partner >= -1
    mate = np.where(partner[main] >= 0, partner[main], 0)
    has_mate = partner[main] >= 0
    x, y, value = found[main].T
    index = np.empty(len(x), np.int64)
    rows, columns = np.floor(y + 0.5).astype(np.int64), np.floor(x + 0.5).astype(np.int64)
    components.component_at(grown, labels, rows, columns, index)
    opposite = np.where(has_mate[:, None], found[mate] if len(found) else np.empty((0, 3)), np.nan)
    peaks_ = Peaks(
        x + box.x0, y + box.y0, value, index, opposite[:, 0] + box.x0, opposite[:, 1] + box.y0, opposite[:, 2]
    )
    every = Footprints(spans, offsets, peaks_, box)
    return every.select(np.bincount(index, minlength=n) > 0)


def _flagged(mask: MaskArray, runs: IntArray, *, radius: float) -> MaskArray:
    """The mask with DETECTED and DETECTED_NEGATIVE as found here."""
    planes = int(MaskPlane.DETECTED | MaskPlane.DETECTED_NEGATIVE)
    flagged = mask & np.int32(~planes)
    for sign, plane in ((1, MaskPlane.DETECTED), (-1, MaskPlane.DETECTED_NEGATIVE)):
        grown = components.grow_runs(np.ascontiguousarray(runs[runs[:, 3] == sign]), radius, mask.shape)
        components.paint(flagged, grown, int(plane))
    return flagged
