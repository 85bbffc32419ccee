"""add_background: an exposure with a sky that was subtracted before put back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from diapipe.errors import InputError
from diapipe.images.exposure import Exposure
from diapipe.images.fields import ChebyshevField
from diapipe.images.masked_image import MaskedImage
from diapipe.images.mesh_field import MeshField
from diapipe.numerics.arrays import RealArray


def add_background(
    exposure: Exposure, background: ChebyshevField | MeshField | MaskedImage | Exposure | RealArray
) -> Exposure:
    """The exposure plus a background; the one given stays as it is. Its variance, which knew the sky, stays too.

    Parameters
    ----------
    exposure
        Background subtracted.
    background
        A field, an image that holds the exposure's box, or an array of its shape, in the exposure's unit.

    Raises
    ------
    InputError
        If an array has another shape; BoundsError if an image does not reach over the exposure.
    """
    box = exposure.box
    if isinstance(background, ChebyshevField | MeshField):
        level: RealArray = background.over(box)
    elif isinstance(background, MaskedImage | Exposure):
        part = background[box]
        level = (part if isinstance(part, MaskedImage) else part.masked_image).image
    else:
        level = np.asarray(background)
    if level.shape != box.shape:
        raise InputError(f"a background of shape {level.shape} cannot be added to {exposure.name} of shape {box.shape}")
    image = (exposure.masked_image.image + level).astype(np.float32, copy=False)
    return replace(exposure, masked_image=replace(exposure.masked_image, image=image))
