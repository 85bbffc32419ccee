"""DiaSourceFilter: what a DIA source is rejected for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from diapipe.errors import UsageError
from diapipe.steps.limits import Limited

SET_ASIDE = ("solar_system", "trailed")
"""Kinds of sources that can be set aside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiaSourceFilter(Limited):
    """Cuts on DIA sources. None asks nothing; a quantity that is not known rejects nobody.

    Attributes
    ----------
    bad_flags
        Flags of which none may be set, in our spelling or afw's. One that the data model knows may be missing in a
        table.
    min_science_snr
        Least signal to noise on the science image itself: what is darker than the sky there cannot be.
    max_trail_arcsec_per_s
        Length of a trail over the exposure time from which on it is too fast: 10 degrees a day.
    min_reliability
        Least score of a classifier, in the column ``reliability``.
    set_aside
        Kinds of sources that make no objects: ``solar_system`` (an ``ssObjectId``), ``trailed`` (any fitted trail).
    """

    any_sign: ClassVar[tuple[str, ...]] = ("min_science_snr",)
    may_be_zero: ClassVar[tuple[str, ...]] = ("min_reliability",)
    shares: ClassVar[tuple[str, ...]] = ("min_reliability",)

    bad_flags: tuple[str, ...] = ("sky_source", "centroid_flag", "pixelFlags_crCenter", "dp_bad")
    min_science_snr: float | None = -2.0
    max_trail_arcsec_per_s: float | None = 0.4167
    min_reliability: float | None = None
    set_aside: tuple[str, ...] = ("solar_system",)

    def __post_init__(self) -> None:
        Limited.__post_init__(self)
        unknown = [kind for kind in self.set_aside if kind not in SET_ASIDE]
        if unknown:
            raise UsageError(f"no kind of source is called {unknown[0]!r}; choose of {', '.join(SET_ASIDE)}")
