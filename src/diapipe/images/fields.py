"""Smooth variation over an image: a number (ChebyshevField) or a small image (ImageField) at every position."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diapipe.errors import InputError
from diapipe.images.box import Box
from diapipe.numerics import polynomials
from diapipe.numerics.arrays import Float32Array, FloatArray, RealArray


def scaled_coordinates(box: Box, *, x: RealArray | float, y: RealArray | float) -> tuple[FloatArray, FloatArray]:
    """Positions scaled so that the outer edges of ``box`` are at -1 and +1 (SPEC, section 0)."""
    u = (np.asarray(x, dtype=np.float64) - box.x_center) / (0.5 * box.width)
    v = (np.asarray(y, dtype=np.float64) - box.y_center) / (0.5 * box.height)
    return u, v


def field_terms(box: Box, order: int, *, x: RealArray | float, y: RealArray | float) -> FloatArray:
    """Chebyshev terms of a field over ``box`` at the given positions; shape (n_terms, *x.shape)."""
    u, v = scaled_coordinates(box, x=x, y=y)
    return polynomials.chebyshev_terms(u, v, order)


def chebyshev_nodes(box: Box, n: int) -> tuple[FloatArray, FloatArray]:
    """Positions over a box, ``n`` along each axis and denser towards its borders, where a polynomial is least certain.

    Flattened, shape (n²,).
    """
    nodes = np.cos(np.pi * (np.arange(n) + 0.5) / n)
    x, y = np.meshgrid(box.x_center + 0.5 * box.width * nodes, box.y_center + 0.5 * box.height * nodes)
    return x.ravel(), y.ravel()


def _check_complete(n_terms: int) -> None:
    """InputError if no complete polynomial has so many terms."""
    try:
        polynomials.order_of(n_terms)
    except ValueError as error:
        raise InputError(str(error), n_terms=n_terms) from error


@dataclass(frozen=True, slots=True, eq=False)
class ChebyshevField:
    """A number at every position: a 2-D Chebyshev series over a box.

    Attributes
    ----------
    coefficients
        Shape (n_terms,), in triangular order: 1; x, y; x², xy, y²; ...
    box
        Region whose outer edges are scaled to [-1, 1].

    Raises
    ------
    InputError
        If no complete polynomial has so many terms.
    """

    coefficients: FloatArray
    box: Box

    def __post_init__(self) -> None:
        _check_complete(len(self.coefficients))

    @classmethod
    def constant(cls, value: float, box: Box) -> ChebyshevField:
        """The same value everywhere."""
        return cls(np.array([value], dtype=np.float64), box)

    @property
    def order(self) -> int:
        """Highest total degree."""
        return polynomials.order_of(len(self.coefficients))

    def at(self, *, x: RealArray | float, y: RealArray | float) -> FloatArray:
        """Values at positions in parent coordinates; the shape of ``x``."""
        return np.tensordot(self.coefficients, field_terms(self.box, self.order, x=x, y=y), axes=1)

    def over(self, box: Box) -> Float32Array:
        """Values at every pixel of ``box``; float32, shape ``box.shape``."""
        u, _ = scaled_coordinates(self.box, x=np.arange(box.x0, box.x1, dtype=np.float64), y=0.0)
        _, v = scaled_coordinates(self.box, x=0.0, y=np.arange(box.y0, box.y1, dtype=np.float64))
        along_x, along_y = polynomials.chebyshev_1d(u, self.order), polynomials.chebyshev_1d(v, self.order)
        weights = np.zeros((self.order + 1, self.order + 1))
        for (i, j), value in zip(polynomials.exponents(self.order), self.coefficients, strict=True):
            weights[j, i] = value
        rows = (along_y.T @ weights).astype(np.float32)
        return np.asarray(rows @ along_x.astype(np.float32), dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class ImageField:
    """A small image at every position: a 2-D Chebyshev series over a box whose coefficients are images.

    Attributes
    ----------
    images
        Shape (n_terms, size, size), size odd; term order as in `ChebyshevField`.
    box
        Region whose outer edges are scaled to [-1, 1].

    Raises
    ------
    InputError
        If the images are not square with an odd side, or no complete polynomial has so many terms.
    """

    images: FloatArray
    box: Box

    def __post_init__(self) -> None:
        _, height, width = self.images.shape
        if height != width or height % 2 == 0:
            raise InputError(f"images of a kernel or PSF must be square with an odd side, not {height} x {width}")
        _check_complete(len(self.images))

    @property
    def order(self) -> int:
        """Highest total degree."""
        return polynomials.order_of(len(self.images))

    @property
    def size(self) -> int:
        """Side of the images in pixels, odd."""
        return int(self.images.shape[-1])

    def at(self, *, x: float, y: float) -> FloatArray:
        """The image at a position; shape (size, size)."""
        return np.tensordot(field_terms(self.box, self.order, x=x, y=y), self.images, axes=1)

    @classmethod
    def fitted(cls, samples: FloatArray, *, x: FloatArray, y: FloatArray, order: int, box: Box) -> ImageField:
        """Least-squares field through images given at positions.

        Parameters
        ----------
        samples
            Shape (n, size, size).
        x, y
            Where they hold, shape (n,).
        order
            Highest total degree; n must be at least its number of terms.
        box
            Region of the field.
        """
        design = field_terms(box, order, x=x, y=y).T
        flat, *_ = np.linalg.lstsq(design, samples.reshape(len(samples), -1), rcond=None)
        return cls(flat.reshape(-1, *samples.shape[1:]), box)
