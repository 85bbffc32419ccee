"""The sky of a simulated survey: one catalogue on a tangent plane, from which every exposure is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from astropy.wcs import WCS

from diapipe.images import Box
from diapipe.images.psf import SIGMA_TO_FWHM
from diapipe.images.sky import icrs_of, pixels_of_icrs
from diapipe.numerics.arrays import FloatArray
from diapipe.simulate.changes import apart, flux_of_snr
from diapipe.simulate.light_curves import Movers, Transients, Variables
from diapipe.simulate.population import (
    Galaxies,
    Points,
    Stars,
    galaxy_knots,
    inside_half_light,
    power_law_magnitudes,
    random_galaxies,
    random_stars,
)
from diapipe.simulate.survey_spec import SurveySpec
from diapipe.simulate.survey_visits import Visit, outline_of

SKY_MARGIN_PX = 100
"""The sky has sources this far outside every exposure, so that their wings reach in."""
_KNOT_SPACING = 0.6  # of the sharpest seeing's FWHM, as for pairs
_RISE_DAYS, _FADE_DAYS = (3.0, 8.0), (10.0, 30.0)
_FLASH_DAYS = 0.05
_MOVER_MAG = (19.0, 23.0)
_MIN_PERIOD_DAYS = 0.2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SurveySky:
    """Everything in the sky. Positions are pixels of the reference plane; fluxes are nJy, in each band where a tuple.

    Attributes
    ----------
    wcs
        Of the reference plane: TAN, north up, 0-based, its origin the middle of the field.
    box
        Where there are sources.
    stars, star_flux
        All stars, the variable ones at their mean.
    galaxies, galaxy_flux
        All galaxies.
    constant
        Constant stars and galaxies as points to be drawn.
    transients, variables, movers
        What changes; ``variables`` are the stars that have ``is_variable``, in their order.
    """

    wcs: WCS
    box: Box
    stars: Stars
    star_flux: tuple[FloatArray, ...]
    galaxies: Galaxies
    galaxy_flux: tuple[FloatArray, ...]
    constant: tuple[Points, ...]
    transients: Transients
    variables: Variables
    movers: Movers


def random_sky(spec: SurveySpec, visits: Sequence[Visit], *, rng: np.random.Generator) -> SurveySky:
    """The sky that a survey's visits look at."""
    sky_rng, color_rng, transient_rng, variable_rng, mover_rng = rng.spawn(5)
    wcs = reference_wcs(spec)
    box = _seen_box(spec, visits, wcs).dilated(SKY_MARGIN_PX)
    stars, galaxies = random_stars(spec, box, rng=sky_rng), random_galaxies(spec, box, rng=sky_rng)
    star_flux = _in_bands(stars.flux, spec.star_color_mag, spec, color_rng)
    galaxy_flux = _in_bands(galaxies.flux, spec.galaxy_color_mag, spec, color_rng)
    inside = box.dilated(-SKY_MARGIN_PX)
    return SurveySky(
        wcs=wcs,
        box=box,
        stars=stars,
        star_flux=star_flux,
        galaxies=galaxies,
        galaxy_flux=galaxy_flux,
        constant=tuple(
            _points(stars, star, galaxies, galaxy, visits) for star, galaxy in zip(star_flux, galaxy_flux, strict=True)
        ),
        transients=_random_transients(spec, visits, galaxies, inside, transient_rng),
        variables=_random_variables(spec, stars, star_flux, variable_rng),
        movers=_random_movers(spec, visits, inside, mover_rng),
    )


def reference_wcs(spec: SurveySpec) -> WCS:
    """TAN about the middle of the field, which is pixel (0, 0)."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cunit = ["RA---TAN", "DEC--TAN"], ["deg", "deg"]
    wcs.wcs.radesys = "ICRS"
    wcs.wcs.crval, wcs.wcs.crpix = [spec.center_ra_deg, spec.center_dec_deg], [1.0, 1.0]
    wcs.wcs.cd = np.diag([-1.0, 1.0]) * spec.pixel_scale_arcsec / 3600.0
    wcs.wcs.set()
    return wcs


def _seen_box(spec: SurveySpec, visits: Sequence[Visit], wcs: WCS) -> Box:
    """Reference pixels that hold all exposures."""
    x, y = outline_of(spec).T
    first = spec.detector_box(0)
    places = [np.stack(pixels_of_icrs(wcs, *icrs_of(v.wcs(spec, 0), x - first.x0, y - first.y0))) for v in visits]
    low, high = np.floor(np.min(places, axis=(0, 2))), np.ceil(np.max(places, axis=(0, 2)))
    return Box(int(low[1]), int(high[1]) + 1, int(low[0]), int(high[0]) + 1)


def _in_bands(
    flux: FloatArray, color: tuple[float, float], spec: SurveySpec, rng: np.random.Generator
) -> tuple[FloatArray, ...]:
    """Fluxes in every band of sources whose flux in the first is given; one colour index a source."""
    index = color[0] + color[1] * rng.standard_normal(len(flux))
    return tuple(np.asarray(flux * 10.0 ** (0.4 * index * band)) for band in range(len(spec.bands)))


def _points(
    stars: Stars, star_flux: FloatArray, galaxies: Galaxies, galaxy_flux: FloatArray, visits: Sequence[Visit]
) -> Points:
    """Constant stars, and galaxies as knots, in one band."""
    spacing = _KNOT_SPACING * min(visit.fwhm_px for visit in visits)
    knots = galaxy_knots(replace(galaxies, flux=galaxy_flux), spacing_px=spacing)
    constant = ~stars.is_variable
    return Points(
        x=np.concatenate([stars.x[constant], knots.x]),
        y=np.concatenate([stars.y[constant], knots.y]),
        flux=np.concatenate([star_flux[constant], knots.flux]),
        wing_flux=np.concatenate([star_flux[constant], knots.wing_flux]),
    )


def _random_transients(
    spec: SurveySpec, visits: Sequence[Visit], galaxies: Galaxies, inside: Box, rng: np.random.Generator
) -> Transients:
    """Transients that peak about the last nights, and flashes on one night of the template."""
    x, y, on_host = _places(spec, galaxies, inside, rng)
    n = len(x)
    late = [v.mjd_midpoint for v in visits if not v.is_for_template] or [visits[-1].mjd_midpoint]
    early = [v.mjd_midpoint for v in visits if v.is_for_template]
    is_flash = np.zeros(n, np.bool_)
    if early:
        is_flash[rng.permutation(n)[: round(spec.flash_fraction * n)]] = True
    nights = np.array(sorted({v.night for v in visits if v.is_for_template}) or [0])
    mean_of_night = np.array([np.mean([v.mjd_midpoint for v in visits if v.night == night] or [0]) for night in nights])
    snr = np.exp(rng.uniform(np.log(spec.transient_min_snr), np.log(spec.transient_max_snr), n))
    peak_mjd = rng.uniform(min(late) - 5.0, max(late) + 2.0, n)
    return Transients(
        x=x,
        y=y,
        peak_flux=np.stack(_in_bands(_flux_of(snr, spec, visits), spec.transient_color_mag, spec, rng)),
        peak_mjd=np.where(is_flash, rng.choice(mean_of_night, n), peak_mjd),
        rise_days=np.where(is_flash, _FLASH_DAYS, rng.uniform(*_RISE_DAYS, n)),
        fade_days=np.where(is_flash, _FLASH_DAYS, rng.uniform(*_FADE_DAYS, n)),
        on_host=on_host,
        is_flash=is_flash,
    )


def _flux_of(snr: FloatArray, spec: SurveySpec, visits: Sequence[Visit]) -> FloatArray:
    """Flux in nJy for a signal-to-noise in a single, typical visit."""
    typical = sorted(visits, key=lambda visit: visit.fwhm_px)[len(visits) // 2]
    camera = typical.camera(spec)
    noise = camera.sky_sigma_electrons / camera.electrons_per_science_count
    # of a Gaussian of this width; a Moffat needs a little more
    area_px = 4.0 * np.pi * (typical.fwhm_px / SIGMA_TO_FWHM) ** 2
    return flux_of_snr(
        snr,
        flux_variance=np.full(len(snr), noise**2 * area_px),
        photons_per_count=np.full(len(snr), camera.electrons_per_science_count),
        beta=typical.psf.beta,
    )


def _places(
    spec: SurveySpec, galaxies: Galaxies, inside: Box, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """Places of transients, apart from each other: first those on hosts, then those in the field."""
    n_all = round(spec.n_transients)
    bright = rng.permutation(np.flatnonzero(galaxies.mag < spec.host_faintest_mag))
    hosted = np.stack(inside_half_light(galaxies, bright, rng=rng))
    hosted = hosted[:, _inside(inside, *hosted)][:, : round(spec.transient_host_fraction * n_all)]
    field = np.stack(
        [rng.uniform(inside.x0, inside.x1, 20 * (n_all + 1)), rng.uniform(inside.y0, inside.y1, 20 * (n_all + 1))]
    )
    x, y = np.concatenate([hosted, field], axis=1)
    kept = np.flatnonzero(apart(x, y))[:n_all]
    return x[kept], y[kept], kept < hosted.shape[1]


def _inside(box: Box, x: FloatArray, y: FloatArray) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Whether positions lie in a box."""
    return np.asarray((x >= box.x0) & (x < box.x1) & (y >= box.y0) & (y < box.y1))


def _random_variables(
    spec: SurveySpec, stars: Stars, star_flux: tuple[FloatArray, ...], rng: np.random.Generator
) -> Variables:
    """The stars that vary, each band's amplitude a little smaller than the last's."""
    which = stars.is_variable
    n = int(which.sum())
    amplitude = np.exp(rng.uniform(np.log(spec.variable_min_mag), np.log(spec.variable_max_mag), n))
    period = np.exp(rng.uniform(np.log(_MIN_PERIOD_DAYS), np.log(spec.variable_max_period_days), n))
    return Variables(
        x=stars.x[which],
        y=stars.y[which],
        mean_flux=np.stack([flux[which] for flux in star_flux]),
        amplitude_mag=np.stack([amplitude * 0.8**band for band in range(len(spec.bands))]),
        period_days=period,
        phase=rng.uniform(0.0, 2.0 * np.pi, n),
    )


def _random_movers(spec: SurveySpec, visits: Sequence[Visit], inside: Box, rng: np.random.Generator) -> Movers:
    """Objects that are in the field on some night."""
    n = spec.n_movers
    night = rng.choice([visit.mjd_midpoint for visit in visits], n)
    speed = rng.uniform(0.2, 1.0, n) * spec.mover_max_arcsec_per_hour * 24.0 / spec.pixel_scale_arcsec
    angle = rng.uniform(0.0, 2.0 * np.pi, n)
    mag = power_law_magnitudes(n, brightest=_MOVER_MAG[0], faintest=_MOVER_MAG[1], slope=0.3, rng=rng)
    flux = 10.0 ** (0.4 * (spec.zero_point_mag - mag))
    return Movers(
        x=rng.uniform(inside.x0, inside.x1, n),
        y=rng.uniform(inside.y0, inside.y1, n),
        mjd=np.asarray(night, dtype=np.float64),
        x_per_day=speed * np.cos(angle),
        y_per_day=speed * np.sin(angle),
        constant_flux=np.stack(_in_bands(flux, spec.star_color_mag, spec, rng)),
    )
