"""Where the pages of a survey's report lie, from its folder."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from diapipe.catalogs.survey_units import Unit

INDEX, VISITS, OBJECTS = "index.html", "visits.html", "objects.html"
VISIT_LIST, OBJECT_LIST = "visit-list", "object-list"
"""Names of the lists on these pages."""
UP = "../"
"""From a page of one visit or object to the folder of the report."""


@dataclass(frozen=True, slots=True)
class Places:
    """Names of files.

    Attributes
    ----------
    without_page
        Units that the list of visits alone tells of.
    many_instruments
        The instrument is part of a visit's name.
    """

    without_page: frozenset[Unit] = frozenset()
    many_instruments: bool = False

    @classmethod
    def of(cls, units: Iterable[Unit], *, without_page: Iterable[Unit] = ()) -> Places:
        """For these units, some of which have no difference."""
        return cls(frozenset(without_page), len({unit.instrument for unit in units}) > 1)

    def name(self, unit: Unit) -> str:
        """Of a unit, as its files are called."""
        name = f"visit{unit.visit:04d}-detector{unit.detector}"
        return f"{unit.instrument}-{name}" if self.many_instruments else name

    def short(self, unit: Unit) -> str:
        """Of a unit, as lists identify it."""
        return f"{unit.instrument}-" * self.many_instruments + f"{unit.visit}-{unit.detector}"

    def words(self, unit: Unit) -> str:
        """Of a unit, as a person reads it."""
        words = f"visit {unit.visit}, detector {unit.detector}"
        return f"{unit.instrument}, {words}" if self.many_instruments else words

    def unit_page(self, unit: Unit) -> str:
        """Page of a visit and detector."""
        return f"visits/{self.name(unit)}.html"

    def address(self, unit: Unit) -> str:
        """Where a unit is told of: its page, or its row in the list of visits."""
        return f"{VISITS}#{VISIT_LIST}/{self.short(unit)}" if unit in self.without_page else self.unit_page(unit)


def object_page(dia_object_id: int) -> str:
    """Page of an object."""
    return f"objects/{dia_object_id}.html"


def object_list(dia_object_id: int) -> str:
    """Name of the list of an object's epochs."""
    return f"object-{dia_object_id}"


def curve_file(dia_object_id: int) -> str:
    """Picture of an object's light curve."""
    return f"curves/{dia_object_id}.svg"
