"""simulate_pair: a science image, a template and the truth about both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from diapipe.images import Exposure, MaskedImage, MaskPlane, ObservationInfo, PhotoCalib
from diapipe.numerics.arrays import Float32Array, FloatArray, MaskArray
from diapipe.simulate import truth
from diapipe.simulate.changes import Changes, random_transients, variables
from diapipe.simulate.cosmic_rays import CosmicRays
from diapipe.simulate.detector import Camera, read_out
from diapipe.simulate.frame import FAINTEST_WING, Frame
from diapipe.simulate.geometry import Geometry
from diapipe.simulate.moffat import MoffatFieldPsf
from diapipe.simulate.population import Galaxies, Points, Stars, galaxy_knots, random_galaxies, random_stars
from diapipe.simulate.smooth_fields import smooth_field
from diapipe.simulate.spec import PairSpec

_KNOT_SPACING = 0.6  # of the sharper PSF's FWHM: leaves galaxies within 1% of their profile
SKY_MARGIN_PX = 60
"""Sources are drawn this far outside the frames, so that their wings reach in."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SimulatedPair:
    """A pair of exposures, and what is true of them.

    Attributes
    ----------
    spec
        What was asked for.
    science, template
        Sky-subtracted counts with mask, variance, WCS and zero point; no PSF, as a user would bring them.
    science_psf, template_psf
        The true PSFs, each in the pixels of its image.
    geometry
        The true map from science to template pixels.
    ceiling
        The best difference possible, on the science grid and flux scale: true changes drawn with the science PSF, plus
        white noise of the variance of science and scaled template, and the masks of both.
    stars, galaxies, transients, cosmic_rays
        Truth tables; their columns are described in `diapipe.simulate.truth`.
    """

    spec: PairSpec
    science: Exposure
    template: Exposure
    science_psf: MoffatFieldPsf
    template_psf: MoffatFieldPsf
    geometry: Geometry
    ceiling: MaskedImage
    stars: Table
    galaxies: Table
    transients: Table
    cosmic_rays: Table

    def science_psf_at(self, x: float, y: float) -> FloatArray:
        """True PSF of the science image at a position of it, centred, of unit sum; shape (61, 61)."""
        return self.science_psf.kernel_image(x=x, y=y)

    def template_psf_at(self, x: float, y: float) -> FloatArray:
        """True PSF of the template at a position of it, centred, of unit sum; shape (61, 61)."""
        return self.template_psf.kernel_image(x=x, y=y)


def simulate_pair(spec: PairSpec, *, rng: np.random.Generator) -> SimulatedPair:
    """Make a science image, a template and their truth.

    Sky, optics, changes and the noise of either image have generators of their own, spawned from ``rng``: specs that
    differ in the template's depth only, given equal generators, share sky, optics and the places of all that changes.

    Parameters
    ----------
    spec
        What the pair is like.
    rng
        Source of everything random; equal generators give equal pairs.

    Returns
    -------
    SimulatedPair
        Both images, the truth about what changed, and the tables of stars and galaxies.
    """
    sky_rng, optics_rng, changes_rng, science_rng, template_rng, ceiling_rng = rng.spawn(6)
    geometry = Geometry.random(spec, rng=optics_rng)
    science, template = _empty_science(spec, optics_rng), _empty_template(spec, optics_rng)
    sky = geometry.sky_box(SKY_MARGIN_PX)
    stars, galaxies = random_stars(spec, sky, rng=sky_rng), random_galaxies(spec, sky, rng=sky_rng)
    _draw_static_sky(stars, galaxies, science, template, geometry, spec)
    variance = _ideal_variance(science, template, geometry, spec)
    transients = random_transients(spec, galaxies, geometry, psf=science.psf, variance=variance, rng=changes_rng)
    _draw_transients(transients, science, template, geometry)
    variance = _ideal_variance(science, template, geometry, spec)
    science_image, science_rays = _read_out(science, spec, 1.0, science_rng)
    template_image, template_rays = _read_out(template, spec, spec.template_flux_scale, template_rng)
    changes = truth.joined(transients, variables(stars))
    ceiling = _ceiling(
        changes, science.psf, variance, _both_masks(science_image, template_image, geometry, spec), ceiling_rng
    )
    return SimulatedPair(
        spec=spec,
        science=_science_exposure(science_image, science.camera, geometry, spec),
        template=_template_exposure(template_image, template.camera, geometry, spec),
        science_psf=science.psf,
        template_psf=template.psf,
        geometry=geometry,
        ceiling=ceiling,
        stars=truth.star_table(stars, geometry, science_image, template_image, spec),
        galaxies=truth.galaxy_table(galaxies, geometry),
        transients=truth.change_table(changes, science.psf, variance, ceiling),
        cosmic_rays=truth.cosmic_ray_table(science=science_rays, template=template_rays),
    )


def _empty_science(spec: PairSpec, rng: np.random.Generator) -> Frame:
    """The science frame before any light falls on it, with optics drawn at random."""
    psf = _random_psf(spec, beta=spec.science_beta, fwhm_px=spec.science_fwhm_arcsec / spec.pixel_scale_arcsec, rng=rng)
    return Frame(psf, Camera.of_science(spec), np.zeros(spec.box.shape, np.float32))


def _empty_template(spec: PairSpec, rng: np.random.Generator) -> Frame:
    """The template frame before any light falls on it, with optics drawn at random."""
    pixel_arcsec = spec.pixel_scale_arcsec * spec.template_scale
    psf = _random_psf(spec, beta=spec.template_beta, fwhm_px=spec.template_fwhm_arcsec / pixel_arcsec, rng=rng)
    return Frame(psf, Camera.of_template(spec), np.zeros(spec.box.shape, np.float32))


def _random_psf(spec: PairSpec, *, beta: float, fwhm_px: float, rng: np.random.Generator) -> MoffatFieldPsf:
    """A PSF with the variation that the spec asks for."""
    return MoffatFieldPsf.random(
        spec.box,
        beta=beta,
        fwhm_px=fwhm_px,
        fwhm_variation=spec.fwhm_variation,
        ellipticity=spec.ellipticity,
        ellipticity_variation=spec.ellipticity_variation,
        rng=rng,
    )


def _draw_static_sky(
    stars: Stars, galaxies: Galaxies, science: Frame, template: Frame, geometry: Geometry, spec: PairSpec
) -> None:
    """Stars as either image has them, and galaxies, on both frames."""
    sharpest_px = min(spec.science_fwhm_arcsec, spec.template_fwhm_arcsec) / spec.pixel_scale_arcsec
    knots = galaxy_knots(galaxies, spacing_px=_KNOT_SPACING * sharpest_px)
    science.draw(knots)
    science.draw(Points(stars.x, stars.y, stars.flux, stars.flux))
    template.draw(_as_seen_by_template(knots, geometry))
    template.draw(_as_seen_by_template(Points(stars.x, stars.y, stars.template_flux, stars.template_flux), geometry))


def _draw_transients(transients: Changes, science: Frame, template: Frame, geometry: Geometry) -> None:
    """Positive transients on the science image, negative ones on the template."""
    for frame, sign in ((science, 1.0), (template, -1.0)):
        there = sign * transients.flux > 0
        flux = np.abs(transients.flux[there])
        points = Points(transients.x[there], transients.y[there], flux, flux)
        frame.draw(points if frame is science else _as_seen_by_template(points, geometry))


def _as_seen_by_template(points: Points, geometry: Geometry) -> Points:
    """The same sources in template pixels."""
    x, y = geometry.to_template(points.x, points.y)
    return Points(x, y, points.flux, points.wing_flux)


def _ideal_variance(science: Frame, template: Frame, geometry: Geometry, spec: PairSpec) -> Float32Array:
    """Variance of science minus template per science pixel, in squared science counts; off the template, science's."""
    of_template = template.variance_science_counts() / np.float32(spec.template_scale**2)
    return science.variance_science_counts() + _on_science_grid(of_template, geometry, spec, outside=np.float32(0))


def _on_science_grid[T: np.generic](plane: NDArray[T], geometry: Geometry, spec: PairSpec, *, outside: T) -> NDArray[T]:
    """A plane of the template at the nearest pixel to each science pixel."""
    if spec.has_one_grid:
        return plane
    rows, columns = geometry.nearest_template_pixels()
    covered = (rows >= 0) & (rows < plane.shape[0]) & (columns >= 0) & (columns < plane.shape[1])
    values = np.full(geometry.science_box.shape, outside, dtype=plane.dtype)
    values[covered] = plane[rows[covered], columns[covered]]
    return values


def _read_out(
    frame: Frame, spec: PairSpec, background_scale: float, rng: np.random.Generator
) -> tuple[MaskedImage, CosmicRays]:
    """Expose a frame with a random residual background."""
    background = smooth_field(spec.box, rms=spec.background_residual_counts * background_scale, rng=rng)
    unmasked = spec.cosmic_ray_unmasked_fraction
    return read_out(frame.light, frame.camera, background=background, unmasked_fraction=unmasked, rng=rng)


def _both_masks(science: MaskedImage, template: MaskedImage, geometry: Geometry, spec: PairSpec) -> MaskArray:
    """Planes of the science image and, as ``*_TEMPLATE``, those of the template, on the science grid."""
    to_template_planes = int(MaskPlane.BAD.of_template) // int(MaskPlane.BAD)
    nothing = np.int32(MaskPlane.NO_DATA)
    return science.mask | _on_science_grid(template.mask, geometry, spec, outside=nothing) * np.int32(
        to_template_planes
    )


def _ceiling(
    changes: Changes, psf: MoffatFieldPsf, variance: Float32Array, mask: MaskArray, rng: np.random.Generator
) -> MaskedImage:
    """True changes drawn with the science PSF, plus white noise."""
    image = rng.standard_normal(variance.shape, dtype=np.float32)
    image *= np.sqrt(variance)
    faintest = FAINTEST_WING * float(np.sqrt(np.median(variance)))
    radius = psf.wing_radius(changes.flux, x=changes.x, y=changes.y, faintest=faintest)
    psf.draw(image, x=changes.x, y=changes.y, flux=changes.flux, radius_px=radius)
    return MaskedImage.from_planes(image, mask=mask, variance=variance)


def _science_exposure(image: MaskedImage, camera: Camera, geometry: Geometry, spec: PairSpec) -> Exposure:
    """The science image as a file would bring it."""
    return Exposure(
        name="simulated science",
        masked_image=image,
        wcs=geometry.science_wcs(),
        photo_calib=PhotoCalib.from_zero_point(spec.zero_point_mag),
        info=_info(camera, spec, visit=2, mjd=60_700.0, exposure_time_s=spec.exposure_time_s),
    )


def _template_exposure(image: MaskedImage, camera: Camera, geometry: Geometry, spec: PairSpec) -> Exposure:
    """The template as a file would bring it."""
    zero_point = spec.zero_point_mag + 2.5 * np.log10(spec.template_flux_scale)
    return Exposure(
        name="simulated template",
        masked_image=image,
        wcs=geometry.template_wcs(),
        photo_calib=PhotoCalib.from_zero_point(float(zero_point)),
        info=_info(camera, spec, visit=1, mjd=60_300.0, exposure_time_s=spec.exposure_time_s * spec.template_depth),
    )


def _info(camera: Camera, spec: PairSpec, *, visit: int, mjd: float, exposure_time_s: float) -> ObservationInfo:
    """Time and detector constants of a frame."""
    return ObservationInfo(
        visit=visit,
        detector=1,
        band="r",
        mjd_midpoint=mjd,
        exposure_time_s=exposure_time_s,
        gain=camera.electrons_per_count,
        read_noise=camera.read_noise_electrons,
        saturation=camera.saturation_counts,
    )
