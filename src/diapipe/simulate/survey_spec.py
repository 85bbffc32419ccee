"""SurveySpec: everything that can be chosen about a simulated survey."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

from diapipe.errors import UsageError
from diapipe.images import Box
from diapipe.simulate.spec import PER_AREA, SkySpec


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveySpec(SkySpec):
    """What a simulated survey is like. The defaults: two bands, five nights, four small detectors, one field.

    Each night sees the field once in every band. The first nights are for the template; a season later, transients are
    there. Numbers of stars and galaxies are those on one focal plane, of transients and moving objects those of the
    whole survey. What is in the sky is told by `SkySpec`, magnitudes in the first band; a flux of one is 1 nJy.

    Attributes
    ----------
    width, height
        Pixels of a detector.
    n_columns, n_rows, gap_px
        The mosaic: detectors along x and y of the focal plane, and pixels between them.
    bands
        Filters, one visit of each in a night.
    star_color_mag, galaxy_color_mag, transient_color_mag
        Mean magnitude in a band less that in the next, and its scatter.
    n_nights, n_template_nights
        Nights, and how many of them come before the pause.
    night_spacing_days, pause_days, visit_spacing_min
        From night to night, from the last night of the template to the next one, from visit to visit.
    first_mjd
        When it begins (TAI).
    center_ra_deg, center_dec_deg
        The field.
    dither_px, rotation_jitter_deg
        Largest offset of a pointing along either axis; the camera stands at a multiple of 90 degrees, give or take.
    distortion_px
        Outward, at the corner of the focal plane, as the third power of the radius.
    astrometric_rms_px
        Rms along either axis of what the WCS do not know, a smooth field over the focal plane.
    seeing_min_arcsec, seeing_max_arcsec
        FWHM of a visit, uniform between them.
    fwhm_variation, ellipticity, ellipticity_variation
        Over the focal plane: relative rms of the FWHM, mean reduced shear, rms of either component about it.
    sky_counts, sky_variation_mag, sky_gradient
        Median sky in a pixel, its scatter from visit to visit, its relative rms over the focal plane.
    count_zero_point_mag, extinction_max_mag
        AB magnitude of one count under a clear sky; clouds take up to this, uniform.
    gain_electrons, read_noise_electrons, full_well_electrons, exposure_time_s
        Electrons per count, Gaussian read noise, where a pixel overflows, length of a visit.
    n_bad_columns, n_cosmic_rays
        On a detector, the first for good; on an exposure.
    n_satellite_trails
        In all visits.
    flash_fraction
        Share of the transients that flare up on one night of the template instead.
    n_movers, mover_max_arcsec_per_hour
        Moving objects that cross the field on some night, and the fastest of them.
    variable_max_period_days
        Longest period of a variable star; the shortest is 0.2 days.

    Raises
    ------
    UsageError
        If a value cannot be used.
    """

    width: int = 580
    height: int = 580
    n_columns: int = 2
    n_rows: int = 2
    gap_px: int = 12
    bands: tuple[str, ...] = ("r", "i")
    star_color_mag: tuple[float, float] = (0.4, 0.3)
    galaxy_color_mag: tuple[float, float] = (0.3, 0.2)
    transient_color_mag: tuple[float, float] = (0.0, 0.2)
    n_nights: int = 5
    n_template_nights: int = 3
    night_spacing_days: float = 8.0
    pause_days: float = 320.0
    visit_spacing_min: float = 30.0
    first_mjd: float = 61_000.2
    center_ra_deg: float = 150.0
    center_dec_deg: float = 2.2
    dither_px: float = 12.0
    rotation_jitter_deg: float = 1.0
    distortion_px: float = 3.0
    astrometric_rms_px: float = 0.02
    seeing_min_arcsec: float = 0.75
    seeing_max_arcsec: float = 1.15
    fwhm_variation: float = 0.008
    ellipticity: float = 0.03
    ellipticity_variation: float = 0.006
    sky_counts: float = 470.0
    sky_variation_mag: float = 0.25
    sky_gradient: float = 0.01
    count_zero_point_mag: float = 31.0
    extinction_max_mag: float = 0.4
    gain_electrons: float = 1.6
    read_noise_electrons: float = 9.0
    full_well_electrons: float = 130_000.0
    exposure_time_s: float = 30.0
    n_bad_columns: float = 2.0
    n_cosmic_rays: float = 8.0
    n_satellite_trails: int = 3
    n_stars: float = 1300
    star_brightest_mag: float = 14.0
    n_galaxies: float = 700
    variable_fraction: float = 0.03
    variable_max_period_days: float = 30.0
    n_transients: float = 60
    transient_min_snr: float = 5.0
    transient_max_snr: float = 80.0
    flash_fraction: float = 0.15
    n_movers: int = 4
    mover_max_arcsec_per_hour: float = 40.0

    def __post_init__(self) -> None:
        for name in ("width", "height", "n_columns", "n_rows", "n_nights", "gain_electrons", "exposure_time_s"):
            if not getattr(self, name) > 0:
                raise UsageError(f"{name} is {getattr(self, name)}; a positive number is needed")
        if not self.bands or len(set(self.bands)) < len(self.bands):
            raise UsageError(f"bands are {self.bands}; one or more different ones are needed")
        if not 0 <= self.n_template_nights <= self.n_nights:
            raise UsageError(
                f"n_template_nights is {self.n_template_nights}; 0 to n_nights = {self.n_nights} is needed"
            )
        if not 0 < self.seeing_min_arcsec <= self.seeing_max_arcsec:
            raise UsageError(f"seeing from {self.seeing_min_arcsec} to {self.seeing_max_arcsec} arcsec is no range")

    @classmethod
    def small(cls, size: int, **changes: Any) -> Self:
        """Square detectors of this side: numbers of objects and cosmic rays as their area."""
        spec = cls()
        area = size * size / (spec.width * spec.height)
        counts = {name: getattr(spec, name) * area for name in PER_AREA}
        return replace(spec, width=size, height=size, **(counts | changes))

    @property
    def box(self) -> Box:
        """The focal plane, in its own pixels: (0, 0) is the boresight, gaps are counted."""
        width = self.n_columns * self.width + (self.n_columns - 1) * self.gap_px
        height = self.n_rows * self.height + (self.n_rows - 1) * self.gap_px
        x0, y0 = -(width // 2), -(height // 2)
        return Box(y0, y0 + height, x0, x0 + width)

    @property
    def n_detectors(self) -> int:
        """Detectors of the mosaic."""
        return self.n_columns * self.n_rows

    def detector_box(self, detector: int) -> Box:
        """Where a detector lies on the focal plane; they are numbered along x, then y, from 0."""
        row, column = divmod(detector, self.n_columns)
        x0 = self.box.x0 + column * (self.width + self.gap_px)
        y0 = self.box.y0 + row * (self.height + self.gap_px)
        return Box(y0, y0 + self.height, x0, x0 + self.width)
