"""The grade: what was reached beside figures that others published, bars that were set before anything was measured."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from scipy.special import pdtr

from diapipe.catalogs.injections import HOSTED, HOSTLESS

DP1 = "Rubin DP1"
REQUIREMENT = "Rubin requirement"
GAUSS = "Gaussian noise"
_MAG_TO_RELATIVE = 0.92103  # ln(10) / 2.5
_CHANCE = 0.99
"""Probability up to which a count is taken for the expected one."""


@dataclass(frozen=True, slots=True)
class Bar:
    """What a number should be.

    Attributes
    ----------
    name
        Of what is measured.
    source
        Who published the limit.
    where
        Keys of `Validation.numbers` that lead to the value.
    side, limit
        The value must be ``at least`` or, in its absolute value, ``at most`` this.
    unit
        Of limit and value, for a reader; "%" where both are parts of one.
    """

    name: str
    source: str
    where: tuple[str, ...]
    side: Literal["at least", "at most"]
    limit: float
    unit: str = ""

    @property
    def is_count(self) -> bool:
        """Whether what is measured comes in whole numbers."""
        return self.where[0].startswith("n_")


@dataclass(frozen=True, slots=True)
class Graded:
    """A bar, the value beside it, its interval of one sigma, and whether it is met; None where it is not known.

    ``by_noise`` is what the errors claim alone, where they tell: no difference of such images can have less.
    """

    bar: Bar
    value: float | None
    low: float | None
    high: float | None
    is_met: bool | None
    by_noise: float | None = None

    @property
    def is_close(self) -> bool:
        """Whether the limit lies within the interval: more data may turn the verdict."""
        if self.low is None or self.high is None:
            return False
        limits = (self.bar.limit,) if self.bar.side == "at least" else (self.bar.limit, -self.bar.limit)
        return any(self.low <= limit <= self.high for limit in limits)


BARS = (
    Bar("S/N of 50% completeness", DP1, ("half_complete",), "at most", 5.07),
    Bar("completeness above S/N 6", DP1, ("completeness", "all"), "at least", 0.95),
    Bar("completeness above S/N 6", REQUIREMENT, ("completeness", "all"), "at least", 0.90),
    Bar("purity above S/N 6", REQUIREMENT, ("purity", "snr > 6"), "at least", 0.95),
    Bar("artefacts for each real source, before any cut", DP1, ("artefacts_per_real",), "at most", 9.0),
    Bar("scatter of a coordinate above S/N 20", DP1, ("bright", "position_sigma_arcsec"), "at most", 0.02, "arcsec"),
    Bar("bias of fluxes brighter than 21 mag", DP1, ("brighter_21", "bias"), "at most", 0.002 * _MAG_TO_RELATIVE, "%"),
    Bar(
        "scatter of fluxes brighter than 21 mag",
        DP1,
        ("brighter_21", "scatter"),
        "at most",
        0.02 * _MAG_TO_RELATIVE,
        "%",
    ),
    Bar("width of pulls without a host", DP1, (HOSTLESS, "pull_sigma"), "at most", 1.15),
    Bar("width of pulls on hosts", DP1, (HOSTED, "pull_sigma"), "at most", 1.2),
)
"""Figures that Rubin published of the difference images of Data Preview 1, and what its survey requires of them."""


def grade(numbers: Mapping[str, Any]) -> list[Graded]:
    """Each bar with its value; last, sources that look like noise against those that noise makes.

    Parameters
    ----------
    numbers
        Of a `Validation`.
    """
    return [*(_graded(bar, _value(numbers, bar.where)) for bar in BARS), _noise(numbers)]


def _graded(bar: Bar, found: Mapping[str, float | None]) -> Graded:
    value = found["value"]
    met = None
    if value is not None:
        met = value >= bar.limit if bar.side == "at least" else abs(value) <= bar.limit
    return Graded(bar, value, found["low"], found["high"], met, found.get("by_noise"))


def _value(numbers: Mapping[str, Any], where: tuple[str, ...]) -> Mapping[str, float | None]:
    """A number with its interval, as ``value``, ``low``, ``high``."""
    found: Any = numbers
    above: Mapping[str, Any] = numbers
    for key in where:
        above, found = found, found.get(key) if isinstance(found, Mapping) else None
    if isinstance(found, Mapping):
        return {name: found.get(name) for name in ("value", "low", "high")}
    error = above.get(f"{where[-1]}_err") if isinstance(above, Mapping) else None
    if found is None or error is None:
        least = above.get(f"{where[-1]}_by_noise") if isinstance(above, Mapping) else None
        return {"value": found, "low": None, "high": None, "by_noise": least}
    return {"value": found, "low": found - error, "high": found + error}


def _noise(numbers: Mapping[str, Any]) -> Graded:
    """Whether there are no more sources that look like noise than noise makes."""
    expected, n = float(numbers["expected_noise"]), int(numbers["n_unexplained"]["noise"])
    limit = next(k for k in itertools.count() if pdtr(k, expected) >= _CHANCE)
    bar = Bar(f"sources like noise ({expected:.1f} expected)", GAUSS, ("n_unexplained", "noise"), "at most", limit)
    return Graded(bar, float(n), None, None, n <= limit)
