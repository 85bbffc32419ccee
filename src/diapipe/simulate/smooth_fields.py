"""Random fields that vary smoothly over an image: seeing, shear, misregistration, background."""

from __future__ import annotations

import numpy as np

from diapipe.images import Box, ChebyshevField
from diapipe.numerics import polynomials
from diapipe.numerics.arrays import FloatArray

ORDER = 3
"""Degree of the fields: above what matching kernels usually follow (1 or 2), with little power there."""


def smooth_field(box: Box, *, mean: float = 0.0, rms: float, rng: np.random.Generator) -> ChebyshevField:
    """Random Chebyshev series with a given mean and root mean square deviation from it over ``box``.

    Power falls with the degree: amplitudes of degree d are drawn with the scale 1/d².
    """
    degrees = np.array([i + j for i, j in polynomials.exponents(ORDER)])
    coefficients = rng.standard_normal(len(degrees)) / np.maximum(degrees, 1) ** 2
    coefficients[0] = 0.0
    x, y = _sample_points(box)
    values = ChebyshevField(coefficients, box).at(x=x, y=y)
    coefficients *= rms / values.std()
    coefficients[0] = mean - values.mean() * rms / values.std()
    return ChebyshevField(coefficients, box)


def clamped_at(field: ChebyshevField, *, x: FloatArray, y: FloatArray) -> FloatArray:
    """Values of a field, outside its box those at the nearest border: a polynomial must not be trusted there."""
    box = field.box
    return field.at(x=np.clip(x, box.x0 - 0.5, box.x1 - 0.5), y=np.clip(y, box.y0 - 0.5, box.y1 - 0.5))


def _sample_points(box: Box, n: int = 32) -> tuple[FloatArray, FloatArray]:
    """Centres of n x n equal parts of the box."""
    fraction = (np.arange(n) + 0.5) / n - 0.5
    y, x = np.meshgrid(box.y_center + fraction * box.height, box.x_center + fraction * box.width, indexing="ij")
    return x, y
