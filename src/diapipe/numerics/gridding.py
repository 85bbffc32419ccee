"""Cubic interpolation between the nodes of a coarse, regular grid."""

from __future__ import annotations

import numpy as np

from diapipe.numerics.arrays import FloatArray


def cubic_weights(t: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Weights of the four nodes at -1, 0, 1, 2 for the value and the derivative of the cubic through them at ``t``.

    Parameters
    ----------
    t
        Position in units of the node spacing, 0 to 1 between the middle nodes; any shape.

    Returns
    -------
    tuple
        Two arrays of shape (4, *t.shape).
    """
    t = np.asarray(t, dtype=np.float64)
    values = np.stack(
        [
            -t * (t - 1.0) * (t - 2.0) / 6.0,
            (t + 1.0) * (t - 1.0) * (t - 2.0) / 2.0,
            -(t + 1.0) * t * (t - 2.0) / 2.0,
            (t + 1.0) * t * (t - 1.0) / 6.0,
        ]
    )
    slopes = np.stack(
        [
            -(3.0 * t**2 - 6.0 * t + 2.0) / 6.0,
            (3.0 * t**2 - 4.0 * t - 1.0) / 2.0,
            -(3.0 * t**2 - 2.0 * t - 2.0) / 2.0,
            (3.0 * t**2 - 1.0) / 6.0,
        ]
    )
    return values, slopes
