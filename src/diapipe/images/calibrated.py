"""An exposure in physical units."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from diapipe.errors import InputError
from diapipe.images.exposure import Exposure
from diapipe.images.photo_calib import PhotoCalib
from diapipe.numerics.arrays import FloatArray


def calibrated(exposure: Exposure) -> Exposure:
    """The exposure in nJy.

    Parameters
    ----------
    exposure
        With a ``photo_calib``, or in nJy already.

    Returns
    -------
    Exposure
        One count is worth 1 nJy; pixels, variance, gain and level of saturation are those of the new unit.

    Raises
    ------
    InputError
        If nothing tells what a count is worth.
    """
    if exposure.unit == "nJy":
        return replace(exposure, photo_calib=PhotoCalib(1.0))
    calib, planes, info = exposure.photo_calib, exposure.masked_image, exposure.info
    if calib is None:
        raise InputError(
            f"nothing tells what a count of {exposure.name} is worth; a photo_calib (a zero point) is needed for an "
            "image in nJy"
        )
    factor = np.float32(calib.mean) * (np.float32(1.0) if calib.field is None else calib.field.over(exposure.box))
    return replace(
        exposure,
        masked_image=replace(planes, image=planes.image * factor, variance=planes.variance * factor**2),
        info=replace(
            info,
            gain=None if info.gain is None else info.gain / calib.mean,
            saturation=None if info.saturation is None else info.saturation * calib.mean,
        ),
        photo_calib=PhotoCalib(1.0, calib.error / calib.mean),
        unit="nJy",
    )


def flux_scale(exposure: Exposure, *, x: FloatArray, y: FloatArray) -> FloatArray:
    """By what a flux in the exposure's unit becomes one in nJy, at positions; 1 where there is nothing to do."""
    if exposure.photo_calib is None or exposure.unit == "nJy":
        return np.ones(len(x))
    return exposure.photo_calib.at(x=x, y=y)


def flux_unit(exposure: Exposure) -> str:
    """Unit of the fluxes that `flux_scale` leads to."""
    return exposure.unit if exposure.photo_calib is None else "nJy"
