"""Cut-outs of sources: science, template, difference side by side, drawn many at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from diapipe.errors import InputError
from diapipe.images import UNUSABLE_DIFFERENCE, MaskedImage
from diapipe.images.squares import Squares
from diapipe.numerics.arrays import Float32Array, FloatArray, IntArray
from diapipe.report.content import PageContent
from diapipe.report.png import ByteArray, data_url, encode_png
from diapipe.report.stretch import AsinhStretch, grey_palette

MIN_SIDE_PX, MAX_SIDE_PX = 31, 51
"""Side of a cut-out: ten FWHM, within these."""
_FWHM_PER_SIDE = 10.0
_CORE_HALF_PX = 5
_AT_A_TIME = 100  # what is worked on stays in the processor's cache


@dataclass(frozen=True, slots=True)
class CutoutSheet:
    """One picture of all cut-outs: row i is source i, the columns are science, template, difference."""

    url: str
    side: int
    rows: int
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class DrawnCutouts:
    """Cut-outs of n sources as palette entries.

    Attributes
    ----------
    planes
        What stands side by side: science, template, difference, those that are at hand.
    entries
        Shape (n, side, len(planes) * side), the lowest row of the image first.
    """

    planes: tuple[str, ...]
    entries: ByteArray

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def side(self) -> int:
        """Pixels along a side of one cut-out."""
        return int(self.entries.shape[1])

    def ordered(self, index: IntArray) -> DrawnCutouts:
        """The cut-outs of these sources, in this order."""
        return DrawnCutouts(self.planes, self.entries[index])

    @staticmethod
    def joined(parts: Sequence[DrawnCutouts]) -> DrawnCutouts:
        """Cut-outs of several images one after the other; InputError unless all are of one shape."""
        shapes = {(part.planes, part.side) for part in parts}
        if len(shapes) != 1:
            raise InputError(f"cut-outs of one list need the same planes and side, not {sorted(shapes)}")
        return DrawnCutouts(parts[0].planes, np.concatenate([part.entries for part in parts]))

    def stacked(self) -> ByteArray:
        """All as one picture, the first source at the top; row 0 is drawn at the bottom."""
        return self.entries[::-1].reshape(len(self) * self.side, -1)


def cutout_side(fwhm_px: float | None) -> int:
    """Side of the cut-outs for a PSF, odd."""
    side = int(np.clip(round(_FWHM_PER_SIDE * (fwhm_px or 4.0)), MIN_SIDE_PX, MAX_SIDE_PX))
    return side | 1


def cutout_sheet(content: PageContent, *, x: FloatArray, y: FloatArray, side: int) -> CutoutSheet:
    """The cut-outs of sources at positions (parent coordinates), in one picture that a page carries in itself."""
    drawn = draw_cutouts(content, x=x, y=y, side=side)
    picture = drawn.stacked() if len(drawn) else np.zeros((side, len(drawn.planes) * side), np.uint8)
    return CutoutSheet(data_url(encode_png(picture, grey_palette())), side, len(drawn), drawn.planes)


def draw_cutouts(content: PageContent, *, x: FloatArray, y: FloatArray, side: int) -> DrawnCutouts:
    """Draw the cut-outs of sources at positions (parent coordinates), each source at a stretch of its own.

    The noise sets the black end of a source's stretch, the brightest pixel near its centre the white end; the three
    cut-outs of one source share it. What lies beyond the image or is unusable is drawn as no data.
    """
    masked = content.difference.exposure.masked_image
    inputs, skies = content.inputs, content.skies
    entries = np.zeros((len(x), side, (len(inputs) + 1) * side), np.uint8)
    for some in _portions(len(x)):
        around = Squares.around(masked.box, x=x[some], y=y[some], half=side // 2)
        stamps = [around.values(plane) - skies[name] for name, plane in inputs.items()]
        stamps.append(_usable(around, masked))
        entries[some] = _drawn(np.concatenate(stamps, axis=2), noise=_noise(around, masked))
    return DrawnCutouts((*inputs, "difference"), entries)


def _portions(n: int) -> Iterator[slice]:
    return (slice(first, first + _AT_A_TIME) for first in range(0, n, _AT_A_TIME))


def _usable(around: Squares, masked: MaskedImage) -> Float32Array:
    """Cut-outs of the difference; NaN where the mask calls a pixel unusable."""
    stamps = around.values(masked.image)
    stamps[(around.bits(masked.mask) & np.int32(int(UNUSABLE_DIFFERENCE))) != 0] = np.nan
    return stamps


def _noise(around: Squares, masked: MaskedImage) -> Float32Array:
    """Noise of the difference in the middle of each, shape (n, 1, 1); 1 where it is not known."""
    variance = around.middles(masked.variance)
    known = np.isfinite(variance) & (variance > 0)
    return np.sqrt(np.where(known, variance, 1.0), dtype=np.float32)[:, None, None]


def _drawn(stamps: Float32Array, *, noise: Float32Array) -> ByteArray:
    """Palette entries of cut-outs that stand side by side, shape (n, side, planes * side)."""
    side = stamps.shape[1]
    middle = np.arange(stamps.shape[2]) % side - side // 2
    core = stamps[:, abs(middle[:side]) <= _CORE_HALF_PX][:, :, abs(middle) <= _CORE_HALF_PX]
    top = np.nan_to_num(np.abs(core)).max(axis=(1, 2), keepdims=True) / noise
    low, high = -np.maximum(4.0, 0.15 * top), np.maximum(8.0, 1.1 * top)
    return AsinhStretch(sigma=noise, low_sigma=low, high_sigma=high, soft_sigma=4.0).indices(stamps)
