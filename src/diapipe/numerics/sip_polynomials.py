"""The polynomials of the SIP convention: from pixel offsets to the tangent plane (Shupe et al. 2005, ASPC 347, 491)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from diapipe.numerics import polynomials
from diapipe.numerics.arrays import FloatArray


class SipPolynomials(NamedTuple):
    """Plane = constant + CD (u + A(u, v), v + B(u, v)).

    Attributes
    ----------
    cd
        Shape (2, 2), degrees a pixel.
    a, b
        Shape (order + 1, order + 1), at least (3, 3), indexed by the powers of u and v; below the second order zero.
    constant
        Plane coordinates at u = v = 0, degrees; 0 where none was fitted.
    """

    cd: FloatArray
    a: FloatArray
    b: FloatArray
    constant: FloatArray

    def at(self, u: FloatArray, v: FloatArray) -> FloatArray:
        """Plane coordinates of pixel offsets; shape (2, n)."""
        moved = np.stack([u + _series(self.a, u, v), v + _series(self.b, u, v)])
        return np.asarray(self.constant[:, None] + self.cd @ moved, dtype=np.float64)


def fit_sip_polynomials(
    u: FloatArray,
    v: FloatArray,
    plane: FloatArray,
    order: int,
    *,
    with_constant: bool = False,
    weight: FloatArray | None = None,
) -> SipPolynomials:
    """Least-squares polynomials through points.

    Parameters
    ----------
    u, v
        Offsets from the reference pixel, shape (n,).
    plane
        Tangent-plane coordinates in degrees, shape (2, n).
    order
        Highest total power.
    with_constant
        Whether the reference pixel may lie off the tangent point.
    weight
        Inverse variances, shape (n,); None for equal ones.
    """
    scale = max(np.abs(u).max(), np.abs(v).max())
    powers = [(p, q) for p, q in polynomials.exponents(order) if p + q > 0 or with_constant]
    design = np.stack([(u / scale) ** p * (v / scale) ** q for p, q in powers], axis=1)
    root = np.ones(len(u)) if weight is None else np.sqrt(weight)
    found, *_ = np.linalg.lstsq(design * root[:, None], (plane * root).T, rcond=None)
    found = found / scale ** np.array([[p + q] for p, q in powers])
    cd = np.array([found[powers.index((1, 0))], found[powers.index((0, 1))]]).T
    distortion = np.linalg.solve(cd, found.T)
    side = max(order, 2) + 1
    a, b = np.zeros((side, side)), np.zeros((side, side))
    for k, (p, q) in enumerate(powers):
        if p + q > 1:
            a[p, q], b[p, q] = distortion[:, k]
    return SipPolynomials(cd, a, b, found[powers.index((0, 0))] if with_constant else np.zeros(2))


def _series(coefficients: FloatArray, u: FloatArray, v: FloatArray) -> FloatArray:
    return np.asarray(np.polynomial.polynomial.polyval2d(u, v, coefficients), dtype=np.float64)
