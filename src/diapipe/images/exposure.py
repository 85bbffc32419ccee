"""Exposure: an image with everything that is known about it. Difference: an exposure made of two."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from astropy.wcs import WCS

from diapipe.errors import InputError
from diapipe.images.box import Box
from diapipe.images.fields import ChebyshevField
from diapipe.images.kernel import SpatialKernel
from diapipe.images.masked_image import MaskedImage
from diapipe.images.mesh_field import MeshField
from diapipe.images.photo_calib import PhotoCalib
from diapipe.images.psf.base import Psf
from diapipe.numerics.arrays import Float32Array, FloatArray, RealArray

IMAGES_LEFT = "IMAGES_LEFT"
"""Key of `Exposure.metadata`: a sentence on the other images of the file, where nobody said which to take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservationInfo:
    """When, where and through what an exposure was taken; 0, "", NaN and None stand for unknown.

    Attributes
    ----------
    visit, detector
        Numbers of the exposure and of the chip.
    band
        Filter band.
    mjd_midpoint
        Middle of the exposure, modified Julian date in days.
    exposure_time_s
        Length in seconds.
    gain
        Electrons per count.
    read_noise
        Of a pixel, in electrons.
    saturation
        Counts from which on a pixel is saturated.
    airmass
        Secant of the zenith distance.
    parallactic_angle_deg
        Position angle of the zenith, from north through east.
    temperature_c, pressure_hpa, relative_humidity
        Of the air at the telescope; humidity from 0 to 1.
    """

    visit: int = 0
    detector: int = 0
    band: str = ""
    mjd_midpoint: float = float("nan")
    exposure_time_s: float = float("nan")
    gain: float | None = None
    read_noise: float | None = None
    saturation: float | None = None
    airmass: float = float("nan")
    parallactic_angle_deg: float = float("nan")
    temperature_c: float = float("nan")
    pressure_hpa: float = float("nan")
    relative_humidity: float = float("nan")


_KINDS: dict[str, type] = {"masked_image": MaskedImage, "wcs": WCS, "psf": Psf, "photo_calib": PhotoCalib}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Exposure:
    """An image, where it lies on the sky, what a point looks like on it and what a count is worth.

    Attributes
    ----------
    name
        What messages call it: usually the file.
    masked_image
        Pixels, mask, variance.
    has_variance, has_mask
        Whether the source brought these planes; if not, `characterize` makes them.
    wcs
        From 0-based *parent* pixel coordinates (those of ``masked_image.box``) to the sky: cutting leaves it as it is.
        None if the source has none.
    psf
        None until known.
    photo_calib
        None if the pixels are not calibrated.
    noise_correlation
        Autocorrelation of the pixel noise, shape (2n + 1, 2n + 1), 1 at the centre; None for white noise.
    info
        Time, band, detector constants.
    aperture_corrections
        By flux column: factor over the image.
    unit
        Unit of the pixels, ``"nJy"`` where calibrated, else as the file says (``"adu"`` if it does not).
    inputs
        Visits of which it is stacked; empty if it is no stack, or nobody said.
    metadata
        Cards of the source that have no place above; scalars only.

    Raises
    ------
    InputError
        If ``masked_image``, ``wcs``, ``psf`` or ``photo_calib`` is of another kind than its name says.
    """

    name: str
    masked_image: MaskedImage
    has_variance: bool = True
    has_mask: bool = True
    wcs: WCS | None = None
    psf: Psf | None = None
    photo_calib: PhotoCalib | None = None
    noise_correlation: FloatArray | None = None
    info: ObservationInfo = ObservationInfo()
    aperture_corrections: Mapping[str, ChebyshevField] = field(default_factory=dict)
    unit: str = "adu"
    inputs: tuple[int, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, kind in _KINDS.items():
            value = getattr(self, name)
            if not isinstance(value, kind) and (value is not None or name == "masked_image"):
                raise InputError(f"{name} of the exposure {self.name} must be a {kind.__name__}, not {value!r:.60}")

    @property
    def box(self) -> Box:
        """Where the pixels lie in parent coordinates."""
        return self.masked_image.box

    def __getitem__(self, box: Box) -> Exposure:
        """The part of the exposure in ``box``, without a copy of the pixels; BoundsError if it sticks out."""
        return replace(self, masked_image=self.masked_image[box])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Difference:
    """Science minus matched template, on the science image's grid and flux scale.

    Attributes
    ----------
    exposure
        Pixels of the difference; its PSF is that of a source *on the difference*, its noise is white
        where whitened, but for a part as wide as the PSF where faint stars left one (``noise_correlation``).
    kernel
        The matching kernel as fitted: it maps ``convolved`` onto the other image.
    background
        What the fit found of science above matched template, already subtracted, in counts of the science image.
    convolved
        ``"template"`` or ``"science"``: which image the kernel was applied to.
    matched_template
        The template as it was subtracted, on the science flux scale (unwhitened), or None if it was not kept.
    whitening
        The kernel of unit sum that makes the noise white: applied to the plain difference, or, where there is a
        ``template_filter``, to the science image alone; or None.
    template_filter
        Of a proper difference (ZOGY): what the template was convolved with while the science image was with
        ``whitening``; the matching kernel then only told the relation of the images. Else None.
    residual_background
        What smooth level was left after that and is already subtracted, in units of each pixel's noise; None if none
        was seen.
    variance_factor
        By which the variance was multiplied because pixels between the sources scatter more than their inputs claim.
    relative_error
        Of the matched light beyond its noise, as a fraction of it; its square times that of the light is in the
        variance.
    static_error
        Relative error of what is left of light that does not change: the scatter of its stars' PSF fluxes about 0,
        beyond their noise, over the whole image. All pixels of a star share it, so it is not in the variance but in
        the errors of forced fluxes, as `static_error_at` has it there. Below 0 where they scatter less than the
        variance says, which has too much of ``relative_error``: its square then counts as less.
    """

    exposure: Exposure
    kernel: SpatialKernel
    background: ChebyshevField
    convolved: str
    matched_template: MaskedImage | None = None
    whitening: SpatialKernel | None = None
    template_filter: SpatialKernel | None = None
    residual_background: MeshField | None = None
    variance_factor: float = 1.0
    relative_error: float = 0.0
    static_error: float = 0.0

    @property
    def level(self) -> Float32Array:
        """What was subtracted of science above template, in counts of the science image; shape ``box.shape``."""
        scale = 1.0 if self.convolved == "template" else -1.0 / self.kernel.sum
        level = self.background.over(self.box) * np.float32(scale)
        if self.residual_background is not None:
            noise = np.sqrt(self.exposure.masked_image.variance / np.float32(self.variance_factor))
            level += self.residual_background.over(self.box) * noise
        return level

    @property
    def box(self) -> Box:
        """Where the pixels lie in parent coordinates."""
        return self.exposure.box

    def static_error_at(self, *, x: RealArray, y: RealArray) -> FloatArray:
        """`static_error` at positions in parent coordinates; the shape of ``x``.

        What is left of stars is what the kernel has wrong, and a polynomial through stars all over the image is least
        certain at its borders: the square grows with its `leverage`. That of a constant kernel is the same everywhere,
        and so is what the variance has too much, where the error is below 0.
        """
        if self.static_error <= 0.0:
            return np.full(np.shape(x), self.static_error)
        return self.static_error * np.sqrt(self.kernel.leverage_at(x=x, y=y))

    def __getitem__(self, box: Box) -> Difference:
        """The part in ``box``, without a copy of the pixels; kernels and fields keep the region of their fit.

        Raises
        ------
        BoundsError
            If the box sticks out of the difference.
        """
        matched = self.matched_template
        return replace(self, exposure=self.exposure[box], matched_template=None if matched is None else matched[box])
