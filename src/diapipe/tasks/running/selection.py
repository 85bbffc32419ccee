"""DataSelection: the data a run is asked for, as the butler's query language says it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from diapipe.errors import UsageError

_NUMBERS = re.compile(r"(?P<first>\d+)(\.\.(?P<last>\d+)(:(?P<step>[1-9]\d*))?)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSelection:
    """Which data; what is not given is not restricted.

    Parameters
    ----------
    visits, detectors, tracts, patches
        Numbers and ranges, both ends included: ``1..10,12``, or ``1..10:2`` in steps.
    bands
        Names of bands.
    where
        Further conditions in the butler's query language, such as ``visit.exposure_time > 20``.
    instrument, skymap
        Needed only where the repository holds several.
    """

    visits: str = ""
    detectors: str = ""
    tracts: str = ""
    patches: str = ""
    bands: tuple[str, ...] = ()
    where: str = ""
    instrument: str = ""
    skymap: str = ""

    def __post_init__(self) -> None:
        for name in ("visits", "detectors", "tracts", "patches"):
            list(_ranges(getattr(self, name)))
        for name in (*self.bands, self.instrument, self.skymap):
            if "'" in name:
                raise UsageError(f"a name has no quotation marks: {name}")

    @property
    def restricts_visits(self) -> bool:
        """Whether some visits or detectors are left out, as far as one can tell."""
        return bool(self.visits or self.detectors or self.where)

    def expression(self) -> str:
        """All conditions, joined by AND; empty where there is none."""
        numbers = {"visit": self.visits, "detector": self.detectors, "tract": self.tracts, "patch": self.patches}
        terms = [f"{name} IN ({values})" for name, values in numbers.items() if values]
        if self.bands:
            terms.append("band IN ({})".format(", ".join(f"'{band}'" for band in self.bands)))
        if self.where:
            terms.append(f"({self.where})")
        terms += [f"{name} = '{value}'" for name in ("instrument", "skymap") if (value := getattr(self, name))]
        return " AND ".join(terms)


def numbers_of(text: str) -> list[int]:
    """The numbers that a list with ranges stands for.

    Raises
    ------
    UsageError
        If a part is neither a number nor a range, or a range ends before it begins.
    """
    return [number for numbers in _ranges(text) for number in numbers]


def _ranges(text: str) -> Iterator[range]:
    """The parts of a list."""
    for part in filter(None, text.replace(" ", "").split(",")):
        found = _NUMBERS.fullmatch(part)
        if found is None:
            raise UsageError(f"a list of numbers takes numbers and ranges such as 1..10,12, and not {part!r}")
        first, last = int(found["first"]), int(found["last"] or found["first"])
        if last < first:
            raise UsageError(f"a range begins with its smaller end: {last}..{first}, and not {part!r}")
        yield range(first, last + 1, int(found["step"] or 1))
