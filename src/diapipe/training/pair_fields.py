"""Pairs to learn from: two exposures, or one and a template that is a deeper one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from diapipe.simulate.pair import SimulatedPair, simulate_pair
from diapipe.simulate.spec import PairSpec
from diapipe.training.draws import BETAS, PIXEL_ARCSEC, SIDE_PX, log_uniform, random_ellipticity, random_sky


def random_pair(rng: np.random.Generator) -> SimulatedPair:
    """A sky, two exposures of it, and how they differ."""
    fwhm_px = log_uniform(rng, 2.2, 8.0)
    widths = PIXEL_ARCSEC * np.maximum([fwhm_px, fwhm_px * log_uniform(rng, 0.6, 1.5)], 2.0)
    spec = replace(
        PairSpec.small(SIDE_PX),
        science_fwhm_arcsec=float(widths[0]),
        template_fwhm_arcsec=float(widths[1]),
        science_beta=float(rng.choice(BETAS)),
        template_beta=float(rng.choice(BETAS)),
        fwhm_variation=rng.uniform(0.0, 0.03),
        ellipticity=random_ellipticity(rng),
        ellipticity_variation=rng.uniform(0.0, 0.02),
        **random_sky(rng),
        **_random_changes(rng),
        **_random_exposures(rng),
        **_random_grid(rng),
    )
    return simulate_pair(spec, rng=rng)


def _random_changes(rng: np.random.Generator) -> dict[str, Any]:
    """What is new, what varies."""
    return {
        "variable_fraction": log_uniform(rng, 0.02, 0.1),
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
        "template_flux_scale": log_uniform(rng, 0.3, 3.0),
        "sky_counts": log_uniform(rng, 50.0, 3000.0),
        "gain_electrons": log_uniform(rng, 0.7, 4.0),
        "full_well_electrons": log_uniform(rng, 60_000.0, 200_000.0),
        "background_residual_counts": rng.uniform(0.0, 4.0),
        "n_bad_columns": 1.5,
        "n_cosmic_rays": log_uniform(rng, 5.0, 60.0),
        "cosmic_ray_unmasked_fraction": rng.uniform(0.1, 1.0),
    }


def _random_grid(rng: np.random.Generator) -> dict[str, Any]:
    """How the template lies on the science image, and what nobody knows of that."""
    known: dict[str, Any] = {"misregistration_px": log_uniform(rng, 0.02, 0.25)}
    if rng.random() < 0.6:
        known["template_offset_px"] = (float(rng.uniform(-20, 20)), float(rng.uniform(-20, 20)))
        known["template_rotation_deg"] = float(rng.uniform(-5.0, 5.0))
    if rng.random() < 0.2:
        known["template_scale"] = float(rng.uniform(0.8, 1.2))
    return known
