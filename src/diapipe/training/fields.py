"""Fields to learn from: pairs as unlike each other as cameras, nights and skies are, with known changes in them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from diapipe.images import Exposure
from diapipe.numerics.arrays import Float32Array, FloatArray
from diapipe.numerics.small_convolution import convolved_in_full
from diapipe.recipe import Recipe
from diapipe.simulate.pair import SimulatedPair, simulate_pair
from diapipe.simulate.spec import PairSpec
from diapipe.steps.inject import Injection
from diapipe.steps.match import AlardLupton
from diapipe.steps.subtract import Zogy

_SIDE_PX = 700
_PIXEL_ARCSEC = 0.2


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """A simulated pair, the images as they are to be differenced, and how."""

    pair: SimulatedPair
    science: Exposure
    template: Exposure
    recipe: Recipe


def random_field(rng: np.random.Generator) -> Field:
    """A field in which everything that may differ between cameras, nights and skies is drawn at random."""
    pair = simulate_pair(_random_spec(rng), rng=rng)
    science, template = pair.science, pair.template
    if rng.random() < 0.25:
        science = _with_trails(science, fwhm_px=pair.spec.science_fwhm_arcsec / _PIXEL_ARCSEC, rng=rng)
    if rng.random() < 0.5:
        science = _with_response(science, full_counts=pair.spec.full_well_electrons / pair.spec.gain_electrons, rng=rng)
    if rng.random() < 0.2:
        science = _smoothed(science, rng.uniform(0.05, 0.3))
    if rng.random() < 0.2:
        template = _smoothed(template, rng.uniform(0.05, 0.3))
    return Field(pair, science, template, _random_recipe(rng))


def _random_spec(rng: np.random.Generator) -> PairSpec:
    """A sky, two exposures of it, and how they differ."""
    fwhm_px = _log_uniform(rng, 2.2, 7.0)
    widths = _PIXEL_ARCSEC * np.maximum([fwhm_px, fwhm_px * _log_uniform(rng, 0.6, 1.5)], 2.0)
    return replace(
        PairSpec.small(_SIDE_PX),
        science_fwhm_arcsec=float(widths[0]),
        template_fwhm_arcsec=float(widths[1]),
        science_beta=float(rng.choice([2.0, 2.5, 3.0, 3.5, 4.5])),
        template_beta=float(rng.choice([2.0, 2.5, 3.0, 3.5, 4.5])),
        fwhm_variation=rng.uniform(0.0, 0.03),
        ellipticity=rng.uniform(0.0, 0.12),
        ellipticity_variation=rng.uniform(0.0, 0.02),
        **_random_sky(rng),
        **_random_exposures(rng),
        **_random_grid(rng),
    )


def _random_sky(rng: np.random.Generator) -> dict[str, Any]:
    """Numbers of everything, from a pole to a bulge."""
    return {
        "n_stars": _log_uniform(rng, 150, 2500),
        "star_count_slope": rng.uniform(0.15, 0.35),
        "star_brightest_mag": rng.uniform(12.5, 16.0),
        "n_galaxies": _log_uniform(rng, 30, 600),
        "variable_fraction": _log_uniform(rng, 0.02, 0.1),
        "variable_min_mag": 0.02,
        "variable_max_mag": 1.0,
        "n_transients": 40,
        "transient_max_snr": 100.0,
        "transient_host_fraction": 0.5,
        "host_faintest_mag": 25.0,
        "transient_negative_fraction": 0.4,
    }


def _random_exposures(rng: np.random.Generator) -> dict[str, Any]:
    """Noise, depth, defects."""
    return {
        "template_depth": float(rng.choice([1.0, 1.0, 3.0, 10.0, 30.0])),
        "template_flux_scale": _log_uniform(rng, 0.3, 3.0),
        "sky_counts": _log_uniform(rng, 50.0, 3000.0),
        "gain_electrons": _log_uniform(rng, 0.7, 4.0),
        "full_well_electrons": _log_uniform(rng, 60_000.0, 200_000.0),
        "background_residual_counts": rng.uniform(0.0, 4.0),
        "n_bad_columns": 1.5,
        "n_cosmic_rays": _log_uniform(rng, 5.0, 60.0),
        "cosmic_ray_unmasked_fraction": rng.uniform(0.1, 1.0),
    }


def _random_grid(rng: np.random.Generator) -> dict[str, Any]:
    """How the template lies on the science image, and what nobody knows of that."""
    known: dict[str, Any] = {"misregistration_px": _log_uniform(rng, 0.02, 0.25)}
    if rng.random() < 0.6:
        known["template_offset_px"] = (float(rng.uniform(-20, 20)), float(rng.uniform(-20, 20)))
        known["template_rotation_deg"] = float(rng.uniform(-5.0, 5.0))
    if rng.random() < 0.2:
        known["template_scale"] = float(rng.uniform(0.8, 1.2))
    return known


def _random_recipe(rng: np.random.Generator) -> Recipe:
    """The defaults mostly, sometimes another way; always with sources added that the simulation does not make."""
    added = Injection(
        area_fwhm2=rng.uniform(400.0, 5000.0),
        hosted=0.15,
        variable=0.35,
        trailed=0.35,
        faded=0.3,
        max_snr=float(rng.choice([100.0, 1000.0])),
        max_trail_fwhm=rng.uniform(2.0, 8.0),
        seed=int(rng.integers(2**31)),
    )
    recipe, way = Recipe(inject=added), rng.random()
    if way < 0.1:
        return replace(recipe, subtractor=Zogy())
    if way < 0.2:
        return replace(recipe, decorrelator=None)
    if way < 0.3:
        return replace(recipe, matcher=AlardLupton(spatial_order=0))
    return recipe


def _with_trails(exposure: Exposure, *, fwhm_px: float, rng: np.random.Generator) -> Exposure:
    """The exposure with trails of satellites right across it, some too faint to be masked."""
    planes = exposure.masked_image
    rows, columns = np.indices(planes.shape, dtype=np.float32)
    light: FloatArray = np.zeros(planes.shape)
    noise = float(np.median(np.sqrt(planes.variance)))
    for _ in range(int(rng.integers(1, 4))):
        turn, x, y = rng.uniform(0.0, np.pi), rng.uniform(0, planes.shape[1]), rng.uniform(0, planes.shape[0])
        off = (columns - x) * np.sin(turn) - (rows - y) * np.cos(turn)
        height = noise * _log_uniform(rng, 0.5, 30.0)
        light += height * np.exp(-0.5 * (off / (fwhm_px / 2.355)) ** 2)
    return replace(exposure, masked_image=replace(planes, image=(planes.image + light).astype(np.float32)))


def _with_response(exposure: Exposure, *, full_counts: float, rng: np.random.Generator) -> Exposure:
    """The exposure of a detector that is not quite linear, less its flat field, which is not quite right."""
    planes = exposure.masked_image
    bend, grain = rng.uniform(-0.03, 0.03), _log_uniform(rng, 5e-4, 5e-3)
    response = 1.0 + bend * np.maximum(planes.image, 0.0) / full_counts + rng.normal(0.0, grain, planes.shape)
    return replace(exposure, masked_image=replace(planes, image=(planes.image * response).astype(np.float32)))


def _smoothed(exposure: Exposure, share: float) -> Exposure:
    """The exposure after an interpolation that gives a share of each pixel to its neighbours: its noise correlates."""
    row = np.array([0.5 * share, 1.0 - share, 0.5 * share])
    kernel = np.outer(row, row).astype(np.float32)
    planes = exposure.masked_image

    def smooth(plane: Float32Array, by: Float32Array) -> Float32Array:
        return np.ascontiguousarray(convolved_in_full(np.pad(plane, 1, mode="edge"), by)[2:-2, 2:-2])

    variance = smooth(planes.variance, kernel**2)
    return replace(exposure, masked_image=replace(planes, image=smooth(planes.image, kernel), variance=variance))


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A number even in its logarithm."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
