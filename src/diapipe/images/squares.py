"""Squares of pixels around many places of an image at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diapipe.images.box import Box
from diapipe.numerics.arrays import BoolArray, Float32Array, FloatArray, IntArray, MaskArray

_FAR_OFF = -1_000_000  # on no image


@dataclass(frozen=True, slots=True, eq=False)
class Squares:
    """Pixels of squares around places, moved on to the image, and which of them were on it.

    Attributes
    ----------
    pixels
        Rows and columns in the image's array, shapes (n, side, 1) and (n, 1, side).
    on_image
        Shape (n, side, side).
    """

    pixels: tuple[IntArray, IntArray]
    on_image: BoolArray

    @classmethod
    def around(cls, box: Box, *, x: FloatArray, y: FloatArray, half: int) -> Squares:
        """Squares of ``2 half + 1`` pixels around the pixels that hold ``(x, y)``; off the image for NaN."""
        offset = np.arange(-half, half + 1)
        rows = (_pixels(y - box.y0)[:, None] + offset)[:, :, None]
        columns = (_pixels(x - box.x0)[:, None] + offset)[:, None, :]
        on = rows.clip(0, box.height - 1), columns.clip(0, box.width - 1)
        return cls(on, (on[0] == rows) & (on[1] == columns))

    def values(self, plane: Float32Array) -> Float32Array:
        """Pixels of a plane, shape (n, side, side); NaN off the image."""
        found = plane[self.pixels]
        found[~self.on_image] = np.nan
        return found

    def bits(self, mask: MaskArray, *, off_image: int = 0) -> MaskArray:
        """Pixels of a mask, shape (n, side, side); ``off_image`` off the image."""
        found = mask[self.pixels]
        found[~self.on_image] = off_image
        return found

    def middles(self, plane: Float32Array) -> Float32Array:
        """The middle pixels, shape (n,), or the nearest of the image."""
        rows, columns = self.pixels
        half = rows.shape[1] // 2
        return np.asarray(plane[rows[:, half, 0], columns[:, 0, half]])


def _pixels(coordinates: FloatArray) -> IntArray:
    """Indices of the pixels that hold coordinates, as `pixel_of`."""
    return np.floor(np.nan_to_num(coordinates, nan=_FAR_OFF) + 0.5).astype(np.int64)
