"""What is binned: signal-to-noise, magnitude, and in which steps."""

from __future__ import annotations

import numpy as np
from astropy.table import Table

from diapipe.images.photo_calib import ZERO_POINT_NJY
from diapipe.numerics.arrays import FloatArray

SNR_EDGES = np.array([3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 15.0, 20.0, 50.0, 100.0, 1e9])
"""Bins of signal-to-noise."""
MAG_STEP = 0.5
GOOD_SNR = 6.0
"""Completeness and purity are told above this, as Rubin's requirement is."""
BRIGHT_SNR = 20.0
"""Positions and fluxes are told above this."""


def magnitudes(truth: Table) -> FloatArray:
    """AB magnitudes of changes in nJy."""
    flux = np.abs(np.asarray(truth["flux"], dtype=np.float64))
    return np.asarray(-2.5 * np.log10(np.where(flux > 0, flux, np.nan) / ZERO_POINT_NJY))


def bins_of(snr: FloatArray, mag: FloatArray | None) -> list[tuple[str, FloatArray, FloatArray]]:
    """What is binned, its values, and edges."""
    bins = [("snr", snr, SNR_EDGES)]
    if mag is not None and np.isfinite(mag).any():
        first, last = np.floor(np.nanmin(mag) / MAG_STEP), np.ceil(np.nanmax(mag) / MAG_STEP)
        bins.append(("mag", mag, MAG_STEP * np.arange(first, last + 2)))
    return bins


def number(value: float) -> float | None:
    """None for what is not known."""
    return value if np.isfinite(value) else None
