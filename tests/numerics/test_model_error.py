"""The relative error of a model, found on residuals of known origin."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.numerics.model_error import relative_error

SIDE = 21
FLUXES = np.geomspace(3e3, 3e5, 60)


def stamps(rng: np.random.Generator, *, error: float) -> tuple[np.ndarray, ...]:
    """Residuals, signal, variance and good pixels of 60 Gaussian stars of S/N 60 to 6000 on a sky of sigma 10."""
    u = np.arange(SIDE) - SIDE // 2
    profile = np.exp(-0.5 * (u / 2.0) ** 2) / np.sqrt(2 * np.pi) / 2.0
    signal = FLUXES[:, None] * np.outer(profile, profile).ravel()
    variance = 100.0 + signal / 2.0
    residuals = rng.normal(size=signal.shape) * np.sqrt(variance + (error * signal) ** 2)
    return *(plane.astype(np.float32) for plane in (residuals, signal, variance)), np.ones(signal.shape, bool)


@pytest.mark.parametrize("error", [0.01, 0.03, 0.1])
def test_the_error_is_found(error: float, rng: np.random.Generator) -> None:
    """The 30 brighter stars have 20 to 60 pixels each in which the error exceeds the noise: f to 1 / √(2 · 600) = 3%,
    half as much again for a median; 10% is two sigma of that, and more than a factor 5 in significance.
    """
    found = relative_error(*stamps(rng, error=error))
    assert found.value == pytest.approx(error, rel=0.1)
    assert found.significance > 5.0


def test_noise_alone_has_none(rng: np.random.Generator) -> None:
    """Of 20 draws of pure noise none is five sigma from zero."""
    assert max(relative_error(*stamps(rng, error=0.0)).significance for _ in range(20)) < 5.0


def test_variable_stars_do_not_count(rng: np.random.Generator) -> None:
    """A tenth of the stars brighten by 30%: the median moves by 0.13 of the scatter of one star's estimate, a third at
    2% error and 30 pixels, so f by 3% beyond its 5%.
    """
    residuals, signal, variance, good = stamps(rng, error=0.02)
    residuals[5::10] += 0.3 * signal[5::10]
    assert relative_error(residuals, signal, variance, good).value == pytest.approx(0.02, rel=0.15)


def test_nothing_to_measure_it_on() -> None:
    """No good pixel: no error, no significance."""
    plane = np.ones((3, 4), np.float32)
    assert relative_error(plane, plane, plane, np.zeros((3, 4), bool)) == (0.0, 0.0)
