"""HomogenizedPsf: the PSF of an image whose regions were each brought to one PSF by a kernel of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from diapipe.errors import InputError
from diapipe.images.psf.base import Psf, PsfLayer
from diapipe.numerics.arrays import Float32Array, FloatArray, IntArray
from diapipe.numerics.small_convolution import convolved_in_full


@dataclass(frozen=True, slots=True, eq=False)
class HomogenizedPsf(Psf):
    """PSF ⊗ the kernel of the region, on the PSF's own stamp.

    Attributes
    ----------
    psf
        The PSF before, which leaps.
    target
        The one that all regions were brought to, nearly; shape (size, size).
    changes
        Kernels less a unit in the centre, of sum 0, shape (n, side, side); the first is 0.
    labels
        Number of the kernel of each square of pixels, shape (n_rows, n_columns).
    x0, y0
        First pixel of the first square.
    step
        Pixels along the side of a square.

    Raises
    ------
    InputError
        If a square names a kernel that is not there.
    """

    psf: Psf
    target: FloatArray
    changes: Float32Array
    labels: IntArray
    x0: int
    y0: int
    step: int

    def __post_init__(self) -> None:
        if not 0 <= self.labels.min() <= self.labels.max() < len(self.changes):
            raise InputError(
                f"a HomogenizedPsf of {len(self.changes)} kernels has squares with kernels {self.labels.min()} to "
                f"{self.labels.max()}"
            )

    @property
    def size(self) -> int:
        """Side of the kernel image in pixels: that of the PSF before."""
        return self.psf.size

    @property
    def is_smooth(self) -> bool:
        """A little of the leaps is left."""
        return False

    def kernel_image(self, *, x: float, y: float) -> FloatArray:
        """What a star at a position looks like, of unit sum.

        Raises
        ------
        PsfUndefinedError
            If the PSF before is undefined there.
        """
        image, (n_rows, n_columns) = self.psf.kernel_image(x=x, y=y), self.labels.shape
        row = min(max(int(np.floor((y + 0.5 - self.y0) / self.step)), 0), n_rows - 1)
        column = min(max(int(np.floor((x + 0.5 - self.x0) / self.step)), 0), n_columns - 1)
        change = self.changes[self.labels[row, column]].astype(np.float64)
        half = len(change) // 2
        image = image + convolved_in_full(image, change)[half : half + self.size, half : half + self.size]
        return np.asarray(image / image.sum(), dtype=np.float64)

    def _layers(self, x: FloatArray, y: FloatArray) -> Sequence[PsfLayer] | None:
        """The one that all regions were brought to: what they differ by is of second order in the leap."""
        inner = self.psf.layers(x=x, y=y)
        if inner is None:
            return None
        known = np.any([layer.shares.any(axis=1) for layer in inner], axis=0)
        return [PsfLayer(known[:, None].astype(np.float64), np.ones(1), lambda u, v: self.target[None])]
