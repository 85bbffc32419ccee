"""Psf: what a point looks like, at every position of an image."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.shifting import shift_stamp

SIGMA_TO_FWHM = 2.0 * np.sqrt(2.0 * np.log(2.0))
"""FWHM of a Gaussian of unit sigma, 2.35482."""


@dataclass(frozen=True, slots=True, eq=False)
class PsfLayer:
    """Images that change little by little, and how much of each a PSF has at given positions, which may leap.

    Attributes
    ----------
    shares
        Of every image at the positions, shape (n, n_images); 0 where the layer is not.
    usual
        Shares that make a PSF of unit sum, the same wherever they are asked for; shape (n_images,).
    images_at
        The images at x, y, shape (n_images, size, size); `PsfUndefinedError` where there are none.
    """

    shares: FloatArray
    usual: FloatArray
    images_at: Callable[[float, float], FloatArray]


class Psf(ABC):
    """A point-spread function that may vary over the image. Positions are parent pixel coordinates."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Side of the kernel image in pixels, odd."""

    @property
    def is_smooth(self) -> bool:
        """Whether it changes little by little: that of a stack leaps where one of its images ends."""
        return True

    @abstractmethod
    def kernel_image(self, *, x: float, y: float) -> FloatArray:
        """The PSF at ``(x, y)``, centred on the middle pixel, of unit sum; shape (size, size).

        Raises
        ------
        PsfUndefinedError
            If the PSF is not defined there.
        """

    def layers(self, *, x: FloatArray, y: FloatArray) -> Sequence[PsfLayer] | None:
        """What the PSF at each position is the sum of: itself where it is smooth; None where nothing smooth is known.

        Where it is undefined it has no share of anything.
        """
        if not self.is_smooth:
            return self._layers(x, y)
        return [PsfLayer(np.ones((len(x), 1)), np.ones(1), lambda u, v: self.kernel_image(x=u, y=v)[None])]

    def _layers(self, x: FloatArray, y: FloatArray) -> Sequence[PsfLayer] | None:
        """`layers` of a PSF that leaps."""
        return None

    def image_at(self, *, x: float, y: float) -> FloatArray:
        """The PSF as a star at ``(x, y)`` draws it around the nearest pixel: the kernel image, moved."""
        return shift_stamp(self.kernel_image(x=x, y=y), dx=x - np.floor(x + 0.5), dy=y - np.floor(y + 0.5))

    def sigma_at(self, *, x: float, y: float) -> float:
        """Gaussian width of equal noise-equivalent area, √(1 / (4π ΣP²)), in pixels.

        Robust against wings, and the width on which the matched filter's noise depends.
        """
        return float(np.sqrt(1.0 / (4.0 * np.pi * (self.kernel_image(x=x, y=y) ** 2).sum())))

    def fwhm_at(self, *, x: float, y: float) -> float:
        """Full width at half maximum of the Gaussian of equal noise-equivalent area, in pixels."""
        return float(SIGMA_TO_FWHM * self.sigma_at(x=x, y=y))
