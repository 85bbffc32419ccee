"""The error that what a difference leaves of static light makes of fluxes upon it."""

from __future__ import annotations

import numpy as np

from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.excess import LEAST_PART


def error_with_static_light(
    flux_err: FloatArray, *, static_flux: FloatArray, relative_error: FloatArray | float
) -> FloatArray:
    """Errors of fluxes on a difference, with that of what is left of the light beneath.

    Parameters
    ----------
    flux_err
        Without it, shape (n,).
    static_flux
        PSF flux of the template at each place, in the same unit; NaN for unknown, which counts as none.
    relative_error
        `Difference.static_error_at` each place.
    """
    square = relative_error * np.abs(relative_error) * np.nan_to_num(static_flux) ** 2
    return np.asarray(np.sqrt(np.maximum(flux_err**2 + square, LEAST_PART * flux_err**2)))
