"""MaskedImage: pixels with their mask and their variance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diapipe.errors import InputError
from diapipe.images.box import Box, cut
from diapipe.images.mask import UNUSABLE, MaskPlane
from diapipe.numerics.arrays import BoolArray, Float32Array, MaskArray, RealArray

_BLOCK_ROWS = 64
"""Rows tested at once: few enough that they stay in the cache between the tests."""


_TYPES = np.dtype(np.float32), np.dtype(np.int32), np.dtype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class MaskedImage:
    """Three planes of one shape over one box of the parent image.

    The planes are not to be written to: a step that changes pixels makes a new MaskedImage. NumPy is not told so, for
    Numba would compile every kernel a second time for read-only arrays.

    Attributes
    ----------
    image
        Pixel values, float32, shape (rows, columns); NaN where there is no value.
    mask
        `MaskPlane` bits, int32.
    variance
        Variance of a pixel, float32, in the squared unit of ``image``; positive wherever the pixel is usable.
    box
        Where the planes lie in parent coordinates.

    Raises
    ------
    InputError
        If the planes differ in shape from each other or from the box, or one is not of its type.
    """

    image: Float32Array
    mask: MaskArray
    variance: Float32Array
    box: Box

    def __post_init__(self) -> None:
        if not self.image.shape == self.mask.shape == self.variance.shape == self.box.shape:
            raise InputError(
                f"image {self.image.shape}, mask {self.mask.shape}, variance {self.variance.shape} "
                f"and box {self.box.shape} must have one shape"
            )
        found = self.image.dtype, self.mask.dtype, self.variance.dtype
        if found != _TYPES:
            raise InputError(
                f"image, mask and variance must be float32, int32 and float32, "
                f"not {found[0]}, {found[1]} and {found[2]}; "
                "MaskedImage.from_planes converts them"
            )

    @classmethod
    def from_planes(
        cls,
        image: RealArray,
        *,
        mask: MaskArray | None = None,
        variance: RealArray | float = 1.0,
        box: Box | None = None,
    ) -> MaskedImage:
        """Build from arrays of any float type; a mask left out is empty, a scalar variance fills its plane.

        Arrays that have their plane's type already are taken, not copied: they belong to the image from then on.

        Raises
        ------
        InputError
            If the image has not two axes, or the shapes differ.
        """
        if np.ndim(image) != 2:
            raise InputError(f"an image needs rows and columns, not the shape {np.shape(image)}")
        pixels = np.ascontiguousarray(image, dtype=np.float32)
        flags = np.zeros(pixels.shape, np.int32) if mask is None else np.ascontiguousarray(mask, dtype=np.int32)
        spread = (
            np.full(pixels.shape, variance, np.float32)
            if np.ndim(variance) == 0
            else np.ascontiguousarray(variance, dtype=np.float32)
        )
        return cls(pixels, flags, spread, Box.from_shape(pixels.shape) if box is None else box)

    @classmethod
    def empty(cls, box: Box) -> MaskedImage:
        """Planes over ``box`` on which no pixel has a value; they take no memory."""
        return cls(
            image=np.broadcast_to(np.float32(np.nan), box.shape),
            mask=np.broadcast_to(np.int32(int(MaskPlane.NO_DATA)), box.shape),
            variance=np.broadcast_to(np.float32(np.inf), box.shape),
            box=box,
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.box.shape

    def __getitem__(self, box: Box) -> MaskedImage:
        """The part of the image in ``box`` (parent coordinates), without a copy; BoundsError if it sticks out."""
        part = cut(box, self.box)
        return MaskedImage(self.image[part], self.mask[part], self.variance[part], box)

    def usable(self, planes: MaskPlane = UNUSABLE) -> BoolArray:
        """Pixels with a finite value, a positive finite variance and none of ``planes`` set."""
        good = np.empty(self.shape, dtype=np.bool_)
        bits = np.int32(int(planes))
        for first in range(0, self.shape[0], _BLOCK_ROWS):
            rows = slice(first, first + _BLOCK_ROWS)
            block, variance = good[rows], self.variance[rows]
            np.equal(self.mask[rows] & bits, 0, out=block)
            block &= np.isfinite(self.image[rows])
            block &= variance > 0
            block &= variance < np.inf
        return good
