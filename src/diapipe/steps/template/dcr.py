"""Dcr: a template whose colours stand where the air of the science exposure puts them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord

from diapipe.errors import InputError, UsageError
from diapipe.images import CoaddPatch, Exposure, MaskedImage, MaskPlane
from diapipe.images.psf import BlendedPsf
from diapipe.images.sky import icrs_of, pixels_of_icrs
from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.refraction import subfilter_lifts_arcsec, zenith_distance_of_airmass
from diapipe.steps.template.blend import Blend, Grid, blend_tracts, mean_correlation, nearest_first
from diapipe.steps.template.gather import TemplateInput
from diapipe.steps.template.patch_template import PatchTemplate, nothing_overlaps, only_patches
from diapipe.steps.template.registration import Registration


@dataclass(frozen=True, slots=True, kw_only=True)
class Dcr(PatchTemplate):
    """The sum of coadds of the parts of a band, each displaced as the air displaces it (coaddName ``dcr``).

    The displacement is part of the map to the science grid, so each pixel is interpolated once and no more.

    Attributes
    ----------
    effective_wavelength_nm, bandwidth_nm
        Of the band; the science exposure's WCS holds for the effective wavelength. They must be given.
    n_subfilters
        Into how many equal parts it is cut.
    temperature_c, pressure_hpa, relative_humidity
        Of the air, where the exposure does not say; those of a mountain of 2700 m.
    """

    may_be_zero = (*PatchTemplate.may_be_zero, "relative_humidity")
    any_sign = ("temperature_c",)
    shares = ("relative_humidity",)

    effective_wavelength_nm: float | None = None
    bandwidth_nm: float | None = None
    n_subfilters: int = 3
    temperature_c: float = 10.0
    pressure_hpa: float = 740.0
    relative_humidity: float = 0.3

    def gather(
        self,
        science: Exposure,
        inputs: Sequence[TemplateInput],
        *,
        registration: Registration | None = None,
        n_threads: int = 1,
    ) -> Exposure:
        """The template on the science grid; its variance is that of one plane, which all planes share (SPEC B.7)."""
        shifts = self.shifts_px(science)
        grid = Grid(box=science.box.dilated(self.border_px), wcs=science.wcs, registration=registration)
        near = nearest_first(only_patches(inputs), grid.box, grid.wcs)
        if not near:
            raise nothing_overlaps(science, len(inputs))
        planes: list[Blend] = []
        for k, (dx, dy) in enumerate(shifts):
            own = [patch for patch in near if patch.subfilter == k]
            planes.append(self._plane(own, grid, (float(dx), float(dy)), planes, n_threads))
            if planes[-1].is_empty:
                raise InputError(
                    f"no coadd of subfilter {k} overlaps {science.name}; all {self.n_subfilters} are needed, "
                    f"found are {sorted({patch.subfilter for patch in near if patch.subfilter is not None})}"
                )
        return self._flagged(_summed(planes, f"template of {science.name}"))

    def _plane(
        self,
        patches: Sequence[CoaddPatch],
        grid: Grid,
        shift: tuple[float, float],
        before: Sequence[Blend],
        n_threads: int,
    ) -> Blend:
        """One part of the band on the science grid, displaced, on the flux scale of the first."""
        return blend_tracts(
            patches,
            grid,
            warp=self.warp,
            feather_px=self.feather_px,
            shift=shift,
            scale=before[0].scale if before else None,
            n_threads=n_threads,
        )

    def lifts_arcsec(self, science: Exposure) -> FloatArray:
        """By how much more than the effective wavelength the air lifts each part of the band; shape (n_subfilters,).

        Raises
        ------
        UsageError
            If the band is not told.
        InputError
            If the exposure does not say its airmass.
        """
        if self.effective_wavelength_nm is None or self.bandwidth_nm is None:
            raise UsageError("a DCR template needs effective_wavelength_nm and bandwidth_nm of its band")
        info = science.info
        if not info.airmass >= 1.0:
            raise InputError(f"{science.name} has the airmass {info.airmass}; a DCR template needs one of 1 or more")
        return subfilter_lifts_arcsec(
            effective_wavelength_nm=self.effective_wavelength_nm,
            bandwidth_nm=self.bandwidth_nm,
            n_subfilters=self.n_subfilters,
            zenith_distance_deg=zenith_distance_of_airmass(info.airmass),
            temperature_c=_known(info.temperature_c, self.temperature_c),
            pressure_hpa=_known(info.pressure_hpa, self.pressure_hpa),
            relative_humidity=_known(info.relative_humidity, self.relative_humidity),
        )

    def shifts_px(self, science: Exposure) -> FloatArray:
        """The same as displacements on the science image, towards the zenith for the blue; shape (n_subfilters, 2).

        Raises
        ------
        UsageError
            If the band is not told.
        InputError
            If the exposure does not say where the zenith is.
        """
        lifts, angle = self.lifts_arcsec(science), science.info.parallactic_angle_deg
        if not math.isfinite(angle):
            raise InputError(f"{science.name} does not say its parallactic angle; a DCR template needs it")
        x, y = science.box.x_center, science.box.y_center
        (ra,), (dec,) = icrs_of(science.wcs, np.array([x]), np.array([y]))
        middle = SkyCoord(ra, dec, unit="deg")
        lifted = middle.directional_offset_by(angle * u.deg, lifts * u.arcsec)
        at_x, at_y = pixels_of_icrs(science.wcs, lifted.ra.deg, lifted.dec.deg)
        return np.stack([at_x - x, at_y - y], axis=1)


def _known(value: float, default: float) -> float:
    return value if math.isfinite(value) else default


def _summed(planes: Sequence[Blend], name: str) -> Exposure:
    """The sum of the parts of a band; no data where one has none."""
    found = [plane.exposure(name) for plane in planes]
    images = [exposure.masked_image for exposure in found]
    image = np.sum([planes.image for planes in images], axis=0, dtype=np.float32)
    variance = np.mean([planes.variance for planes in images], axis=0, dtype=np.float32)
    mask = np.bitwise_or.reduce([planes.mask for planes in images])
    mask = np.where(np.isfinite(image), mask, np.int32(MaskPlane.NO_DATA))
    parts = tuple(part for plane in planes for part in plane.parts)
    return replace(
        found[0],
        masked_image=MaskedImage(image, mask, variance, images[0].box),
        psf=BlendedPsf(parts) if all(exposure.psf is not None for exposure in found) else None,
        noise_correlation=mean_correlation((1.0, exposure.noise_correlation) for exposure in found),
        inputs=tuple(sorted({visit for exposure in found for visit in exposure.inputs})),
    )
