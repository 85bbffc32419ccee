"""What is in the sky: stars, galaxies and their knots, in science pixels and science counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from diapipe.images import Box
from diapipe.numerics.arrays import BoolArray, FloatArray, IntArray
from diapipe.simulate.spec import SkySpec

GOLDEN_ANGLE = np.pi * (3.0 - np.sqrt(5.0))
_TRUNCATION = 5.0  # half-light radii
_RING_POWER = 0.8  # radius of the nth ring grows so; 1/2 would give rings of equal area, too coarse for a cusp


@dataclass(frozen=True, slots=True, eq=False)
class Stars:
    """Point sources: position, flux in the science image and in the template, both in science counts; shape (n,)."""

    x: FloatArray
    y: FloatArray
    mag: FloatArray
    flux: FloatArray
    template_flux: FloatArray
    is_variable: BoolArray


@dataclass(frozen=True, slots=True, eq=False)
class Galaxies:
    """Sérsic ellipses; shape (n,) each.

    Attributes
    ----------
    x, y, mag, flux
        Centre, AB magnitude, science counts.
    half_light_px
        Half-light radius along the major axis.
    axis_ratio, angle_rad
        Minor over major axis; major axis from x towards y.
    sersic_index
        1 for a disk, 4 for a spheroid.
    """

    x: FloatArray
    y: FloatArray
    mag: FloatArray
    flux: FloatArray
    half_light_px: FloatArray
    axis_ratio: FloatArray
    angle_rad: FloatArray
    sersic_index: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """What is drawn: positions, science counts, and the flux by which the radius of the wings is chosen; shape (n,)."""

    x: FloatArray
    y: FloatArray
    flux: FloatArray
    wing_flux: FloatArray


def random_stars(spec: SkySpec, sky: Box, *, rng: np.random.Generator) -> Stars:
    """Stars over ``sky``, magnitudes from the luminosity function, a few of them changed since the template."""
    n = _number(spec.n_stars, sky, spec)
    x, y = _uniform_positions(sky, n, rng)
    mag = power_law_magnitudes(
        n, brightest=spec.star_brightest_mag, faintest=spec.star_faintest_mag, slope=spec.star_count_slope, rng=rng
    )
    is_variable = rng.random(n) < spec.variable_fraction
    change = _log_uniform(n, spec.variable_min_mag, spec.variable_max_mag, rng) * rng.choice([-1.0, 1.0], n)
    template_mag = np.where(is_variable, mag - change, mag)
    return Stars(x, y, mag, counts(mag, spec), counts(template_mag, spec), is_variable)


def random_galaxies(spec: SkySpec, sky: Box, *, rng: np.random.Generator) -> Galaxies:
    """Disks (80%) and spheroids over ``sky``, with a median half-light radius of 0.5" at mag 22, 0.8" at mag 20."""
    n = _number(spec.n_galaxies, sky, spec)
    x, y = _uniform_positions(sky, n, rng)
    mag = power_law_magnitudes(
        n,
        brightest=spec.galaxy_brightest_mag,
        faintest=spec.galaxy_faintest_mag,
        slope=spec.galaxy_count_slope,
        rng=rng,
    )
    radius_arcsec = np.clip(0.5 * 10.0 ** (-0.1 * (mag - 22.0)) * np.exp(0.25 * rng.standard_normal(n)), 0.1, 6.0)
    return Galaxies(
        x=x,
        y=y,
        mag=mag,
        flux=counts(mag, spec),
        half_light_px=radius_arcsec / spec.pixel_scale_arcsec,
        axis_ratio=rng.uniform(0.3, 1.0, n),
        angle_rad=rng.uniform(0.0, np.pi, n),
        sersic_index=np.where(rng.random(n) < 0.8, 1.0, 4.0),
    )


def power_law_magnitudes(
    n: int, *, brightest: float, faintest: float, slope: float, rng: np.random.Generator
) -> FloatArray:
    """Magnitudes whose number per magnitude grows as 10^(slope m)."""
    low, high = 10.0 ** (slope * brightest), 10.0 ** (slope * faintest)
    return np.asarray(np.log10(low + (high - low) * rng.random(n)) / slope, dtype=np.float64)


def counts(mag: FloatArray, spec: SkySpec) -> FloatArray:
    """Science counts of a magnitude."""
    return np.asarray(10.0 ** (0.4 * (spec.zero_point_mag - mag)), dtype=np.float64)


def galaxy_knots(galaxies: Galaxies, *, spacing_px: float) -> Points:
    """Point sources that make up the galaxies, so that either image's PSF acts on exactly the same sky.

    A profile, which ends at five half-light radii, is cut into rings, finer towards the centre; four knots a ring carry
    its flux at the radius of its second moment, turned by the golden angle from ring to ring (a fourfold spiral of
    Vogel 1979). So each ring has its exact flux and second moments, and through a PSF the galaxy is smooth.

    Parameters
    ----------
    galaxies
        What to trace, n of them.
    spacing_px
        Square root of the area that a knot stands for on average.
    """
    edge = _TRUNCATION * galaxies.half_light_px
    n_rings = np.maximum(np.rint(np.pi * galaxies.axis_ratio * (edge / spacing_px) ** 2 / 4.0), 4).astype(np.int64)
    owner = np.repeat(np.arange(len(n_rings)), n_rings)
    ring = np.arange(len(owner)) - np.repeat(np.cumsum(n_rings) - n_rings, n_rings)
    index, n = galaxies.sersic_index[owner], n_rings[owner]
    inner, outer = (_TRUNCATION * (i / n) ** _RING_POWER for i in (ring, ring + 1))
    share = sersic_share(outer, index) - sersic_share(inner, index)
    moment = sersic_second_moment(outer, index) - sersic_second_moment(inner, index)
    radius = galaxies.half_light_px[owner] * np.sqrt(moment / share)
    flux = 0.25 * galaxies.flux[owner] * share / sersic_share(np.full(len(n), _TRUNCATION), index)
    azimuth = 0.25 * GOLDEN_ANGLE * ring + 0.5 * np.pi * np.arange(4)[:, None]
    x, y = _on_ellipse(galaxies, owner, radius * np.cos(azimuth), radius * np.sin(azimuth))
    return Points(x.ravel(), y.ravel(), np.tile(flux, 4), np.tile(galaxies.flux[owner], 4))


def inside_half_light(
    galaxies: Galaxies, chosen: IntArray, *, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Positions drawn uniformly over the half-light ellipses of the chosen galaxies, off their centres."""
    radius = np.sqrt(rng.uniform(0.05, 1.0, len(chosen))) * galaxies.half_light_px[chosen]
    azimuth = rng.uniform(0.0, 2.0 * np.pi, len(chosen))
    return _on_ellipse(galaxies, chosen, radius * np.cos(azimuth), radius * np.sin(azimuth))


def sersic_share(radius: FloatArray, index: FloatArray) -> FloatArray:
    """Share of a Sérsic profile's flux within a radius given in half-light radii (Ciotti 1991): P(2n, b_n r^(1/n))."""
    scale = special.gammaincinv(2.0 * index, 0.5)
    return np.asarray(special.gammainc(2.0 * index, scale * radius ** (1.0 / index)), dtype=np.float64)


def sersic_second_moment(radius: FloatArray, index: FloatArray) -> FloatArray:
    """∫ r² dF of a Sérsic profile of unit flux up to a radius, in half-light radii: Γ(4n)/Γ(2n) b_n^(-2n) P(4n, .)."""
    scale = special.gammaincinv(2.0 * index, 0.5)
    total = np.exp(special.gammaln(4.0 * index) - special.gammaln(2.0 * index)) * scale ** (-2.0 * index)
    return np.asarray(total * special.gammainc(4.0 * index, scale * radius ** (1.0 / index)), dtype=np.float64)


def _on_ellipse(
    galaxies: Galaxies, owner: IntArray, major: FloatArray, minor: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Positions of points given on the unit circle's axes: squeezed, turned and moved to their galaxies."""
    minor = minor * galaxies.axis_ratio[owner]
    cosine, sine = np.cos(galaxies.angle_rad[owner]), np.sin(galaxies.angle_rad[owner])
    return (
        galaxies.x[owner] + cosine * major - sine * minor,
        galaxies.y[owner] + sine * major + cosine * minor,
    )


def _number(on_frame: float, sky: Box, spec: SkySpec) -> int:
    """Sources over ``sky`` for a number on the science frame."""
    return round(on_frame * sky.area / spec.box.area)


def _uniform_positions(box: Box, n: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Positions anywhere on the pixels of a box."""
    return rng.uniform(box.x0 - 0.5, box.x1 - 0.5, n), rng.uniform(box.y0 - 0.5, box.y1 - 0.5, n)


def _log_uniform(n: int, low: float, high: float, rng: np.random.Generator) -> FloatArray:
    """Numbers whose logarithm is uniform."""
    return np.exp(rng.uniform(np.log(low), np.log(high), n))
