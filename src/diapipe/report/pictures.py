"""Pictures: the three images at one stretch, the kernel over the field, the PSFs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from diapipe.images import UNUSABLE_DIFFERENCE, SpatialKernel
from diapipe.numerics.arrays import FloatArray
from diapipe.report.content import PageContent
from diapipe.report.png import ByteArray, data_url, encode_png
from diapipe.report.stretch import (
    AsinhStretch,
    binned,
    diverging_palette,
    grey_palette,
    in_fewer_greys,
    symmetric_indices,
    without_sky,
)

MAX_SIDE_PX = 600
KERNEL_AT = (0.1, 0.5, 0.9)
"""Fractions of the field at which the kernel is drawn."""
_GAP = 1
_CAPTIONS = {
    "science": ("Science", "The science image in grey"),
    "template": ("Matched template", "The template in grey, warped and matched to the science image"),
    "difference": ("Difference", "Science minus matched template in grey"),
}


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawn image: short name (also its style class), caption, alternative text, address, and size in its pixels."""

    name: str
    caption: str
    alt: str
    url: str
    width: int
    height: int


def triptych(content: PageContent, *, at_most: int = MAX_SIDE_PX) -> list[Picture]:
    """Science, matched template and difference at one stretch, each less its median sky; those that are at hand.

    The stretch is that of the binned science image (or of the difference, where that is all there is).
    """
    masked = content.difference.exposure.masked_image
    small = {name: binned(plane, at_most=at_most) for name, plane in content.inputs.items()}
    small["difference"] = binned(masked.image, at_most=at_most, mask=masked.mask, bits=int(UNUSABLE_DIFFERENCE))
    small = {name: without_sky(image) for name, image in small.items()}
    stretch = AsinhStretch.of_noise(next(iter(small.values())))
    drawn = {name: in_fewer_greys(stretch.indices(image)) for name, image in small.items()}
    return [_picture(name, *_CAPTIONS[name], entries, grey_palette()) for name, entries in drawn.items()]


def kernel_grid(kernel: SpatialKernel) -> Picture:
    """The kernel at nine places of the field, laid out as they lie; blue is negative, red positive."""
    box = kernel.box
    images = [
        [kernel.image_at(x=box.x0 + fx * box.width, y=box.y0 + fy * box.height) for fx in KERNEL_AT] for fy in KERNEL_AT
    ]
    limit = max(float(np.abs(images).max()), 1e-30)
    rows = [[symmetric_indices(image, limit=limit, power=0.5) for image in row] for row in images]
    return _picture(
        "kernel",
        "Matching kernel over the field",
        "Nine images of the matching kernel at a 3 by 3 grid of positions",
        _tiled(rows),
        diverging_palette(),
    )


def psf_strip(stamps: Sequence[FloatArray]) -> Picture:
    """PSFs side by side, each with peak 1, at a stretch that shows the wings."""
    side = max(stamp.shape[0] for stamp in stamps)
    row = [symmetric_indices(_centred(stamp, side), limit=1.0, power=0.4) for stamp in stamps]
    return _picture(
        "psf", "PSFs", "The point-spread functions at the centre of the field", _tiled([row]), diverging_palette()
    )


def _centred(stamp: FloatArray, side: int) -> FloatArray:
    """The stamp in the middle of a square of zeros."""
    margin = (side - stamp.shape[0]) // 2
    return np.pad(stamp, ((margin, side - stamp.shape[0] - margin),) * 2)


def _tiled(rows: Sequence[Sequence[ByteArray]]) -> ByteArray:
    """Images side by side and above each other, the first row at the bottom, with a thin gap."""
    padded = [[np.pad(image, ((0, _GAP), (0, _GAP))) for image in row] for row in rows]
    return np.asarray(np.block([list(row) for row in padded])[:-_GAP, :-_GAP], dtype=np.uint8)


def _picture(name: str, caption: str, alt: str, indices: ByteArray, palette: ByteArray) -> Picture:
    """Encode and describe."""
    height, width = indices.shape
    return Picture(name, caption, alt, data_url(encode_png(indices, palette)), width, height)
