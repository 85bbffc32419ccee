"""The baseline of a light curve: what its fluxes are between events, and the same less that level.

A difference is measured against a template. Where the template's exposures were taken while the transient shone, its
light is in the template, and every flux of the band is too low by one and the same amount. The fluxes from before and
after the event tell that amount.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from diapipe.catalogs.light_curve import Level, LightCurve
from diapipe.errors import InputError, UsageError, counted
from diapipe.numerics.arrays import BoolArray
from diapipe.steps.limits import Limited


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline(Limited):
    """Which epochs are quiet: those outside the event.

    Attributes
    ----------
    event_start_mjd, event_end_mjd
        Begin and end of the event; epochs before the one and after the other are quiet. Infinite for an event that
        began before, or ends after, all of them.
    min_epochs
        Quiet epochs that a band needs; one with fewer cannot be corrected.

    Raises
    ------
    UsageError
        If the event ends before it begins, or a number is out of range.
    """

    event_start_mjd: float
    event_end_mjd: float = np.inf
    min_epochs: int = 3

    any_sign: ClassVar[tuple[str, ...]] = ("event_start_mjd", "event_end_mjd")

    def __post_init__(self) -> None:
        Limited.__post_init__(self)
        if self.event_start_mjd > self.event_end_mjd:
            raise UsageError(f"the event ends at {self.event_end_mjd:g}, before it begins at {self.event_start_mjd:g}")

    def is_quiet(self, curve: LightCurve) -> BoolArray:
        """Where an epoch tells the baseline."""
        outside = (curve.mjd < self.event_start_mjd) | (curve.mjd > self.event_end_mjd)
        return outside & curve.is_measured


def corrected(curve: LightCurve, baseline: Baseline) -> LightCurve:
    """The light curve less its baseline, band by band.

    Only the fluxes on the difference change; their errors, and the science fluxes, do not. What was subtracted stays in
    ``levels``, and correcting again adds to it.

    Raises
    ------
    InputError
        If a band has too few quiet epochs: a light curve of which one band is corrected and another not is none.
    """
    quiet = baseline.is_quiet(curve)
    flux, levels = curve.flux.copy(), dict(curve.levels)
    for band in curve.bands:
        here = curve.band == band
        n = int((quiet & here).sum())
        if n < baseline.min_epochs:
            raise InputError(
                f"band {band} of object {curve.dia_object_id} has {counted(n, 'quiet epoch')}; its baseline needs "
                f"{baseline.min_epochs}",
                band=band,
                n=n,
            )
        level = level_of(curve.where(quiet & here))
        flux[here] -= level.flux
        before = levels.get(band)
        levels[band] = level if before is None else replace(level, flux=level.flux + before.flux)
    return replace(curve, flux=flux, levels=levels, is_baseline=quiet)


def level_of(curve: LightCurve) -> Level:
    """Weighted mean of all its fluxes; its error grows by the root of the reduced chi squared where that is above 1."""
    weight = curve.flux_err**-2
    mean = float(np.sum(weight * curve.flux) / np.sum(weight))
    n = len(curve)
    reduced = float(np.sum(weight * (curve.flux - mean) ** 2) / (n - 1)) if n > 1 else np.nan
    growth = np.sqrt(max(1.0, reduced)) if n > 1 else 1.0
    return Level(flux=mean, flux_err=float(growth / np.sqrt(np.sum(weight))), n=n, reduced_chi2=reduced)
