"""GaussianPsf: a circular Gaussian, the same everywhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diapipe.errors import InputError
from diapipe.images.psf.base import Psf
from diapipe.numerics.arrays import FloatArray


@dataclass(frozen=True, slots=True)
class GaussianPsf(Psf):
    """A circular Gaussian sampled at pixel centres.

    Attributes
    ----------
    sigma
        Width in pixels, positive.
    width
        Side of the kernel image in pixels, odd.
    """

    sigma: float
    width: int = 25

    def __post_init__(self) -> None:
        if not 0 < self.sigma < np.inf or self.width < 1 or self.width % 2 != 1:
            raise InputError(f"a GaussianPsf needs sigma > 0 and an odd width, not {self.sigma} and {self.width}")

    @property
    def size(self) -> int:
        """Side of the kernel image in pixels."""
        return self.width

    def kernel_image(self, *, x: float, y: float) -> FloatArray:
        """The Gaussian on the middle pixel, of unit sum; the same at every position."""
        offset = np.arange(self.width) - self.width // 2
        profile = np.exp(-0.5 * (offset / self.sigma) ** 2)
        profile /= profile.sum()
        return np.outer(profile, profile)

    def image_at(self, *, x: float, y: float) -> FloatArray:
        """The Gaussian drawn at its sub-pixel position, of unit sum."""
        offset = np.arange(self.width) - self.width // 2
        along_x = np.exp(-0.5 * ((offset - (x - np.floor(x + 0.5))) / self.sigma) ** 2)
        along_y = np.exp(-0.5 * ((offset - (y - np.floor(y + 0.5))) / self.sigma) ** 2)
        return np.outer(along_y / along_y.sum(), along_x / along_x.sum())
