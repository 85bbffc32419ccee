"""One exposure of a simulated survey: the sky seen through a visit's optics, read out by a detector."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy import units
from astropy.table import Table
from astropy.wcs import WCS

from diapipe.images import Box, ChebyshevField, Exposure, MaskedImage, MaskPlane, ObservationInfo, PhotoCalib
from diapipe.images.pixel_map import PixelMap
from diapipe.images.sky import between, box_around, icrs_of, outline_between
from diapipe.numerics.arrays import BoolArray, Float32Array, FloatArray, MaskArray
from diapipe.simulate.detector import read_out
from diapipe.simulate.frame import Frame
from diapipe.simulate.light_curves import Changing
from diapipe.simulate.moffat import MoffatFieldPsf
from diapipe.simulate.population import Points
from diapipe.simulate.smooth_fields import clamped_at
from diapipe.simulate.survey_sky import SKY_MARGIN_PX, SurveySky
from diapipe.simulate.survey_spec import SurveySpec
from diapipe.simulate.survey_visits import Trail, Visit, on_detector, psf_on_detector
from diapipe.simulate.truth import planes_around

_TRAIL_STEP = 0.4  # of the FWHM: a line of points this close is smooth to 1e-3
_STREAK_FWHM = 1.5
_MAP_STEP_PX = 64
_EXPOSED_POINTS = 5
KINDS = ("transient", "variable", "moving")
"""Of the objects that change, in the order of their numbers."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SurveyFrame:
    """An exposure of one detector, and what is true of it.

    Attributes
    ----------
    visit, detector
        Which one.
    exposure
        As it comes from the telescope: counts with sky, NaN on bad columns; no mask, variance, PSF or calibration.
    truth
        The noise-free expectation's variance in squared counts, and the planes BAD, SAT, CR and STREAK; its image is
        that of ``exposure`` with the bad columns' counts.
    psf
        The true one.
    photo_calib
        What a count is worth.
    changes
        Objects that change and lie on the frame: see `diapipe.simulate.survey`.
    """

    visit: Visit
    detector: int
    exposure: Exposure
    truth: MaskedImage
    psf: MoffatFieldPsf
    photo_calib: PhotoCalib
    changes: Table


@dataclass(frozen=True, slots=True, eq=False)
class _Optics:
    """From the reference plane to the pixels of a detector."""

    map: PixelMap
    reference_box: Box
    box: Box
    dx: ChebyshevField
    dy: ChebyshevField

    @classmethod
    def of(cls, wcs: WCS, sky: SurveySky, visit: Visit, spec: SurveySpec, detector: int) -> _Optics:
        """Those of a visit, for positions up to the sky's margin outside the detector."""
        box = Box.from_shape((spec.height, spec.width))
        seen = box_around(outline_between(wcs, sky.wcs, box.dilated(SKY_MARGIN_PX)))
        assert seen is not None  # the optics map every pixel
        pixel_map = PixelMap.sampled(between(sky.wcs, wcs), seen, step=_MAP_STEP_PX)
        dx, dy = (on_detector(field, spec, detector) for field in (visit.dx, visit.dy))
        return cls(pixel_map, seen, box, dx, dy)

    def __call__(self, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Where reference positions fall; NaN for those far away."""
        near = self.reference_box.holds(x, y)
        column, row = np.full((2, len(x)), np.nan)
        u, v = self.map.at(x=x[near], y=y[near])
        column[near], row[near] = u + clamped_at(self.dx, x=u, y=v), v + clamped_at(self.dy, x=u, y=v)
        return column, row

    def points(self, points: Points) -> Points:
        """The sources that reach the frame, in its pixels."""
        x, y = self(points.x, points.y)
        near = self.box.dilated(SKY_MARGIN_PX).holds(x, y)
        return Points(x[near], y[near], points.flux[near], points.wing_flux[near])


def render(
    spec: SurveySpec,
    sky: SurveySky,
    visit: Visit,
    detector: int,
    *,
    rng: np.random.Generator,
    columns_rng: np.random.Generator,
) -> SurveyFrame:
    """Make the exposure of a detector.

    Parameters
    ----------
    spec, sky, visit, detector
        What is looked at, and how.
    rng
        Noise and cosmic rays.
    columns_rng
        Bad columns, the same in each visit of a detector.
    """
    wcs = visit.wcs(spec, detector)
    optics = _Optics.of(wcs, sky, visit, spec, detector)
    camera, psf = visit.camera(spec), psf_on_detector(visit.psf, spec, detector)
    frame = Frame(psf, camera, np.zeros((spec.height, spec.width), np.float32))
    frame.draw(optics.points(sky.constant[spec.bands.index(visit.band)]))
    for changing in (sky.transients, sky.variables, sky.movers):
        frame.draw(optics.points(_exposed(changing, visit, spec)))
    streak = _draw_trails(frame, visit, spec, detector)
    background = _add_sky_gradient(frame, visit, spec, detector)
    image, _ = read_out(
        frame.light, camera, background=background, unmasked_fraction=0.0, rng=rng, columns_rng=columns_rng
    )
    truth = MaskedImage.from_planes(image.image, mask=image.mask | streak, variance=image.variance)
    calib = PhotoCalib(visit.nanojansky_per_count(spec))
    return SurveyFrame(
        visit=visit,
        detector=detector,
        exposure=_exposure(truth, wcs, visit, spec, detector),
        truth=truth,
        psf=psf,
        photo_calib=calib,
        changes=_change_table(spec, sky, visit, detector, optics, wcs, psf, truth, calib),
    )


def _exposed(changing: Changing, visit: Visit, spec: SurveySpec) -> Points:
    """What changes, as points; on several places where it moves in the course of the exposure."""
    flux = changing.flux(spec.bands.index(visit.band), visit.mjd_midpoint)
    half = 0.5 * spec.exposure_time_s / 86_400.0
    places = [
        changing.position(visit.mjd_midpoint + half * t) for t in np.linspace(-1, 1, 2 * _EXPOSED_POINTS + 1)[1::2]
    ]
    x, y = np.stack(places, axis=1)
    there = flux > 0
    share = np.tile(flux[there] / _EXPOSED_POINTS, _EXPOSED_POINTS)
    return Points(x[:, there].ravel(), y[:, there].ravel(), share, np.tile(flux[there], _EXPOSED_POINTS))


def _draw_trails(frame: Frame, visit: Visit, spec: SurveySpec, detector: int) -> MaskArray:
    """Add satellites as dense rows of points; the plane STREAK along them."""
    at, mask = spec.detector_box(detector), np.zeros((spec.height, spec.width), np.int32)
    rows, columns = np.indices(mask.shape)
    for trail in visit.trails:
        x0, y0, x1, y1 = trail.x0 - at.x0, trail.y0 - at.y0, trail.x1 - at.x0, trail.y1 - at.y0
        frame.draw(_points_on(trail, x0, y0, x1, y1, step=_TRAIL_STEP * visit.fwhm_px))
        length = np.hypot(x1 - x0, y1 - y0)
        distance = np.abs((columns - x0) * (y1 - y0) - (rows - y0) * (x1 - x0)) / length
        mask[distance < _STREAK_FWHM * visit.fwhm_px] |= np.int32(MaskPlane.STREAK)
    return mask


def _points_on(trail: Trail, x0: float, y0: float, x1: float, y1: float, *, step: float) -> Points:
    """A line as points."""
    length = float(np.hypot(x1 - x0, y1 - y0))
    n = max(2, round(length / step))
    along = (np.arange(n) + 0.5) / n
    flux = np.full(n, trail.flux_per_px * length / n)
    return Points(x0 + along * (x1 - x0), y0 + along * (y1 - y0), flux, flux)


def _add_sky_gradient(frame: Frame, visit: Visit, spec: SurveySpec, detector: int) -> ChebyshevField:
    """Add what the sky has more here than in the middle of the focal plane; the level left to be added as counts."""
    camera, box = frame.camera, Box.from_shape(frame.light.shape)
    level = camera.sky_electrons / camera.electrons_per_count
    sky = on_detector(visit.sky, spec, detector)
    excess = (sky.over(box) - np.float32(level)) * np.float32(camera.electrons_per_count)
    np.add(frame.light, excess, out=frame.light)
    return ChebyshevField.constant(level, box)


def _exposure(truth: MaskedImage, wcs: WCS, visit: Visit, spec: SurveySpec, detector: int) -> Exposure:
    """What a file would hold."""
    bad = (truth.mask & MaskPlane.BAD) != 0
    pixels: Float32Array = np.where(bad, np.float32(np.nan), truth.image)
    return Exposure(
        name=f"visit {visit.id}, detector {detector}",
        masked_image=MaskedImage.from_planes(pixels, variance=1.0),
        has_variance=False,
        has_mask=False,
        wcs=wcs,
        info=ObservationInfo(
            visit=visit.id,
            detector=detector,
            band=visit.band,
            mjd_midpoint=visit.mjd_midpoint,
            exposure_time_s=spec.exposure_time_s,
            gain=spec.gain_electrons,
            read_noise=spec.read_noise_electrons,
            saturation=spec.full_well_electrons / spec.gain_electrons,
        ),
    )


def _change_table(
    spec: SurveySpec,
    sky: SurveySky,
    visit: Visit,
    detector: int,
    optics: _Optics,
    wcs: WCS,
    psf: MoffatFieldPsf,
    truth: MaskedImage,
    calib: PhotoCalib,
) -> Table:
    """Rows of all objects that change and lie on the frame, whether they are bright then or not."""
    changing = (sky.transients, sky.variables, sky.movers)
    kind = np.repeat(np.arange(len(KINDS)), [len(c.x) for c in changing])
    flux = np.concatenate([c.flux(spec.bands.index(visit.band), visit.mjd_midpoint) for c in changing])
    x_sky, y_sky = np.concatenate([np.stack(c.position(visit.mjd_midpoint)) for c in changing], axis=1)
    x, y = optics(x_sky, y_sky)
    there: BoolArray = truth.box.holds(x, y)
    ra, dec = icrs_of(sky.wcs, x_sky[there], y_sky[there])
    x, y, n = x[there], y[there], int(there.sum())
    error = np.sqrt(psf.flux_variance(truth.variance, x=x, y=y)) * calib.mean
    return Table(
        {
            "object_id": np.flatnonzero(there),
            "kind": np.array(KINDS)[kind[there]],
            "visit": np.full(n, visit.id),
            "detector": np.full(n, detector),
            "band": np.full(n, visit.band, dtype="U8"),
            "mjd": np.full(n, visit.mjd_midpoint),
            "ra": ra * units.deg,
            "dec": dec * units.deg,
            "x": x * units.pix,
            "y": y * units.pix,
            "flux": flux[there] * units.nJy,
            "flux_err": error * units.nJy,
            "mask": planes_around(truth.mask, truth.box, x=x, y=y, half=2),
        }
    )
