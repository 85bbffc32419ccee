"""What the pages of a survey are made from: the results of a run, and what is known beside them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from astropy.table import Table

from diapipe.catalogs.light_curve import LightCurve
from diapipe.catalogs.survey_units import Unit
from diapipe.images import Difference, Exposure
from diapipe.images.calibrated import calibrated
from diapipe.io.exports import SurveyTables
from diapipe.numerics.arrays import FloatArray
from diapipe.report.content import PageContent
from diapipe.report.curve_svg import Lines


class Survey(Protocol):
    """Results of a survey, as `diapipe.tasks.survey_results.SurveyResults` reads them from a repository."""

    @property
    def repo(self) -> str:
        """Root of the repository."""

    @property
    def collection(self) -> str:
        """Full name of the output."""

    @property
    def units(self) -> Table:
        """One row a visit and detector, as `SURVEY_UNITS`."""

    @property
    def tables(self) -> SurveyTables:
        """Objects, their sources, their forced fluxes."""

    @property
    def template_visits(self) -> frozenset[int]:
        """What the templates are made of."""

    def counts(self) -> Sequence[tuple[str, Mapping[str, int]]]:
        """Tasks, and how many of their quanta ended how."""

    def reasons(self) -> Sequence[tuple[str, str]]:
        """How quanta without a result ended, and in a line how many of what and why."""

    def difference(self, unit: Unit) -> Difference:
        """A difference, with the template as it was matched."""

    def science(self, unit: Unit) -> Exposure:
        """The science image in nJy."""

    def dia_sources(self, unit: Unit, columns: Collection[str] | None = None) -> Table:
        """What was found on a difference; of some columns those that there are."""

    def tract_outlines(self) -> tuple[Sequence[FloatArray], Sequence[FloatArray]]:
        """Corners of tracts and of patches."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Beside:
    """What else is known of a survey's objects: the truth of a simulation, or a catalogue; nothing by default.

    Attributes
    ----------
    name
        What it is: "truth", or the catalogue's name.
    of_object
        By diaObjectId: what stands there.
    lines
        Fluxes of an object that is known, by its light curve.
    sections
        Tables for the first page.
    dots
        By what they are ("found", "missed"): positions for the map, degrees, shape (n, 2).
    """

    name: str = ""
    of_object: Mapping[int, str] = field(default_factory=dict)
    lines: Callable[[LightCurve], Lines] | None = None
    sections: Sequence[BesideTable] = ()
    dots: Mapping[str, FloatArray] = field(default_factory=dict)

    def lines_of(self, curve: LightCurve) -> Lines:
        """Lines beside a light curve; none where the object is not known."""
        return {} if self.lines is None or curve.dia_object_id not in self.of_object else self.lines(curve)


@dataclass(frozen=True, slots=True, kw_only=True)
class BesideTable:
    """A table of words with a heading, and a sentence below it.

    ``is_met`` tells of each row whether its last word is good news, None where it is neither.
    """

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    is_met: Sequence[bool | None] = ()
    note: str = ""


def content_of_unit(survey: Survey, unit: Unit, columns: Collection[str] | None = None) -> PageContent:
    """Images and sources of a unit, all in nJy; of these columns alone if they are given."""
    found = survey.difference(unit)
    matched = found.matched_template
    difference = replace(found, exposure=calibrated(found.exposure), matched_template=None)
    science = survey.science(unit).masked_image.image
    if matched is None:
        template = science - difference.exposure.masked_image.image
    else:
        template = calibrated(replace(found.exposure, masked_image=matched)).masked_image.image
    return PageContent(
        summary={},
        dia_sources=survey.dia_sources(unit, columns),
        difference=difference,
        science=np.asarray(science),
        matched_template=np.asarray(template),
    )
