"""Psf: what a point looks like, at every position of an image."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.shifting import shift_stamp

SIGMA_TO_FWHM = 2.0 * np.sqrt(2.0 * np.log(2.0))
"""FWHM of a Gaussian of unit sigma, 2.35482."""


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
