"""What is in the sky: stars, galaxies and their knots, in science pixels and science counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from diapipe.images import Box
from diapipe.numerics.arrays import BoolArray, FloatArray, IntArray
from diapipe.simulate.spec import PairSpec

GOLDEN_ANGLE = np.pi * (3.0 - np.sqrt(5.0))
_OUTERMOST = 0.98  # share of a Sérsic profile's flux that its knots trace; the rest is spread over the same knots


@dataclass(frozen=True, slots=True, eq=False)
class Stars:
    """Point sources: position, flux in the science image and in the template (both in science counts); shape (n,) each."""

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
    """What is drawn: point sources in science pixels and science counts, and the flux that governs how far wings are drawn."""

    x: FloatArray
    y: FloatArray
    flux: FloatArray
    wing_flux: FloatArray


def random_stars(spec: PairSpec, sky: Box, *, rng: np.random.Generator) -> Stars:
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


def random_galaxies(spec: PairSpec, sky: Box, *, rng: np.random.Generator) -> Galaxies:
    """Disks (80%) and spheroids over ``sky``; the median half-light radius is 0.5" at mag 22 and grows with brightness."""
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


def counts(mag: FloatArray, spec: PairSpec) -> FloatArray:
    """Science counts of a magnitude."""
    return np.asarray(10.0 ** (0.4 * (spec.zero_point_mag - mag)), dtype=np.float64)


def galaxy_knots(galaxies: Galaxies) -> Points:
    """Point sources that make up the galaxies, so that either image's PSF acts on exactly the same sky.

    The knots of a galaxy have equal flux and lie on a Fermat spiral (Vogel 1979) whose radii are the quantiles of the Sérsic
    profile: smooth without noise. Their number grows with the area, so that they stay closer than a PSF.
    """
    n_knots = np.clip(np.rint(2.0 * galaxies.half_light_px**2), 16, 600).astype(np.int64)
    owner = np.repeat(np.arange(len(n_knots)), n_knots)
    rank = np.arange(len(owner)) - np.repeat(np.cumsum(n_knots) - n_knots, n_knots)
    quantile = _OUTERMOST * (rank + 0.5) / n_knots[owner]
    index = galaxies.sersic_index[owner]
    radius = sersic_radius(quantile, index) * galaxies.half_light_px[owner]
    azimuth = GOLDEN_ANGLE * rank
    x, y = _on_ellipse(galaxies, owner, radius * np.cos(azimuth), radius * np.sin(azimuth))
    return Points(x, y, galaxies.flux[owner] / n_knots[owner], galaxies.flux[owner])


def inside_half_light(
    galaxies: Galaxies, chosen: IntArray, *, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Positions drawn uniformly over the half-light ellipses of the chosen galaxies, off their centres."""
    radius = np.sqrt(rng.uniform(0.05, 1.0, len(chosen))) * galaxies.half_light_px[chosen]
    azimuth = rng.uniform(0.0, 2.0 * np.pi, len(chosen))
    return _on_ellipse(galaxies, chosen, radius * np.cos(azimuth), radius * np.sin(azimuth))


def sersic_radius(quantile: FloatArray, index: FloatArray) -> FloatArray:
    """Radius, in half-light radii, that holds a share of a Sérsic profile's flux (Ciotti 1991): (γ⁻¹(2n, q) / b_n)^n."""
    scale = special.gammaincinv(2.0 * index, 0.5)
    return np.asarray((special.gammaincinv(2.0 * index, quantile) / scale) ** index, dtype=np.float64)


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


def _number(on_frame: float, sky: Box, spec: PairSpec) -> int:
    """Sources over ``sky`` for a number on the science frame."""
    return round(on_frame * sky.area / spec.box.area)


def _uniform_positions(box: Box, n: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Positions anywhere on the pixels of a box."""
    return rng.uniform(box.x0 - 0.5, box.x1 - 0.5, n), rng.uniform(box.y0 - 0.5, box.y1 - 0.5, n)


def _log_uniform(n: int, low: float, high: float, rng: np.random.Generator) -> FloatArray:
    """Numbers whose logarithm is uniform."""
    return np.exp(rng.uniform(np.log(low), np.log(high), n))
