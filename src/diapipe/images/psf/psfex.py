"""PsfexPsf: the model of a PSFEx file, images on a finer or coarser grid with polynomial variation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diapipe.errors import InputError, PsfUndefinedError
from diapipe.images.psf.base import Psf
from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.shifting import LOBES, sinc_weights


@dataclass(frozen=True, slots=True, eq=False)
class PsfexPsf(Psf):
    """A PSF whose pixels, on a grid of its own, are polynomials of the position (Bertin 2011, ASPC 442, 435).

    Attributes
    ----------
    images
        Coefficient images, shape (n_terms, rows, columns), in PSFEx's order: 1, x, x², ..., y, xy, ..., y², ...
    degree
        Highest total degree.
    x_zero, y_zero
        Where the scaled coordinates are 0, in parent pixels.
    x_scale, y_scale
        Parent pixels per unit of the scaled coordinates.
    sampling
        Image pixels per pixel of ``images`` (PSF_SAMP); below 1 the model is finer than the image.

    Raises
    ------
    InputError
        If the number of images does not fit the degree, or a scale is not positive.
    """

    images: FloatArray
    degree: int
    x_zero: float
    y_zero: float
    x_scale: float
    y_scale: float
    sampling: float

    def __post_init__(self) -> None:
        needed = (self.degree + 1) * (self.degree + 2) // 2
        if self.images.ndim != 3 or len(self.images) != needed:
            raise InputError(
                f"a PsfexPsf of degree {self.degree} needs {needed} images, not an array {self.images.shape}"
            )
        if not (self.sampling > 0 and self.x_scale > 0 and self.y_scale > 0):
            raise InputError(
                f"a PsfexPsf needs positive scales, not {self.x_scale}, {self.y_scale}, sampling {self.sampling}"
            )

    @property
    def size(self) -> int:
        """Side of the kernel image: the largest odd number of pixels that the model covers, at least 3."""
        return max(3, 2 * int((min(self.images.shape[1:]) * self.sampling - 1.0 + 1e-6) // 2) + 1)

    def kernel_image(self, *, x: float, y: float) -> FloatArray:
        """The model on the pixel grid, centred, of unit sum; PsfUndefinedError if its sum is not positive."""
        return self._drawn(x, y, 0.0, 0.0)

    def image_at(self, *, x: float, y: float) -> FloatArray:
        """The model drawn at its sub-pixel position straight from its own grid."""
        return self._drawn(x, y, x - np.floor(x + 0.5), y - np.floor(y + 0.5))

    def _drawn(self, x: float, y: float, dx: float, dy: float) -> FloatArray:
        model = np.tensordot(self._terms(x, y), self.images, axes=1)
        rows, columns = model.shape
        image = self._sampler(rows, dy) @ model @ self._sampler(columns, dx).T
        total = image.sum()
        if not total > 0:
            raise PsfUndefinedError(f"the PSFEx model has sum {total:.3g} at ({x:.1f}, {y:.1f}); it must be positive")
        return np.asarray(image / total, dtype=np.float64)

    def _terms(self, x: float, y: float) -> FloatArray:
        u, v = (x - self.x_zero) / self.x_scale, (y - self.y_zero) / self.y_scale
        return np.array([u**i * v**j for j in range(self.degree + 1) for i in range(self.degree + 1 - j)])

    def _sampler(self, n_model: int, shift: float) -> FloatArray:
        """Matrix from the model's samples along one axis to the image's, shape (size, n_model).

        The model is already integrated over image pixels, so it is only interpolated, never averaged.
        """
        places = n_model // 2 + (np.arange(self.size) - self.size // 2 - shift) / self.sampling
        matrix = np.zeros((self.size, n_model))
        for row, place in enumerate(places):
            first = int(np.floor(place))
            for k, weight in enumerate(sinc_weights(place - first)):
                column = first + k + 1 - LOBES
                if 0 <= column < n_model:
                    matrix[row, column] = weight
        return matrix
