"""Glints: flashes of a tumbling satellite, which stand in a row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diapipe.numerics.arrays import BoolArray
from diapipe.numerics.collinear import points_in_rows
from diapipe.steps.limits import Limited


@dataclass(frozen=True, slots=True, kw_only=True)
class Glints(Limited):
    """When sources are taken for the glints of one satellite.

    Attributes
    ----------
    radius_px
        A row reaches at most this far from its middle source.
    least_sources
        Number of sources in a row.
    max_rms_px
        Largest scatter across it.
    false_alarm
        Rows expected by chance over all sources of an image; more sources ask for more of them in a row.
    """

    radius_px: float = 500.0
    least_sources: int = 5
    max_rms_px: float = 15.0
    false_alarm: float = 0.01


def in_glint_trail(columns: Mapping[str, NDArray[Any]], *, options: Glints) -> BoolArray:
    """Which sources stand in a row with others; only what is positive, no dipole and not `dp_bad` can."""
    x, y = (np.asarray(columns[name], np.float64) for name in ("x", "y"))
    able = np.isfinite(x) & np.isfinite(y) & ~columns["isNegative"] & ~columns["dp_bad"]
    if "isDipole" in columns:
        able &= ~columns["isDipole"]
    found = np.zeros(len(x), np.bool_)
    found[able] = points_in_rows(
        x[able],
        y[able],
        radius=options.radius_px,
        least=options.least_sources,
        max_rms=options.max_rms_px,
        false_alarm=options.false_alarm,
    )
    return found
