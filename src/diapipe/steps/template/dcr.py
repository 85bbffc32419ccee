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
from diapipe.numerics.arrays import Float32Array, FloatArray
from diapipe.numerics.refraction import SubfilterLifts, subfilter_lifts_arcsec, zenith_distance_of_airmass
from diapipe.steps.template.blend import blend_tracts, nearest_first
from diapipe.steps.template.gather import TemplateInput
from diapipe.steps.template.grid import Grid
from diapipe.steps.template.layers import Blend
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
        towards_zenith, lifts = self.towards_zenith_px(science), self.lifts_arcsec(science)
        grid = Grid(box=science.box.dilated(self.border_px), wcs=science.wcs, registration=registration)
        farthest = np.abs(lifts.mean).max() * np.abs(towards_zenith).max()
        near = nearest_first(only_patches(inputs), grid, shift=(farthest, farthest))
        if not near:
            raise nothing_overlaps(science, len(inputs))
        planes: list[Blend] = []
        for k, (dx, dy) in enumerate(lifts.mean[:, None] * towards_zenith):
            own = [patch for patch in near if patch.subfilter == k]
            planes.append(self._plane(own, grid, (float(dx), float(dy)), planes, n_threads))
            if planes[-1].is_empty:
                raise InputError(
                    f"no coadd of subfilter {k} overlaps {science.name}; all {self.n_subfilters} are needed, "
                    f"found are {sorted({patch.subfilter for patch in near if patch.subfilter is not None})}"
                )
        return self._flagged(_summed(planes, lifts.span[:, None] * towards_zenith, f"template of {science.name}"))

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

    def lifts_arcsec(self, science: Exposure) -> SubfilterLifts:
        """By how much more than the effective wavelength the air lifts each part of the band.

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

    def towards_zenith_px(self, science: Exposure) -> FloatArray:
        """Displacement on the science image of what the air lifts by an arcsec more; (x, y).

        Raises
        ------
        InputError
            If the exposure does not say where the zenith is.
        """
        angle = science.info.parallactic_angle_deg
        if not math.isfinite(angle):
            raise InputError(f"{science.name} does not say its parallactic angle; a DCR template needs it")
        x, y = science.box.x_center, science.box.y_center
        (ra,), (dec,) = icrs_of(science.wcs, np.array([x]), np.array([y]))
        lifted = SkyCoord(ra, dec, unit="deg").directional_offset_by(angle * u.deg, 1.0 * u.arcsec)
        at_x, at_y = pixels_of_icrs(science.wcs, np.array([lifted.ra.deg]), np.array([lifted.dec.deg]))
        return np.array([at_x[0] - x, at_y[0] - y])


def _known(value: float, default: float) -> float:
    return value if math.isfinite(value) else default


def _summed(planes: Sequence[Blend], spans_px: FloatArray, name: str) -> Exposure:
    """The sum of the parts of a band, each as wide as it is; no data where one has none.

    How the noise of its pixels is correlated is left to be measured: displaced sums of planes that share exposures.
    """
    found = [plane.exposure(name) for plane in planes]
    images = [exposure.masked_image for exposure in found]
    image = np.sum([planes.image for planes in images], axis=0, dtype=np.float32)
    image += inner_displacement([planes.image for planes in images], spans_px)
    variance = np.mean([planes.variance for planes in images], axis=0, dtype=np.float32)
    mask = np.bitwise_or.reduce([planes.mask for planes in images])
    mask = np.where(np.isfinite(image), mask, np.int32(MaskPlane.NO_DATA))
    return replace(
        found[0],
        masked_image=MaskedImage(image, mask, variance, images[0].box),
        psf=_grey_psf(planes, spans_px) if all(exposure.psf is not None for exposure in found) else None,
        noise_correlation=None,
        inputs=tuple(sorted({visit for exposure in found for visit in exposure.inputs})),
    )


def _grey_psf(planes: Sequence[Blend], spans_px: FloatArray) -> BlendedPsf:
    """The PSF of a star whose light is the same all over the band; each part in two points, as wide as it is."""
    return BlendedPsf(
        tuple(
            replace(part, dx=part.dx + sign * dx, dy=part.dy + sign * dy)
            for plane, (dx, dy) in zip(planes, spans_px / math.sqrt(12.0), strict=True)
            for part in plane.parts
            for sign in (-1.0, 1.0)
        )
    )


def inner_displacement(images: Sequence[Float32Array], spans_px: FloatArray) -> Float32Array:
    """What the width of the parts of a band, and the change of the spectrum inside them, add to their sum.

    Parameters
    ----------
    images
        The light of each part, I, displaced by its mean.
    spans_px
        Displacement of its last wavelength less that of its first, D; (x, y), shape (n, 2).

    Returns
    -------
    Float32Array
        Shape of an image; 0 where a part has no value.

    Notes
    -----
    Let the light of part k be M + S t for t from -1/2 to 1/2, where S, its change over the part, is told by the parts
    beside it, and its displacement d + D t. Its image is ∫ (M + S t) P(x - d - D t) dt: to second order in D,
    I - (D·∇) S(x - d) / 12 + (D·∇)² I / 24. The parts beside it are displaced by D more and less, so half of their
    difference, S', is S - (D·∇) I; together - (D·∇) (S' + (D·∇) I / 2) / 12. Without it the displacement of a coloured
    star would be a ninth too small.
    """
    total = np.zeros_like(images[0])
    if len(images) == 1:
        return total
    for k, span in enumerate(spans_px):
        before, after = max(k - 1, 0), min(k + 1, len(images) - 1)
        change = (images[after] - images[before]) / np.float32(after - before)
        total -= _along(span, change + np.float32(0.5) * _along(span, images[k])) / np.float32(12.0)
    return np.where(np.isfinite(total), total, np.float32(0.0))


def _along(span: FloatArray, image: Float32Array) -> Float32Array:
    """Change over a displacement, (D·∇) I, by central differences of fourth order; 0 on two pixels at the border."""
    result = np.zeros_like(image)
    for axis, step in ((1, span[0]), (0, span[1])):
        moved, target = np.moveaxis(image, axis, 0), np.moveaxis(result, axis, 0)
        near, far = moved[3:-1] - moved[1:-3], moved[4:] - moved[:-4]
        target[2:-2] += np.float32(step / 12.0) * (np.float32(8.0) * near - far)
    return result
