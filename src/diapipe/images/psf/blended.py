"""BlendedPsf: what a point looks like where images fade into each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from diapipe.errors import InputError, PsfUndefinedError
from diapipe.images.psf.base import Psf, PsfLayer
from diapipe.images.weight_map import WeightMap
from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.shifting import shift_stamp


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BlendedPart:
    """One image of a blend.

    Attributes
    ----------
    psf
        Its PSF, in the pixels of the blend.
    weight
        Its weight there: the one that its pixels had.
    dx, dy
        By how many pixels its light stands beside that of the blend, as the colours of a star do through air.
    """

    psf: Psf
    weight: WeightMap
    dx: float = 0.0
    dy: float = 0.0

    def stamp(self, kernel_image: FloatArray, size: int) -> FloatArray:
        """The image of its PSF, or several, on a stamp of the blend."""
        margin = (size - kernel_image.shape[-1]) // 2
        image = np.pad(kernel_image, [(0, 0)] * (kernel_image.ndim - 2) + [(margin, margin)] * 2)
        return image if self.dx == 0.0 and self.dy == 0.0 else shift_stamp(image, dx=self.dx, dy=self.dy)


@dataclass(frozen=True, slots=True, eq=False)
class BlendedPsf(Psf):
    """Mean of the PSFs of the images of a blend, with the weights that their pixels had at the position.

    Raises
    ------
    InputError
        If there is no part.
    """

    parts: tuple[BlendedPart, ...]
    _size: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.parts:
            raise InputError("a BlendedPsf needs at least one part")
        sizes = (part.psf.size + 2 * int(np.ceil(max(abs(part.dx), abs(part.dy)) - 1e-9)) for part in self.parts)
        object.__setattr__(self, "_size", max(sizes))

    @property
    def size(self) -> int:
        """Side of the kernel image: that of the widest part, with room for its displacement."""
        return self._size

    @property
    def is_smooth(self) -> bool:
        """Whether those of all parts are: from one part to the next the weights fade."""
        return all(part.psf.is_smooth for part in self.parts)

    def kernel_image(self, *, x: float, y: float) -> FloatArray:
        """The mean PSF at a position of the blend, of unit sum.

        Where no image has a weight, as in a hole of the template, it is the mean of all that have a PSF there.

        Raises
        ------
        PsfUndefinedError
            If none has.
        """
        weights = [float(part.weight.at(x=x, y=y)) for part in self.parts]
        if not any(weights):
            weights = [1.0] * len(weights)
        total = np.zeros((self.size, self.size))
        drawn: dict[int, FloatArray] = {}  # parts of several displacements share their PSF
        undefined = None
        for part, weight in zip(self.parts, weights, strict=True):
            if weight > 0.0:
                try:
                    if id(part.psf) not in drawn:
                        drawn[id(part.psf)] = part.psf.kernel_image(x=x, y=y)
                except PsfUndefinedError as error:
                    undefined = error
                    continue
                total += weight * part.stamp(drawn[id(part.psf)], self.size)
        if not total.sum() > 0.0:
            raise PsfUndefinedError(
                f"none of the {len(self.parts)} images of the blend has a PSF at ({x:.1f}, {y:.1f})"
            ) from undefined
        return np.asarray(total / total.sum(), dtype=np.float64)

    def _layers(self, x: FloatArray, y: FloatArray) -> Sequence[PsfLayer] | None:
        """Those of all parts, with the weights that these have at the positions."""
        every = [part.psf.layers(x=x, y=y) for part in self.parts]
        known = [layers for layers in every if layers is not None]
        if len(known) < len(every):
            return None
        weights = np.stack([part.weight.at(x=x, y=y) for part in self.parts])
        weights[:, ~weights.any(axis=0)] = 1.0
        weights *= [np.any([layer.shares.any(axis=1) for layer in layers], axis=0) for layers in known]
        total = weights.sum(axis=0)
        weights = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0.0)
        parts = zip(self.parts, known, weights, strict=True)
        return [self._layer(part, layer, weight) for part, layers, weight in parts for layer in layers]

    def _layer(self, part: BlendedPart, inner: PsfLayer, weight: FloatArray) -> PsfLayer:
        def images_at(x: float, y: float) -> FloatArray:
            return part.stamp(inner.images_at(x, y), self.size)

        return PsfLayer(inner.shares * weight[:, None], inner.usual, images_at)
