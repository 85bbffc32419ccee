"""The polynomials by which kernel and background vary over the image."""

from __future__ import annotations

from typing import Literal

from diapipe.images.box import Box
from diapipe.images.fields import field_terms, scaled_coordinates
from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.kernel_fit import KernelSolution
from diapipe.numerics.polynomials import monomial_terms, monomials_in_chebyshev, order_of

type SpatialModel = Literal["chebyshev", "polynomial"]


def spatial_terms(model: SpatialModel, box: Box, order: int | None, *, x: FloatArray, y: FloatArray) -> FloatArray:
    """Terms of a polynomial over a box at positions; shape (n_terms, n), no terms for the order None."""
    if order is None:
        return field_terms(box, 0, x=x, y=y)[:0]
    if model == "chebyshev":
        return field_terms(box, order, x=x, y=y)
    return monomial_terms(*scaled_coordinates(box, x=x, y=y), order)


def in_chebyshev(model: SpatialModel, solution: KernelSolution) -> KernelSolution:
    """The solution with its coefficients as fields have them."""
    if model == "chebyshev":
        return solution
    return KernelSolution(_converted(solution.kernel), _converted(solution.background))


def _converted(coefficients: FloatArray) -> FloatArray:
    """Coefficients of monomials, along the last axis, as those of Chebyshev polynomials."""
    if not coefficients.shape[-1]:
        return coefficients
    return coefficients @ monomials_in_chebyshev(order_of(coefficients.shape[-1]))
