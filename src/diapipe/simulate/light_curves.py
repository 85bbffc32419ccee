"""What changes in a simulated sky: transients, variable stars, moving objects, as functions of time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from diapipe.numerics.arrays import BoolArray, FloatArray

_RISES, _FADES = 5.0, 12.0
"""E-folding times before and after the peak beyond which a transient is not there at all."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Changing(ABC):
    """Point sources of variable flux. Positions are reference pixels, fluxes nJy; shape (n,), per band (n_bands, n).

    Attributes
    ----------
    x, y
        Where they are; of moving objects, at the time of `Movers.mjd`.
    """

    x: FloatArray
    y: FloatArray

    @abstractmethod
    def flux(self, band: int, mjd: float) -> FloatArray:
        """Flux at a time, shape (n,); 0 where there is nothing."""

    def position(self, mjd: float) -> tuple[FloatArray, FloatArray]:
        """Place at a time."""
        return self.x, self.y


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Transients(Changing):
    """New sources that rise and fade exponentially.

    Attributes
    ----------
    peak_flux, peak_mjd
        Height, of shape (n_bands, n), and time of the peak.
    rise_days, fade_days
        E-folding times.
    on_host, is_flash
        Within the half-light ellipse of a galaxy by design; on one night of the template alone.
    """

    peak_flux: FloatArray
    peak_mjd: FloatArray
    rise_days: FloatArray
    fade_days: FloatArray
    on_host: BoolArray
    is_flash: BoolArray

    def flux(self, band: int, mjd: float) -> FloatArray:
        """Flux at a time; exactly 0 long before and long after."""
        days = mjd - self.peak_mjd
        there = (days > -_RISES * self.rise_days) & (days < _FADES * self.fade_days)
        decay = np.where(days < 0, -days / self.rise_days, days / self.fade_days)
        return np.where(there, self.peak_flux[band] * np.exp(-decay), 0.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Variables(Changing):
    """Stars whose magnitude swings as a sine.

    Attributes
    ----------
    mean_flux
        Flux at the mean magnitude, shape (n_bands, n).
    amplitude_mag
        Of the sine, shape (n_bands, n).
    period_days, phase
        Phase in radians at MJD 0 of the period.
    """

    mean_flux: FloatArray
    amplitude_mag: FloatArray
    period_days: FloatArray
    phase: FloatArray

    def flux(self, band: int, mjd: float) -> FloatArray:
        """Flux at a time."""
        swing = np.sin(2.0 * np.pi * mjd / self.period_days + self.phase)
        return np.asarray(self.mean_flux[band] * 10.0 ** (-0.4 * self.amplitude_mag[band] * swing))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Movers(Changing):
    """Objects of constant brightness on straight lines.

    Attributes
    ----------
    mjd
        When they are at ``x``, ``y``.
    x_per_day, y_per_day
        Reference pixels a day.
    constant_flux
        Shape (n_bands, n).
    """

    mjd: FloatArray
    x_per_day: FloatArray
    y_per_day: FloatArray
    constant_flux: FloatArray

    def flux(self, band: int, mjd: float) -> FloatArray:
        """Their flux, at any time."""
        return np.asarray(self.constant_flux[band])

    def position(self, mjd: float) -> tuple[FloatArray, FloatArray]:
        """Place at a time."""
        days = mjd - self.mjd
        return self.x + self.x_per_day * days, self.y + self.y_per_day * days
