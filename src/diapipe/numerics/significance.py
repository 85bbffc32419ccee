"""Fluxes and the signal-to-noise that they are seen with."""

from __future__ import annotations

import numpy as np

from diapipe.numerics.arrays import FloatArray


def flux_of_snr(snr: FloatArray, *, flux_variance: FloatArray, photon_variance: FloatArray) -> FloatArray:
    """Flux of a source that is seen with a given signal-to-noise, its own photons counted.

    The variance of a flux F fitted by a profile P is flux_variance + photon_variance F, so that
    F² = snr² (flux_variance + photon_variance F).

    Parameters
    ----------
    snr
        Wanted, shape (n,).
    flux_variance
        Of a faint source at the place.
    photon_variance
        What a unit of flux adds: ΣP³ / (ΣP²)² over the electrons of a count, where the other noise is even.
    """
    half = 0.5 * snr**2 * photon_variance
    return np.asarray(half + np.sqrt(half**2 + snr**2 * flux_variance), dtype=np.float64)
