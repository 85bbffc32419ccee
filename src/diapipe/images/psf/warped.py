"""WarpedPsf: the PSF of an image that was resampled onto another grid."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from diapipe.errors import PsfUndefinedError
from diapipe.images.pixel_map import PixelMap
from diapipe.images.psf.base import Psf, PsfLayer
from diapipe.numerics.arrays import BoolArray, FloatArray
from diapipe.numerics.interpolant import LANCZOS, Interpolant, sampled_at
from diapipe.numerics.shifting import shift_stamp

_PHASES = 0.0, 0.5
"""Sub-pixel phases that layers have at once: the blur of their mean is the mean blur, but for its higher harmonics."""


@dataclass(frozen=True, slots=True, eq=False)
class WarpedPsf(Psf):
    """What a star of the source image looks like after the resampling, drawn exactly as the resampling draws it.

    A star at the centre of a target pixel is put on the source image with the sub-pixel phase it has there and sampled
    by the same interpolant at the positions of the target pixels around it, the map being linearised: the blur of
    the interpolation at that phase is in it.

    Attributes
    ----------
    psf
        PSF of the source image.
    pixel_map
        From target to source positions.
    interpolant
        As it was used on the image.
    """

    psf: Psf
    pixel_map: PixelMap
    interpolant: Interpolant = LANCZOS
    _size: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        scale, own = self.pixel_map.scale, self.psf.size
        size = 2 * math.ceil((own // 2) / scale) + 1 if math.isfinite(scale) else own
        object.__setattr__(self, "_size", size)  # asked for at every position, and the scale takes a millisecond

    @property
    def size(self) -> int:
        """Side of the kernel image in target pixels: the source's stamp, rounded up to an odd side."""
        return self._size

    @property
    def is_smooth(self) -> bool:
        """Whether that of the source image is."""
        return self.psf.is_smooth

    def kernel_image(self, *, x: float, y: float) -> FloatArray:
        """The PSF of a star on the centre of the pixel nearest to ``(x, y)``, of unit sum.

        Raises
        ------
        PsfUndefinedError
            If the position has none on the source image.
        """
        image = self._resampled(lambda u, v: self.psf.kernel_image(x=u, y=v), x, y)
        return np.asarray(image / image.sum())

    def _layers(self, x: FloatArray, y: FloatArray) -> Sequence[PsfLayer] | None:
        """Those of the source image, resampled."""
        source_x, source_y = self.pixel_map.at(x=np.floor(x + 0.5), y=np.floor(y + 0.5))
        known = np.isfinite(source_x) & np.isfinite(source_y)
        inner = self.psf.layers(x=np.where(known, source_x, 0.0), y=np.where(known, source_y, 0.0))
        return None if inner is None else [self._layer(layer, known) for layer in inner]

    def _layer(self, inner: PsfLayer, known: BoolArray) -> PsfLayer:
        def images_at(x: float, y: float) -> FloatArray:
            images = np.mean([self._resampled(inner.images_at, x, y, phase) for phase in _PHASES], axis=0)
            return np.asarray(images / (inner.usual @ images.sum(axis=(1, 2))))

        return PsfLayer(inner.shares * known[:, None], inner.usual, images_at)

    def _resampled(
        self, images_at: Callable[[float, float], FloatArray], x: float, y: float, phase: float = 0.0
    ) -> FloatArray:
        """One or several images of the source, as the target pixel nearest to ``(x, y)`` and those around it see it.

        As if the source's pixels lay ``phase`` of one lower along both axes.
        """
        x_pixel, y_pixel = math.floor(x + 0.5), math.floor(y + 0.5)
        source_x, source_y = (float(value) for value in self.pixel_map.at(x=x_pixel, y=y_pixel))
        if not (math.isfinite(source_x) and math.isfinite(source_y)):
            raise PsfUndefinedError(f"({x:.1f}, {y:.1f}) lies nowhere on the image that the PSF comes from")
        across, up = source_x - math.floor(source_x + 0.5) + phase, source_y - math.floor(source_y + 0.5) + phase
        star = shift_stamp(images_at(source_x, source_y), dx=across, dy=up)
        half = self.size // 2
        offset = np.arange(-half, half + 1, dtype=np.float64)
        dx, dy = np.meshgrid(offset, offset)
        affine = self.pixel_map.affine_at(x=x_pixel, y=y_pixel)
        middle = self.psf.size // 2
        column = middle + across + affine[0, 0] * dx + affine[0, 1] * dy
        row = middle + up + affine[1, 0] * dx + affine[1, 1] * dy
        return sampled_at(star, self.interpolant, x=column, y=row)
