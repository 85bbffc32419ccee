"""Box: a rectangle of pixels in parent coordinates."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral

import numpy as np

from diapipe.errors import BoundsError, InputError
from diapipe.numerics.arrays import BoolArray, FloatArray


@dataclass(frozen=True, slots=True)
class Box:
    """Half-open rectangle of pixels in parent coordinates: ``y0 <= y < y1``, ``x0 <= x < x1``.

    The centre of the first pixel is at ``(x0, y0)``; the rectangle reaches from ``x0 - 0.5`` to ``x1 - 0.5``.

    Raises
    ------
    InputError
        If an end is no whole number.
    BoundsError
        If an end lies before its beginning.
    """

    y0: int
    y1: int
    x0: int
    x1: int

    def __post_init__(self) -> None:
        for end in (self.y0, self.y1, self.x0, self.x1):
            if type(end) is not int and not isinstance(end, Integral):
                raise InputError(f"a Box needs whole numbers of pixels, not {end!r}")
        if self.y1 < self.y0 or self.x1 < self.x0:
            raise BoundsError(f"box {self} ends before it begins")

    def __str__(self) -> str:
        return f"[{self.y0}:{self.y1}, {self.x0}:{self.x1}]"

    @classmethod
    def from_shape(cls, shape: tuple[int, ...], *, x0: int = 0, y0: int = 0) -> Box:
        """Box of an array of this shape (rows, columns) whose first pixel is at ``(x0, y0)``."""
        return cls(y0, y0 + int(shape[0]), x0, x0 + int(shape[1]))

    @classmethod
    def around(cls, *, x: float, y: float, half: int) -> Box:
        """Square of ``2 half + 1`` pixels around the pixel that holds ``(x, y)``."""
        column, row = pixel_of(x), pixel_of(y)
        return cls(row - half, row + half + 1, column - half, column + half + 1)

    @property
    def height(self) -> int:
        """Number of rows."""
        return self.y1 - self.y0

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.x1 - self.x0

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns, as NumPy has them."""
        return self.height, self.width

    @property
    def area(self) -> int:
        """Number of pixels."""
        return self.height * self.width

    @property
    def x_center(self) -> float:
        """Middle of the rectangle along x, in pixel-centre coordinates."""
        return 0.5 * (self.x0 + self.x1 - 1)

    @property
    def y_center(self) -> float:
        """Middle of the rectangle along y, in pixel-centre coordinates."""
        return 0.5 * (self.y0 + self.y1 - 1)

    def contains(self, other: Box) -> bool:
        """Whether every pixel of ``other`` is in this box."""
        return self.y0 <= other.y0 and other.y1 <= self.y1 and self.x0 <= other.x0 and other.x1 <= self.x1

    def contains_point(self, *, x: float, y: float) -> bool:
        """Whether the point lies on a pixel of this box."""
        return self.x0 - 0.5 <= x < self.x1 - 0.5 and self.y0 - 0.5 <= y < self.y1 - 0.5

    def holds(self, x: FloatArray, y: FloatArray) -> BoolArray:
        """Whether each of many points lies on a pixel of this box, as `contains_point` tells of one; shape of ``x``."""
        return np.asarray((x >= self.x0 - 0.5) & (x < self.x1 - 0.5) & (y >= self.y0 - 0.5) & (y < self.y1 - 0.5))

    def intersect(self, other: Box) -> Box | None:
        """The pixels that both boxes hold, or None where there are none."""
        y0, y1 = max(self.y0, other.y0), min(self.y1, other.y1)
        x0, x1 = max(self.x0, other.x0), min(self.x1, other.x1)
        return Box(y0, y1, x0, x1) if y0 < y1 and x0 < x1 else None

    def dilated(self, n: int) -> Box:
        """The box grown by ``n`` pixels on every side (shrunk for a negative ``n``)."""
        return Box(self.y0 - n, self.y1 + n, self.x0 - n, self.x1 + n)

    def shifted(self, *, x: int, y: int) -> Box:
        """The box moved by whole pixels."""
        return Box(self.y0 + y, self.y1 + y, self.x0 + x, self.x1 + x)

    def slices_in(self, parent: Box) -> tuple[slice, slice]:
        """Where this box lies in an array that covers ``parent``.

        Raises
        ------
        BoundsError
            If the box sticks out of ``parent``; the message names both.
        """
        if not parent.contains(self):
            raise BoundsError(f"box {self} reaches outside image {parent}", box=self, parent=parent)
        return slice(self.y0 - parent.y0, self.y1 - parent.y0), slice(self.x0 - parent.x0, self.x1 - parent.x0)


def cut(box: object, parent: Box) -> tuple[slice, slice]:
    """Where a box lies in an image that covers ``parent``, for every ``image[box]``.

    Raises
    ------
    InputError
        If it is no `Box`: array indices would silently mean other pixels than parent coordinates.
    BoundsError
        If it sticks out of the image.
    """
    if not isinstance(box, Box):
        raise InputError(f"an image is cut by a Box(y0, y1, x0, x1) in parent coordinates, not by {box!r}")
    return box.slices_in(parent)


def pixel_of(coordinate: float) -> int:
    """Index of the pixel that holds a coordinate: pixel n reaches from n - 0.5 up to n + 0.5."""
    return int((coordinate + 0.5) // 1)
