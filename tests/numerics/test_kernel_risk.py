"""The estimated risk of a regularised kernel: against its slow twin, and against the risk itself over many noises."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.numerics.kernel_penalties import central_differences
from diapipe.numerics.kernel_risk import risks, strength_grid

FORM = central_differences(5, stencil=9, border_penalty=3.0)
STRENGTHS = np.array([0.1, 1.0, 10.0, 100.0])


def design(rng: np.random.Generator, *, n_pixels: int = 300) -> np.ndarray:
    """What 25 pixels of a kernel make of a stamp: smooth light, so that some directions are hardly measured."""
    mixing = np.exp(-0.5 * (np.subtract.outer(np.arange(25), np.arange(25)) / 1.3) ** 2)
    return rng.normal(size=(n_pixels, 25)) @ mixing


def slow_risk(matrix, vector, strength: float, max_condition: float | None, solved_with) -> float:
    """The formula, by explicit inverses."""
    values, vectors = np.linalg.eigh(matrix)
    kept = values > (1e-13 if max_condition is None else 1.0 / max_condition) * values[-1]
    projector = vectors[:, kept] @ vectors[:, kept].T
    pseudo = vectors[:, kept] @ np.diag(1.0 / values[kept]) @ vectors[:, kept].T
    inverse = np.linalg.inv(solved_with + strength * FORM)
    kernel = inverse @ vector
    return float(kernel @ projector @ kernel + 2 * (np.trace(projector @ inverse) - kernel @ pseudo @ vector))


@pytest.mark.parametrize("max_condition", [None, 50.0])
def test_risks_are_those_of_the_formula(max_condition: float | None, rng: np.random.Generator) -> None:
    """To 1e-6 of the largest."""
    regressors = design(rng)
    matrix, vector = regressors.T @ regressors, regressors.T @ rng.normal(size=300)
    noise = 0.5 * np.linalg.eigvalsh(matrix)[0] * np.eye(25)
    for solved_with in (None, matrix - noise):
        found = risks(matrix, vector, FORM, STRENGTHS, max_condition=max_condition, solved_with=solved_with)
        known = matrix if solved_with is None else solved_with
        twin = [slow_risk(matrix, vector, s, max_condition, known) for s in STRENGTHS]
        np.testing.assert_allclose(found, twin, atol=1e-6 * np.abs(twin).max())


@pytest.mark.parametrize("max_condition", [None, 50.0])
def test_the_estimate_is_unbiased(max_condition: float | None, rng: np.random.Generator) -> None:
    """Over 500 noises the mean estimate is the mean of |P(k̂ - k)|² - |Pk|², to four errors of the mean, at every λ.

    With the directions that are hardly measured left out, of the error in the others.
    """
    regressors, true = design(rng), rng.normal(size=25)
    matrix = regressors.T @ regressors
    values, vectors = np.linalg.eigh(matrix)
    kept = vectors[:, values > (0 if max_condition is None else values[-1] / max_condition)]
    estimates, errors = np.empty((500, len(STRENGTHS))), np.empty((500, len(STRENGTHS)))
    inverses = [np.linalg.inv(matrix + s * FORM) for s in STRENGTHS]
    for n in range(500):
        vector = regressors.T @ (regressors @ true + rng.normal(size=300))
        estimates[n] = risks(matrix, vector, FORM, STRENGTHS, max_condition=max_condition)
        errors[n] = [((kept.T @ (inverse @ vector - true)) ** 2).sum() for inverse in inverses]
    off = estimates - (errors - ((kept.T @ true) ** 2).sum())
    assert (np.abs(off.mean(axis=0)) < 4 * off.std(axis=0) / np.sqrt(500)).all()


def test_grids() -> None:
    """Both ends are there; logarithmic steps are powers of ten."""
    np.testing.assert_allclose(strength_grid(least=-1, greatest=1, step=1, spacing="log"), [0.1, 1, 10])
    np.testing.assert_allclose(strength_grid(least=0, greatest=0.3, step=0.1, spacing="linear"), [0, 0.1, 0.2, 0.3])
    assert len(strength_grid(least=-1, greatest=2, step=0.1, spacing="log")) == 31
