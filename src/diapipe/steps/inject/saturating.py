"""Where an image saturates, and what becomes of light that is added beyond."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from diapipe.images import Exposure, MaskedImage, MaskPlane
from diapipe.numerics.arrays import BoolArray

_GROW_PX = 2
"""SAT reaches this far beyond the pixels at the level, as where saturated pixels are found from their values."""
_FEWEST_PX = 9
_LOWEST_PERCENT = 5.0
"""Of the inner pixels of saturated cores: the few of a mask that reaches into the wings are no matter."""
_SIDE_PX = 2 * _GROW_PX + 1


def saturation_level(exposure: Exposure) -> float | None:
    """From which value on pixels of an image are saturated; None where nothing tells.

    Its own saturated cores tell, as their sky is subtracted with the image's, where nine of their pixels are two pixels
    inside or more; no level is below what a usable pixel has. What the exposure says includes the sky that was
    subtracted: it is too high by that, and taken where it is lower, or nothing else tells.
    """
    planes = exposure.masked_image
    cores = (planes.mask & int(MaskPlane.SAT)) != 0
    known = np.isfinite(planes.image) & ((planes.mask & int(MaskPlane.INTRP)) == 0)
    inner = planes.image[ndimage.minimum_filter(cores, _SIDE_PX) & known] if cores.any() else planes.image[:0, 0]
    if len(inner) < _FEWEST_PX:
        return exposure.info.saturation
    usable = planes.usable()
    highest = float(planes.image[usable].max()) if usable.any() else -np.inf
    level = max(float(np.percentile(inner, _LOWEST_PERCENT)), highest)
    return level if exposure.info.saturation is None else min(level, exposure.info.saturation)


def saturated(planes: MaskedImage, added: BoolArray, level: float) -> tuple[BoolArray, BoolArray]:
    """Pixels that the added light brings to the level, and those that are SAT for it.

    Parameters
    ----------
    planes
        With the light.
    added
        Where there is any.
    level
        Of `saturation_level`.
    """
    full = added & (planes.image >= np.float32(level)) & ((planes.mask & int(MaskPlane.SAT)) == 0)
    return full, ndimage.maximum_filter(full, _SIDE_PX) if full.any() else full
