"""SkySpec, what is in a simulated sky, and PairSpec: everything that can be chosen about a simulated pair."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from diapipe.errors import UsageError
from diapipe.images import Box

REFERENCE_AREA_PX = 4072 * 4000
"""Pixels of the default frame, for which the default numbers of objects hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SkySpec(ABC):
    """What is in the sky. Numbers of objects are those on `box`.

    Attributes
    ----------
    pixel_scale_arcsec
        Pixel of the science images.
    zero_point_mag
        AB magnitude of a flux of one: of one science count of a pair.
    n_stars, star_brightest_mag, star_faintest_mag, star_count_slope
        Luminosity function: number per magnitude grows by the slope in dex.
    n_galaxies, galaxy_brightest_mag, galaxy_faintest_mag, galaxy_count_slope
        The same for galaxies.
    variable_fraction, variable_min_mag, variable_max_mag
        Share of the stars that change, and by how much (log-uniform, of either sign).
    n_transients, transient_min_snr, transient_max_snr, transient_host_fraction
        New sources: S/N log-uniform; share inside the half-light ellipse of a galaxy.
    host_faintest_mag
        Faintest galaxy that is given a transient.
    """

    pixel_scale_arcsec: float = 0.2
    zero_point_mag: float = 31.4
    n_stars: float = 3000
    star_brightest_mag: float = 13.0
    star_faintest_mag: float = 25.0
    star_count_slope: float = 0.25
    n_galaxies: float = 8000
    galaxy_brightest_mag: float = 17.0
    galaxy_faintest_mag: float = 26.0
    galaxy_count_slope: float = 0.33
    variable_fraction: float = 0.01
    variable_min_mag: float = 0.03
    variable_max_mag: float = 0.5
    n_transients: float = 200
    transient_min_snr: float = 3.0
    transient_max_snr: float = 50.0
    transient_host_fraction: float = 0.4
    host_faintest_mag: float = 24.0

    @property
    @abstractmethod
    def box(self) -> Box:
        """Pixels that the numbers of objects are counted on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairSpec(SkySpec):
    """What a simulated pair is like. The defaults are one LSST-like CCD in r, 30 s, with a template ten times as deep.

    Numbers of objects and defects are those on the science frame; `small` scales them with the area. What is in the sky
    is told by `SkySpec`.

    Attributes
    ----------
    width, height
        Pixels of both frames.
    science_fwhm_arcsec, template_fwhm_arcsec, science_beta, template_beta
        Median seeing and Moffat index. An index is a multiple of one half, which makes the power a product.
    fwhm_variation, ellipticity, ellipticity_variation
        Over the field: relative rms of the FWHM, mean reduced shear, rms of either component of the shear about it.
    template_depth
        Exposures like the science image that the template holds; 1 for a single frame, which has cosmic rays as well.
    template_flux_scale
        Template counts for one science count of the same source.
    misregistration_px
        Rms along either axis of what the WCS do not know, a smooth field.
    background_residual_counts
        Rms of the smooth background left in either image, in science counts.
    sky_counts, gain_electrons, read_noise_electrons, full_well_electrons, exposure_time_s
        Of one exposure: sky per science pixel, electrons per count, Gaussian read noise, where a pixel overflows.
    transient_negative_fraction
        Share of the transients seen in the template alone.
    n_bad_columns
        In either image.
    n_cosmic_rays, cosmic_ray_unmasked_fraction
        In the science image, and in a template of depth 1.
    template_offset_px, template_rotation_deg, template_scale, template_flip
        Where the template's grid lies: shift of the field's centre along its x and y, rotation, template pixel over
        science pixel, x axis mirrored. All of it is in the WCS.

    Raises
    ------
    UsageError
        If a value cannot be used.
    """

    width: int = 4072
    height: int = 4000
    science_fwhm_arcsec: float = 0.8
    template_fwhm_arcsec: float = 0.65
    science_beta: float = 3.0
    template_beta: float = 3.5
    fwhm_variation: float = 0.03
    ellipticity: float = 0.03
    ellipticity_variation: float = 0.02
    template_depth: float = 10.0
    template_flux_scale: float = 1.0
    misregistration_px: float = 0.05
    background_residual_counts: float = 2.0
    sky_counts: float = 470.0
    gain_electrons: float = 1.6
    read_noise_electrons: float = 9.0
    full_well_electrons: float = 130_000.0
    exposure_time_s: float = 30.0
    transient_negative_fraction: float = 0.5
    n_bad_columns: float = 6
    n_cosmic_rays: float = 300
    cosmic_ray_unmasked_fraction: float = 0.1
    template_offset_px: tuple[float, float] = (0.0, 0.0)
    template_rotation_deg: float = 0.0
    template_scale: float = 1.0
    template_flip: bool = False

    def __post_init__(self) -> None:
        for name in ("science_beta", "template_beta"):
            beta = getattr(self, name)
            if beta < 1.5 or not (2 * beta).is_integer():
                raise UsageError(f"{name} is {beta}; a multiple of 0.5 from 1.5 on is needed")
        for name in _POSITIVE:
            if not getattr(self, name) > 0:
                raise UsageError(f"{name} is {getattr(self, name)}; a positive number is needed")
        if self.sky_counts * self.gain_electrons >= self.full_well_electrons:
            raise UsageError(
                f"the sky of {self.sky_counts * self.gain_electrons:.0f} electrons fills the pixels; "
                f"less than full_well_electrons = {self.full_well_electrons:.0f} is needed"
            )

    @classmethod
    def small(cls, size: int = 1024, **changes: Any) -> Self:
        """A square cut of the default field: numbers of objects as its area, variation of the PSF as its side."""
        spec = cls(width=size, height=size)
        area = size * size / REFERENCE_AREA_PX
        counts = {name: getattr(spec, name) * area for name in PER_AREA}
        slopes = {name: getattr(spec, name) * np.sqrt(area) for name in _PER_SIDE}
        return replace(spec, **(counts | slopes | changes))

    @property
    def box(self) -> Box:
        """Pixels of either frame."""
        return Box.from_shape((self.height, self.width))

    @property
    def template_is_coadd(self) -> bool:
        """Whether the template was made of several exposures, so that cosmic rays were rejected."""
        return self.template_depth > 1

    @property
    def has_one_grid(self) -> bool:
        """Whether science and template lie on the same pixels (but for the misregistration)."""
        return (
            self.template_offset_px == (0.0, 0.0)
            and self.template_rotation_deg == 0
            and self.template_scale == 1
            and not self.template_flip
        )


_POSITIVE = (
    "width",
    "height",
    "pixel_scale_arcsec",
    "science_fwhm_arcsec",
    "template_fwhm_arcsec",
    "template_depth",
    "template_flux_scale",
    "gain_electrons",
    "full_well_electrons",
    "template_scale",
)
PER_AREA = ("n_stars", "n_galaxies", "n_transients", "n_cosmic_rays")
"""Numbers that go with the area of the sky."""
_PER_SIDE = ("fwhm_variation", "ellipticity_variation", "n_bad_columns")
