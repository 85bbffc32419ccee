"""Visits of a simulated survey: when, where to, through what air and optics."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from astropy.wcs import WCS, Sip

from diapipe.images import Box, ChebyshevField
from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.sphere import from_tangent_plane
from diapipe.simulate.detector import Camera
from diapipe.simulate.moffat import MoffatFieldPsf
from diapipe.simulate.smooth_fields import smooth_field
from diapipe.simulate.survey_spec import SurveySpec

_BETAS = (3.0, 3.5)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trail:
    """A satellite's trail: a straight line across the focal plane, flux in nJy for each pixel of its length."""

    x0: float
    y0: float
    x1: float
    y1: float
    flux_per_px: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Visit:
    """One exposure of the camera. Fields and the PSF are over the focal plane, in its pixels.

    Attributes
    ----------
    id, night, band, mjd_midpoint
        Number from 1, night from 0, filter, middle of the exposure (TAI).
    is_for_template
        Before the pause: a template of such visits holds no transient but the flashes.
    ra_deg, dec_deg, rotation_deg
        Boresight, and by how much the focal plane's y axis is turned from north through east.
    fwhm_px, psf
        Mean seeing, and the true PSF.
    dx, dy
        What is added to the place that the WCS give.
    sky
        Counts in a pixel.
    zero_point_mag
        AB magnitude of one count.
    trails
        Satellites.
    """

    id: int
    night: int
    band: str
    mjd_midpoint: float
    is_for_template: bool
    ra_deg: float
    dec_deg: float
    rotation_deg: float
    fwhm_px: float
    psf: MoffatFieldPsf
    dx: ChebyshevField
    dy: ChebyshevField
    sky: ChebyshevField
    zero_point_mag: float
    trails: tuple[Trail, ...]

    def nanojansky_per_count(self, spec: SurveySpec) -> float:
        """What a count is worth."""
        return float(10.0 ** (0.4 * (spec.zero_point_mag - self.zero_point_mag)))

    def camera(self, spec: SurveySpec) -> Camera:
        """What a detector does to light in this visit; its science count is 1 nJy."""
        middle = self.sky.box
        sky_counts = float(self.sky.at(x=middle.x_center, y=middle.y_center))
        return Camera(
            electrons_per_science_count=spec.gain_electrons / self.nanojansky_per_count(spec),
            electrons_per_count=spec.gain_electrons,
            sky_electrons=sky_counts * spec.gain_electrons,
            read_noise_electrons=spec.read_noise_electrons,
            full_well_electrons=spec.full_well_electrons,
            n_cosmic_rays=spec.n_cosmic_rays,
            n_bad_columns=spec.n_bad_columns,
        )

    def wcs(self, spec: SurveySpec, detector: int) -> WCS:
        """TAN-SIP of a detector, whose reference pixel is the boresight; u (1 + k r²) is exactly what the optics do."""
        box = spec.detector_box(detector)
        turn = np.deg2rad(self.rotation_deg)
        north_up = np.diag([-1.0, 1.0]) * spec.pixel_scale_arcsec / 3600.0
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        wcs = WCS(naxis=2)
        wcs.wcs.ctype, wcs.wcs.cunit = ["RA---TAN-SIP", "DEC--TAN-SIP"], ["deg", "deg"]
        wcs.wcs.radesys = "ICRS"
        wcs.wcs.crval = [self.ra_deg, self.dec_deg]
        wcs.wcs.crpix = np.array([1.0 - box.x0, 1.0 - box.y0])
        wcs.wcs.cd = north_up @ rotation
        a, b = np.zeros((4, 4)), np.zeros((4, 4))
        a[3, 0] = a[1, 2] = b[0, 3] = b[2, 1] = -spec.distortion_px / _corner_px(spec) ** 3
        wcs.sip = Sip(a, b, None, None, wcs.wcs.crpix)
        wcs.wcs.set()
        return wcs


def random_visits(spec: SurveySpec, *, rng: np.random.Generator) -> tuple[Visit, ...]:
    """The visits of a survey, in order of time."""
    pointing_rng, air_rng, trail_rng = rng.spawn(3)
    n_bands = len(spec.bands)
    trail_visits = trail_rng.integers(spec.n_nights * n_bands, size=spec.n_satellite_trails)
    visits = []
    for night in range(spec.n_nights):
        for of_night, band in enumerate(spec.bands):
            index = night * n_bands + of_night
            visit = _random_visit(spec, index + 1, night, band, _mjd(spec, night, of_night), pointing_rng, air_rng)
            trails = tuple(_random_trail(spec, visit, trail_rng) for _ in range(int((trail_visits == index).sum())))
            visits.append(replace(visit, trails=trails))
    return tuple(visits)


def on_detector(field: ChebyshevField, spec: SurveySpec, detector: int) -> ChebyshevField:
    """A field over the focal plane, for positions in pixels of a detector."""
    box, at = field.box, spec.detector_box(detector)
    return ChebyshevField(field.coefficients, Box(box.y0 - at.y0, box.y1 - at.y0, box.x0 - at.x0, box.x1 - at.x0))


def psf_on_detector(psf: MoffatFieldPsf, spec: SurveySpec, detector: int) -> MoffatFieldPsf:
    """A PSF over the focal plane, for positions in pixels of a detector."""
    fwhm_px, g1, g2 = (on_detector(field, spec, detector) for field in (psf.fwhm_px, psf.g1, psf.g2))
    return replace(psf, fwhm_px=fwhm_px, g1=g1, g2=g2)


def _random_visit(
    spec: SurveySpec,
    id: int,
    night: int,
    band: str,
    mjd: float,
    pointing_rng: np.random.Generator,
    air_rng: np.random.Generator,
) -> Visit:
    """A visit without trails."""
    ra, dec, rotation = _random_pointing(spec, pointing_rng)
    fwhm_px = air_rng.uniform(spec.seeing_min_arcsec, spec.seeing_max_arcsec) / spec.pixel_scale_arcsec
    sky = spec.sky_counts * 10.0 ** (0.4 * spec.sky_variation_mag * float(air_rng.standard_normal()))
    return Visit(
        id=id,
        night=night,
        band=band,
        mjd_midpoint=mjd,
        is_for_template=night < spec.n_template_nights,
        ra_deg=ra,
        dec_deg=dec,
        rotation_deg=rotation,
        fwhm_px=fwhm_px,
        psf=MoffatFieldPsf.random(
            spec.box,
            beta=float(air_rng.choice(_BETAS)),
            fwhm_px=fwhm_px,
            fwhm_variation=spec.fwhm_variation,
            ellipticity=spec.ellipticity,
            ellipticity_variation=spec.ellipticity_variation,
            rng=air_rng,
        ),
        dx=smooth_field(spec.box, rms=spec.astrometric_rms_px, rng=air_rng),
        dy=smooth_field(spec.box, rms=spec.astrometric_rms_px, rng=air_rng),
        sky=smooth_field(spec.box, mean=sky, rms=spec.sky_gradient * sky, rng=air_rng),
        zero_point_mag=spec.count_zero_point_mag - air_rng.uniform(0.0, spec.extinction_max_mag),
        trails=(),
    )


def _random_pointing(spec: SurveySpec, rng: np.random.Generator) -> tuple[float, float, float]:
    """Right ascension, declination and rotation in degrees."""
    offset = rng.uniform(-spec.dither_px, spec.dither_px, 2) * spec.pixel_scale_arcsec / 3600.0
    rotation = 90.0 * rng.integers(4) + rng.uniform(-spec.rotation_jitter_deg, spec.rotation_jitter_deg)
    ra, dec = from_tangent_plane(offset, np.array([spec.center_ra_deg, spec.center_dec_deg]))
    return float(ra), float(dec), float(rotation % 360.0)


def _mjd(spec: SurveySpec, night: int, of_night: int) -> float:
    """Middle of an exposure."""
    later = max(0, night - spec.n_template_nights + 1) if spec.n_template_nights else 0
    days = night * spec.night_spacing_days + (spec.pause_days - spec.night_spacing_days if later else 0.0)
    return spec.first_mjd + days + of_night * spec.visit_spacing_min / 1440.0


def _random_trail(spec: SurveySpec, visit: Visit, rng: np.random.Generator) -> Trail:
    """A line from side to side of the focal plane, 3 to 30 times as bright as the noise of a pixel on its crest."""
    box, angle = spec.box, rng.uniform(0.0, np.pi)
    along = np.array([np.cos(angle), np.sin(angle)])
    middle = rng.uniform(-0.3, 0.3, 2) * np.array([box.width, box.height])
    start, end = middle - 2.0 * _corner_px(spec) * along, middle + 2.0 * _corner_px(spec) * along
    camera = visit.camera(spec)
    noise = camera.sky_sigma_electrons / camera.electrons_per_science_count
    flux = np.exp(rng.uniform(np.log(3.0), np.log(30.0))) * noise * visit.fwhm_px
    return Trail(x0=start[0], y0=start[1], x1=end[0], y1=end[1], flux_per_px=float(flux))


def _corner_px(spec: SurveySpec) -> float:
    """From the boresight to the corner of the focal plane."""
    return float(np.hypot(0.5 * spec.box.width, 0.5 * spec.box.height))


def outline_of(spec: SurveySpec) -> FloatArray:
    """Corners of the detectors on the focal plane, shape (4 n_detectors, 2)."""
    boxes = [spec.detector_box(detector) for detector in range(spec.n_detectors)]
    return np.array([[x, y] for box in boxes for x in (box.x0, box.x1) for y in (box.y0, box.y1)], dtype=np.float64)
