"""Writing the report of a survey: every page once, the images of each visit read once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import numpy as np
from astropy.table import Table

from diapipe.catalogs.survey_units import Unit, unit_of
from diapipe.errors import InputError
from diapipe.report.content import PageContent
from diapipe.report.curve_svg import SMALL, curve_svg, standalone
from diapipe.report.cutouts import cutout_side, draw_cutouts
from diapipe.report.dia_source_list import LISTED
from diapipe.report.page import environment
from diapipe.report.rows import column
from diapipe.report.source_list import ASSETS, Listing, write_assets, write_source_list
from diapipe.report.survey.content import Beside, Survey, content_of_unit
from diapipe.report.survey.index_page import render_index
from diapipe.report.survey.lists import object_list_of, visit_list
from diapipe.report.survey.object_page import Epochs, epochs_to_show, write_object_page
from diapipe.report.survey.objects import SurveyObjects
from diapipe.report.survey.places import (
    INDEX,
    OBJECT_LIST,
    OBJECTS,
    VISIT_LIST,
    VISITS,
    Places,
    curve_file,
    object_page,
)
from diapipe.report.survey.sky_map import Link
from diapipe.report.survey.unit_page import UnitPage, write_unit_page
from diapipe.report.triplet_sheets import MAX_LISTED_SIDE_PX

MAX_OBJECT_PAGES = 200
"""The most significant objects have a page, unless another number is asked for: some 0.05 MB each."""
MAX_CURVES = 2000
"""Objects with a picture of their light curve in the list: 4 kB each."""
NAMES = (INDEX, VISITS, OBJECTS, "assets", "data", "cutouts", "visits", "objects", "curves")
"""What a report of a survey consists of."""

type Counts = Callable[[str, int, int], None]
"""Told what is made, how many of it are, and how many there will be."""


def silent(stage: str, done: int, total: int) -> None:
    """Tell nobody."""


def write_survey_report(
    folder: Path,
    survey: Survey,
    *,
    title: str,
    beside: Beside | None = None,
    steps: Sequence[tuple[str, str]] = (),
    n_objects: int = MAX_OBJECT_PAGES,
    counts: Counts = silent,
) -> None:
    """Write all pages into a folder that exists.

    Parameters
    ----------
    folder
        Of the report.
    survey
        Its results.
    title
        Heading of the first page.
    beside
        What else is known of the objects.
    steps
        Commands to go on with, and what they do.
    n_objects
        So many of the most significant objects have pages.
    counts
        Told how far it is.
    """
    writer = _Writer(folder, survey, beside or Beside(), n_objects)
    writer.write_units(writer.done, counts)
    writer.write_objects(range(writer.n_pages), counts)
    writer.write_lists()
    text = render_index(
        survey, writer.units, writer.objects, writer.beside, writer.places,
        title=title, n_pages=writer.n_pages, steps=steps,
    )  # fmt: skip
    (folder / INDEX).write_text(text, encoding="utf-8")


def write_unit_alone(folder: Path, survey: Survey, unit: Unit) -> Path:
    """Write the page of one visit and detector; where it lies.

    Raises
    ------
    InputError
        If there is no difference of it.
    """
    writer = _Writer(folder, survey, Beside())
    if unit not in writer.done:
        row = next((row for row in writer.units if unit_of(row) == unit), None)
        reason = "the survey has no such" if row is None else f"{row['outcome']}: {row['reason']}"
        raise InputError(f"there is no difference of {writer.places.words(unit)}: {reason}")
    writer.write_units([unit])
    return folder / writer.places.unit_page(unit)


def write_object_alone(folder: Path, survey: Survey, dia_object_id: int, *, beside: Beside | None = None) -> Path:
    """Write the page of one object; where it lies.

    Raises
    ------
    InputError
        If there is no such object.
    """
    writer = _Writer(folder, survey, beside or Beside())
    row = writer.objects.row_of(dia_object_id)
    if row < 0:
        raise InputError(f"{survey.collection} of {survey.repo} has no object {dia_object_id}", id=dia_object_id)
    writer.collect([dia_object_id])
    writer.write_objects([row])
    return folder / object_page(dia_object_id)


class _Writer:
    """What the pages share while they are written.

    Parameters
    ----------
    folder, survey, beside
        As for `write_survey_report`.
    n_objects
        How many objects will have pages; None where one page alone is made, which leads to those that are there.
    """

    def __init__(self, folder: Path, survey: Survey, beside: Beside, n_objects: int | None = None) -> None:
        self.folder, self.survey, self.beside = folder, survey, beside
        self.is_alone = n_objects is None
        self.units = survey.units.copy()
        listed = [unit_of(row) for row in self.units]
        self.row_of = {unit: number for number, unit in enumerate(listed)}
        self.done = [unit for unit, row in zip(listed, self.units, strict=True) if row["outcome"] == "done"]
        self.places = Places.of(listed, without_page=set(listed) - set(self.done))
        self.objects = SurveyObjects.of(survey.tables, survey.template_visits)
        self.n_pages = min(n_objects or 0, len(self.objects))
        self.with_page = frozenset(filter(self._has_page, self.objects.ids[: None if self.is_alone else self.n_pages]))
        self.side = _side(self.units)
        self._take_epochs_of([] if self.is_alone else sorted(self.with_page))
        self._objects_of_sources = _objects_of_sources(survey.tables.dia_sources)
        write_assets(folder, (*ASSETS, "images.js", "zoom.js"))

    def write_units(self, units: Sequence[Unit], counts: Counts = silent) -> None:
        """Pages of visits; the cut-outs of objects are taken on the way."""
        neighbours = _neighbours([unit for unit in self.done if self._is_there(unit)], self.places)
        for number, unit in enumerate(units, 1):
            content = content_of_unit(self.survey, unit, LISTED)
            before, after = neighbours.get(unit, (None, None))
            page = UnitPage(
                row=self.units[self.row_of[unit]], objects=self._objects_of_sources, with_page=self.with_page,
                before=before, after=after, side=self.side, is_alone=self._lacks_index,
            )  # fmt: skip
            self.units["nGood"][self.row_of[unit]] = write_unit_page(self.folder, content, page, self.places)
            self._collect_from(content, unit, self.places.unit_page(unit))
            counts("pages of visits", number, len(units))

    def collect(self, ids: Sequence[int]) -> None:
        """Take the cut-outs of some objects alone, without pages of their visits."""
        self._take_epochs_of(ids)
        for unit in self.done:
            if (unit.visit, unit.detector) in self._rows:
                page = self.places.unit_page(unit) if self._is_there(unit) else ""
                self._collect_from(content_of_unit(self.survey, unit, LISTED), unit, page)

    def _take_epochs_of(self, ids: Sequence[int]) -> None:
        """Of these objects cut-outs are to be taken: which rows of the forced sources, by visit and detector."""
        self.epochs = {number: Epochs() for number in ids}
        self._rows: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
        forced = self.objects.forced_sources
        for number, rows in epochs_to_show(self.objects, ids).items():
            for row in sorted(rows):
                self._rows[int(forced["visit"][row]), int(forced["detector"][row])].append((number, row))

    def write_objects(self, rows: Sequence[int], counts: Counts = silent) -> None:
        """Pages of objects by their place in the list."""
        for number, row in enumerate(rows, 1):
            before, after = (self._link(place) for place in (row - 1, row + 1))
            write_object_page(
                self.folder, self.objects, row, self.epochs[self.objects.ids[row]], self.beside,
                before=before, after=after, is_alone=self._lacks_index,
            )  # fmt: skip
            counts("pages of objects", number, len(rows))

    def write_lists(self) -> None:
        """The lists of visits and of objects, with pictures of light curves."""
        listed = visit_list(self.units, self.places)
        self._write_list(
            VISITS, VISIT_LIST, "Visits", listed, f"{len(self.units)} detectors of visits in order of time."
        )
        curves = [number for number in self.objects.ids[:MAX_CURVES] if number in self.objects.curves]
        if curves:
            (self.folder / "curves").mkdir(exist_ok=True)
        for number in curves:
            curve = self.objects.curves[number]
            detected, lines = self.objects.detections.get(number, {}), self.beside.lines_of(curve)
            svg = standalone(curve_svg(curve, detected=detected, beside=lines, size=SMALL))
            (self.folder / curve_file(number)).write_text(svg, encoding="utf-8")
        objects = object_list_of(self.objects, self.beside, with_page=self.n_pages, with_curve=len(curves))
        self._write_list(OBJECTS, OBJECT_LIST, "Objects", objects, self._about_objects())

    def _about_objects(self) -> str:
        """What the list of objects holds."""
        told = f"{len(self.objects)} objects, the most significant first."
        if self.n_pages < len(self.objects):
            told += f" The first {self.n_pages} have pages; diapipe report --object ID makes that of any other."
        return told

    def _write_list(self, file: str, name: str, title: str, listed: Listing, sentence: str) -> None:
        """A page that is one list."""
        write_source_list(self.folder, name, listed)
        template = environment().get_template("survey/list.html.jinja")
        text = template.render(
            title=title, sentence=sentence, root="", here=file, width="widest", before=None, after=None,
            list=listed, name=name,
        )  # fmt: skip
        (self.folder / file).write_text(text, encoding="utf-8")

    def _collect_from(self, content: PageContent, unit: Unit, page: str) -> None:
        """Cut-outs of the objects that have pages, on one image."""
        chosen = self._rows.get((unit.visit, unit.detector), [])
        if not chosen:
            return
        rows, at = self.objects.forced_sources, [row for _, row in chosen]
        drawn = draw_cutouts(content, x=column(rows[at], "x"), y=column(rows[at], "y"), side=self.side)
        for (number, row), entries in zip(chosen, drawn.entries, strict=True):
            self.epochs[number].planes = drawn.planes
            self.epochs[number].entries[row] = entries
            self.epochs[number].pages[row] = page

    @property
    def _lacks_index(self) -> bool:
        """Whether there is no report around the page."""
        return self.is_alone and not (self.folder / INDEX).exists()

    def _is_there(self, unit: Unit) -> bool:
        """Whether the page of a unit is made, or was before."""
        return not self.is_alone or (self.folder / self.places.unit_page(unit)).exists()

    def _has_page(self, dia_object_id: int) -> bool:
        """The same of an object among the first."""
        return not self.is_alone or (self.folder / object_page(dia_object_id)).exists()

    def _link(self, place: int) -> Link | None:
        """To the object at a place of the list, if it has a page."""
        if not 0 <= place < len(self.objects) or (number := self.objects.ids[place]) not in self.with_page:
            return None
        return Link(address=object_page(number), title=f"object {number}")


def _side(units: Table) -> int:
    """Side of all cut-outs of a survey, by the width of its usual PSF."""
    width = column(units, "differenceFwhm")
    width = np.where(np.isfinite(width), width, column(units, "psfFwhm")) / column(units, "pixelScale")
    known = width[np.isfinite(width)]
    return min(cutout_side(float(np.median(known)) if len(known) else None), MAX_LISTED_SIDE_PX)


def _neighbours(units: Collection[Unit], places: Places) -> dict[Unit, tuple[Link | None, Link | None]]:
    """The same detector on the visits before and after, in order of time."""
    found: dict[Unit, tuple[Link | None, Link | None]] = {}
    for key in {(unit.instrument, unit.detector) for unit in units}:
        own = [unit for unit in units if (unit.instrument, unit.detector) == key]
        links = [None, *(Link(address=places.unit_page(unit), title=f"visit {unit.visit}") for unit in own), None]
        found |= {unit: (links[place], links[place + 2]) for place, unit in enumerate(own)}
    return found


def _objects_of_sources(dia_sources: Table | None) -> dict[int, int]:
    """By diaSourceId: the object that the source belongs to."""
    if dia_sources is None:
        return {}
    names = ("diaSourceId", "diaObjectId")
    return dict(zip(*(np.asarray(dia_sources[name]).tolist() for name in names), strict=True))
