"""Numbers drawn at random that fields of every kind share."""

from __future__ import annotations

from typing import Any

import numpy as np

SIDE_PX = 700
PIXEL_ARCSEC = 0.2
BETAS = (2.0, 2.5, 3.0, 3.5, 4.5)
"""Moffat indices, from wide wings to nearly none."""


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A number even in its logarithm."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def random_sky(rng: np.random.Generator) -> dict[str, Any]:
    """Numbers of what does not change, from a pole to a bulge."""
    return {
        "n_stars": log_uniform(rng, 150, 6000),
        "star_count_slope": rng.uniform(0.15, 0.35),
        "star_brightest_mag": rng.uniform(12.5, 16.0),
        "n_galaxies": log_uniform(rng, 30, 600),
    }


def random_ellipticity(rng: np.random.Generator) -> float:
    """Mean shear of the stars, now and then that of a telescope that did not follow the sky."""
    return float(rng.uniform(0.1, 0.25) if rng.random() < 0.2 else rng.uniform(0.0, 0.12))
