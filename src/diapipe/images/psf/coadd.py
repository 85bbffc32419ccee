"""CoaddPsf: what a point looks like on an image stacked from others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from diapipe.errors import InputError, PsfUndefinedError
from diapipe.images.box import Box
from diapipe.images.psf.base import Psf, PsfLayer
from diapipe.numerics.arrays import BoolArray, FloatArray
from diapipe.numerics.interpolant import Interpolant, sampled_at

_INTERPOLANT = Interpolant()
"""Lanczos-3, with which LSST warps its coadds."""
_NO_WARP = 1e-6
"""A matrix this close to the identity moves no pixel of a stamp by more than 1e-4 px."""


@dataclass(frozen=True, slots=True, eq=False)
class CoaddComponent:
    """One image of a stack.

    Attributes
    ----------
    psf
        Its PSF, in its own pixels.
    weight
        Its weight in the stack, relative to the others.
    box
        Its pixels, in its own parent coordinates.
    matrix, offset
        Where they lie on the coadd: ``(x, y) on the coadd = matrix @ (x, y) + offset``; shapes (2, 2) and (2,).
    """

    psf: Psf
    weight: float
    box: Box
    matrix: FloatArray
    offset: FloatArray

    @property
    def size(self) -> int:
        """Side of the PSF's stamp on the coadd, odd: its own, times the largest stretch of the matrix."""
        if self.is_aligned:
            return self.psf.size
        stretch = float(np.linalg.norm(self.matrix, ord=2))
        return 2 * int(np.ceil(self.psf.size // 2 * stretch - 1e-6)) + 1

    @property
    def is_aligned(self) -> bool:
        """Whether its pixels are parallel to the coadd's and of the same size."""
        return bool(np.abs(self.matrix - np.eye(2)).max() < _NO_WARP)

    def position_of(self, *, x: float, y: float) -> tuple[float, float]:
        """Where a position of the coadd lies on this image."""
        u, v = np.linalg.solve(self.matrix, np.array([x, y]) - self.offset)
        return float(u), float(v)

    def covers(self, *, x: FloatArray, y: FloatArray) -> BoolArray:
        """Whether it has pixels at positions of the coadd."""
        u, v = np.linalg.solve(self.matrix, np.stack([x, y]) - self.offset[:, None])
        return self.box.holds(u, v)

    def kernel_image(self, *, x: float, y: float) -> FloatArray:
        """Its PSF at a position of its own, as the coadd's pixels see it; unit sum, shape (size, size)."""
        stamp = self.psf.kernel_image(x=x, y=y)
        if self.is_aligned:
            return stamp
        half = self.size // 2
        v, u = np.mgrid[-half : half + 1, -half : half + 1]
        places = np.linalg.solve(self.matrix, np.stack([u.ravel(), v.ravel()]).astype(np.float64))
        middle = self.psf.size // 2
        image = sampled_at(stamp, _INTERPOLANT, x=places[0] + middle, y=places[1] + middle).reshape(u.shape)
        return np.asarray(image / image.sum(), dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class CoaddPsf(Psf):
    """Weighted mean of the PSFs of the images that cover a position, each drawn on the coadd's pixels.

    The stack is taken to be a weighted mean of images on one flux scale, so each PSF enters with unit sum.

    Raises
    ------
    InputError
        If there is no component, or a weight is negative.
    """

    components: tuple[CoaddComponent, ...]

    def __post_init__(self) -> None:
        if not self.components or any(part.weight < 0 for part in self.components):
            raise InputError("a CoaddPsf needs at least one component and no negative weight")

    @property
    def size(self) -> int:
        """Side of the kernel image: that of the widest component."""
        return max(part.size for part in self.components)

    @property
    def is_smooth(self) -> bool:
        """Only one image's is."""
        return len(self.components) == 1

    def kernel_image(self, *, x: float, y: float) -> FloatArray:
        """The mean PSF at a position of the coadd.

        Raises
        ------
        PsfUndefinedError
            If no component with a weight covers it.
        """
        total, weight = np.zeros((self.size, self.size)), 0.0
        for part in self.components:
            u, v = part.position_of(x=x, y=y)
            if part.weight > 0 and part.box.contains_point(x=u, y=v):
                total += part.weight * self._stamp(part, u, v)
                weight += part.weight
        if weight == 0.0:
            raise PsfUndefinedError(f"none of the coadd's {len(self.components)} images covers ({x:.1f}, {y:.1f})")
        return total / weight

    def _layers(self, x: FloatArray, y: FloatArray) -> Sequence[PsfLayer] | None:
        """The PSF of each component, where it covers the positions; None if one leaps."""
        if not all(part.psf.is_smooth for part in self.components):
            return None
        weights = np.array([part.weight * part.covers(x=x, y=y) for part in self.components])
        total = weights.sum(axis=0)
        shares = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0.0)
        return [self._layer(part, share) for part, share in zip(self.components, shares, strict=True)]

    def _layer(self, part: CoaddComponent, share: FloatArray) -> PsfLayer:
        def images_at(x: float, y: float) -> FloatArray:
            u, v = part.position_of(x=x, y=y)
            return self._stamp(part, u, v)[None]

        return PsfLayer(share[:, None], np.ones(1), images_at)

    def _stamp(self, part: CoaddComponent, u: float, v: float) -> FloatArray:
        """The PSF of a component at a position of its own, on a stamp of the coadd."""
        image = part.kernel_image(x=u, y=v)
        return np.pad(image, (self.size - len(image)) // 2)
