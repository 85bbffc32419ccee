"""Flags that the pixels at the centre of a source give it."""

from __future__ import annotations

from diapipe.catalogs.flag_names import PIXEL_FLAGS
from diapipe.images import UNUSABLE_DIFFERENCE
from diapipe.images.planes import Planes
from diapipe.numerics import surroundings
from diapipe.numerics.arrays import BoolArray, FloatArray


def center_flags(planes: Planes, *, x: FloatArray, y: FloatArray) -> dict[str, BoolArray]:
    """Columns ``pixelFlags_*Center``, ``pixelFlags_offimage`` and ``dp_badPixel``.

    Parameters
    ----------
    planes
        The image.
    x, y
        Finite positions in array coordinates, shape (n,).
    """
    center = surroundings.mask_around(planes.mask, x=x, y=y, half=1)
    columns: dict[str, BoolArray] = {
        f"pixelFlags_{name}Center": (center & int(plane)) != 0 for name, plane in PIXEL_FLAGS.items()
    }
    height, width = planes.image.shape
    columns["pixelFlags_offimage"] = ~((x >= -0.5) & (x < width - 0.5) & (y >= -0.5) & (y < height - 0.5))
    cut = (x < 0.5) | (x >= width - 1.5) | (y < 0.5) | (y >= height - 1.5)
    columns["dp_badPixel"] = ((center & int(UNUSABLE_DIFFERENCE)) != 0) | cut
    return columns
