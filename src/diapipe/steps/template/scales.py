"""One band and one flux scale for the images of a template."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from diapipe.errors import InputError
from diapipe.images import Exposure, PhotoCalib


@dataclass(frozen=True, slots=True, eq=False)
class FluxScale:
    """The scale and the band of a template: those of its first image.

    Attributes
    ----------
    name
        Of that image, for messages.
    calib
        Flux of a count; None if unknown, so that no other image can join.
    unit
        Of the pixels.
    band
        "" if unknown.
    """

    name: str
    calib: PhotoCalib | None
    unit: str
    band: str

    @classmethod
    def of(cls, exposure: Exposure, name: str) -> FluxScale:
        """The scale of an image; a calibration that varies over it is replaced by its mean."""
        calib = _calib(exposure)
        return cls(name, None if calib is None else replace(calib, field=None), exposure.unit, exposure.info.band)

    def applied_to(self, exposure: Exposure, name: str) -> Exposure:
        """Another image on this scale.

        Raises
        ------
        InputError
            If it is of another band, or one of the two scales is unknown.
        """
        if exposure.info.band and self.band and exposure.info.band != self.band:
            raise InputError(
                f"{name} is of band {exposure.info.band!r}, {self.name} of {self.band!r}; "
                "a template needs images of one band",
                bands=(exposure.info.band, self.band),
            )
        calib = _calib(exposure)
        if calib is None and self.calib is None and name == self.name:
            return exposure
        if calib is None or self.calib is None:
            unknown = name if calib is None else self.name
            raise InputError(
                f"the flux scale of {unknown} is unknown; images that make one template need a photo_calib "
                "(a zero point), for nothing says that their counts are alike"
            )
        return self._scaled(exposure, calib)

    def _scaled(self, exposure: Exposure, calib: PhotoCalib) -> Exposure:
        assert self.calib is not None
        done = replace(exposure, photo_calib=self.calib, unit=self.unit)
        if calib.field is None and calib.mean == self.calib.mean:
            return done
        factor: np.float32 | np.ndarray[tuple[int, ...], np.dtype[np.float32]] = np.float32(
            calib.mean / self.calib.mean
        )
        if calib.field is not None:
            factor = factor * calib.field.over(exposure.box)
        planes = exposure.masked_image
        pixels = replace(planes, image=planes.image * factor, variance=planes.variance * factor**2)
        return replace(done, masked_image=pixels)


def _calib(exposure: Exposure) -> PhotoCalib | None:
    """What a count is worth; pixels in nJy say it by their unit."""
    if exposure.photo_calib is None and exposure.unit == "nJy":
        return PhotoCalib(1.0)
    return exposure.photo_calib
