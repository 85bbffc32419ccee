"""Footprints: the pixels of detections, as pieces of rows, and the peaks in them."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from diapipe.errors import InputError
from diapipe.images.box import Box, cut
from diapipe.numerics.arrays import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Peaks:
    """Peaks of a score image, the most significant first, one array entry each.

    Attributes
    ----------
    x, y
        Sub-pixel position of the extremum, parent pixel coordinates.
    significance
        Score there, in sigma, negative for a negative peak.
    footprint
        Index of the footprint that holds it.
    partner_x, partner_y, partner_significance
        A peak of the opposite sign so close that the two are one dipole; NaN where there is none.
    """

    x: FloatArray
    y: FloatArray
    significance: FloatArray
    footprint: IntArray
    partner_x: FloatArray
    partner_y: FloatArray
    partner_significance: FloatArray

    def __len__(self) -> int:
        return len(self.x)

    def select(self, which: BoolArray | IntArray) -> Peaks:
        """The chosen entries: a boolean mask or indices."""
        return Peaks(*(getattr(self, f.name)[which] for f in fields(self)))


@dataclass(frozen=True, slots=True, eq=False)
class Footprints:
    """Connected regions of pixels in flat arrays.

    Attributes
    ----------
    spans
        Shape (n_spans, 3), int64: y, first x, last x + 1 in parent coordinates; those of one footprint are consecutive.
    offsets
        Shape (n + 1,): footprint i has ``spans[offsets[i]:offsets[i + 1]]``.
    peaks
        Every peak, with the footprint it lies in.
    box
        The image they were found on.

    Raises
    ------
    InputError
        If the offsets do not cover the spans, or a peak names a footprint that does not exist.
    """

    spans: IntArray
    offsets: IntArray
    peaks: Peaks
    box: Box

    def __post_init__(self) -> None:
        if self.offsets[0] != 0 or self.offsets[-1] != len(self.spans):
            raise InputError(f"offsets of footprints end at {self.offsets[-1]}, but there are {len(self.spans)} spans")
        if len(self.peaks) and not 0 <= self.peaks.footprint.min() <= self.peaks.footprint.max() < len(self):
            raise InputError(f"a peak names footprint {self.peaks.footprint.max()} of {len(self)}")

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def spans_of(self, index: int) -> IntArray:
        """Spans of one footprint; shape (n, 3)."""
        return self.spans[self.offsets[index] : self.offsets[index + 1]]

    def box_of(self, index: int) -> Box:
        """Smallest box around one footprint."""
        spans = self.spans_of(index)
        return Box(int(spans[0, 0]), int(spans[-1, 0]) + 1, int(spans[:, 1].min()), int(spans[:, 2].max()))

    @property
    def area(self) -> IntArray:
        """Number of pixels of each footprint; shape (n,)."""
        ends = np.concatenate([[0], np.cumsum(self.spans[:, 2] - self.spans[:, 1])])
        return np.diff(ends[self.offsets])

    @property
    def is_negative(self) -> BoolArray:
        """Whether a footprint holds negative peaks only; shape (n,)."""
        return self._only(self.peaks.significance < 0)

    @property
    def is_positive(self) -> BoolArray:
        """Whether a footprint holds positive peaks only; shape (n,)."""
        return self._only(self.peaks.significance > 0)

    def _only(self, has_sign: BoolArray) -> BoolArray:
        """Footprints whose peaks all have the sign, and none of them a partner of the other sign."""
        pure = has_sign & np.isnan(self.peaks.partner_significance)
        n_peaks = np.bincount(self.peaks.footprint, minlength=len(self))
        n_pure = np.bincount(self.peaks.footprint[pure], minlength=len(self))
        return np.asarray((n_peaks > 0) & (n_pure == n_peaks))

    def select(self, which: BoolArray) -> Footprints:
        """The chosen footprints with their peaks; ``which`` is boolean, shape (n,)."""
        lengths = np.diff(self.offsets)
        new_index = np.cumsum(which) - 1
        peaks = self.peaks.select(which[self.peaks.footprint])
        renumbered = replace(peaks, footprint=new_index[peaks.footprint])
        offsets = np.concatenate([[0], np.cumsum(lengths[which])]).astype(np.int64)
        return Footprints(self.spans[np.repeat(which, lengths)], offsets, renumbered, self.box)

    def __getitem__(self, box: Box) -> Footprints:
        """Footprints that lie wholly in ``box``, with their peaks; BoundsError if it sticks out of the image."""
        cut(box, self.box)
        spans = self.spans
        inside = (spans[:, 0] >= box.y0) & (spans[:, 0] < box.y1) & (spans[:, 1] >= box.x0) & (spans[:, 2] <= box.x1)
        n_outside = np.concatenate([[0], np.cumsum(~inside)])
        chosen = self.select(np.diff(n_outside[self.offsets]) == 0)
        return Footprints(chosen.spans, chosen.offsets, chosen.peaks, box)

    def to_mask(self, which: BoolArray | None = None) -> BoolArray:
        """Pixels of the image in any footprint, or in any of those chosen; shape ``box.shape``."""
        lengths = np.diff(self.offsets)
        spans = self.spans if which is None else self.spans[np.repeat(which, lengths)]
        mask = np.zeros(self.box.shape, np.bool_)
        for y, first, last in spans - np.array([self.box.y0, self.box.x0, self.box.x0]):
            mask[y, first:last] = True
        return mask
