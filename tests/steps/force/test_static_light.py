"""What a difference leaves of its stars, and errors that contain it."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.steps.force import StaticLight, force_on_pixels, left_of_stars
from gaussian_sky import drawn, exposure

SIDE, STEP, SIGMA, NOISE = 620, 24, 1.8, 5.0


def left(rng, relative):
    """A difference on which stars of known flux leave a random part of it."""
    nodes = np.arange(16.0, SIDE - 16, STEP)
    x, y = (v.ravel() + rng.uniform(-0.5, 0.5, v.size) for v in np.meshgrid(nodes, nodes))
    flux = 10.0 ** rng.uniform(3.0, 5.0, x.size)
    light = drawn((SIDE, SIDE), x, y, flux * rng.normal(0.0, relative, x.size), sigma=SIGMA)
    return exposure("difference", light, NOISE, SIGMA, rng), x, y, flux


def test_what_is_left_is_told_and_makes_errors_honest(rng):
    """625 stars of which 1% is left tell it within four of its errors, 1% / sqrt(2 n) of the n with S/N above 100;
    with it pulls of all have width 1 within 4/sqrt(1250), without it those of bright stars have not.
    """
    difference, x, y, flux = left(rng, 0.01)
    relative = left_of_stars(difference, x=x, y=y, flux=flux)
    found = force_on_pixels(difference, x=x, y=y)
    n_telling = (flux > 100.0 * found["psfFluxErr"]).sum()
    assert abs(relative / 0.01 - 1.0) < 4.0 / np.sqrt(2 * n_telling)
    error = StaticLight(flux=flux, relative_error=relative).error(found["psfFluxErr"])
    assert abs(np.std(found["psfFlux"] / error) - 1.0) < 4.0 / np.sqrt(2 * x.size)
    assert np.std((found["psfFlux"] / found["psfFluxErr"])[flux > 3e4]) > 2.0


def test_a_perfect_difference_leaves_nothing(rng):
    """Where only noise is left, the relative error is below that of a single star of S/N 1000."""
    difference, x, y, flux = left(rng, 0.0)
    assert left_of_stars(difference, x=x, y=y, flux=flux) < 1e-3


def test_unknown_light_is_none():
    """A place without a template flux keeps its error."""
    light = StaticLight(flux=np.array([np.nan, 300.0]), relative_error=0.01)
    assert light.error(np.array([4.0, 4.0])) == pytest.approx([4.0, 5.0])
