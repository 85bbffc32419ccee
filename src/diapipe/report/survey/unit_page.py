"""The page of a visit and detector: its difference, what was found on it, how good it is."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table

from diapipe.catalogs.schema import Column
from diapipe.catalogs.survey_units import SURVEY_UNITS, unit_of
from diapipe.report.content import PageContent
from diapipe.report.cutouts import draw_cutouts
from diapipe.report.dia_source_list import dia_source_list, worst_first
from diapipe.report.numbers import MISSING, fixed, number
from diapipe.report.page import environment, values_of_images
from diapipe.report.rows import column, detected
from diapipe.report.source_list import write_source_list
from diapipe.report.survey.lists import with_objects
from diapipe.report.survey.places import UP, Places
from diapipe.report.survey.sky_map import Link
from diapipe.report.words import Tile

MAX_SIDE_PX = 290
"""Of the pictures: three of them take 0.2 MB of a page."""
_COUNTS = ("nKernelStars", "nSources", "nGood")
_NOT_LISTED = ("raCorners", "decCorners", "reason", "outcome")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UnitPage:
    """What the page of a unit needs beside its images.

    Attributes
    ----------
    row
        Of the unit, in `SURVEY_UNITS`.
    objects
        By diaSourceId: object of the source.
    with_page
        Objects that have a page.
    before, after
        The same detector on the visits before and after.
    side
        Of the cut-outs, pixels.
    is_alone
        There is no report around it to lead to.
    """

    row: Table.Row
    objects: Mapping[int, int]
    with_page: Collection[int]
    before: Link | None
    after: Link | None
    side: int
    is_alone: bool = False


def write_unit_page(folder: Path, content: PageContent, page: UnitPage, places: Places) -> int:
    """Write the page, its list and its cut-outs; how many sources passed the default cut."""
    unit = unit_of(page.row)
    name = places.name(unit)
    found = detected(content.dia_sources) if len(content.dia_sources) else content.dia_sources
    found = found[worst_first(found)] if len(found) else found
    cutouts = draw_cutouts(content, x=column(found, "x"), y=column(found, "y"), side=page.side)
    listed = dia_source_list(found, cutouts=cutouts, caption=f"Sources of {places.words(unit)}", flux_unit="nJy")
    of_source = [page.objects.get(int(number), 0) for number in found["diaSourceId"]] if len(found) else []
    listed = with_objects(listed, of_source, lambda number: number in page.with_page)
    write_source_list(folder, name, listed)
    n_good = int((column(found, "dp_bad") == 0).sum())
    text = environment().get_template("survey/unit.html.jinja").render(
        title=places.words(unit)[0].upper() + places.words(unit)[1:],
        sentence=_sentence(page.row),
        root=UP, here="", width="widest", before=page.before, after=page.after,
        is_alone=page.is_alone,
        numbers=_tiles(page.row, len(found), n_good),
        list=listed, name=name,
        entries=_facts(page.row, n_good),
        **values_of_images(replace(content, dia_sources=found), at_most=MAX_SIDE_PX),
    )  # fmt: skip
    path = folder / places.unit_page(unit)
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return n_good


def _sentence(row: Table.Row) -> str:
    """What was looked at, and how."""
    used = (
        " The visit is in its own template: what changed is fainter by its weight there." if row["inTemplate"] else ""
    )
    return f"Band {row['band']}, MJD {float(row['mjd']):.5f}, {row['instrument']}.{used}"


def _tiles(row: Table.Row, n_sources: int, n_good: int) -> list[Tile]:
    """Headline numbers, those that the run told."""
    value = {name: float(row[name]) for name in _NAMES}
    tiles = [
        Tile(f"{n_good}", "sources that passed", f"of {n_sources} detected"),
        Tile(_with_unit(value["psfFwhm"], 2, "″"), "seeing", f"template {_with_unit(value['templateFwhm'], 2, '″')}"),
        Tile(
            fixed(value["noiseRatio"], 3), "noise over its claim", "1 at best; the pixels' scatter",
            _within(value["noiseRatio"], 0.9, 1.1),
        ),
        Tile(
            fixed(value["starReducedChi2"], 2), "χ² at bright stars", "1 at best",
            _within(value["starReducedChi2"], 0.0, 1.5),
        ),
        Tile(
            fixed(value["kernelScale"], 4), "kernel sum against scale", "1 at best",
            _within(value["kernelScale"], 0.98, 1.02),
        ),
        Tile(fixed(value["differenceMagLim"], 2), "depth, mag", f"5σ; template {fixed(value['templateMagLim'], 2)}"),
    ]  # fmt: skip
    return [tile for tile in tiles if tile.value != MISSING]


def _with_unit(value: float, decimals: int, unit: str) -> str:
    """A number with its unit, or the dash alone."""
    text = fixed(value, decimals)
    return text if text == MISSING else text + unit


_NAMES = (
    *("psfFwhm", "templateFwhm", "noiseRatio", "starReducedChi2", "kernelScale"),
    *("differenceMagLim", "templateMagLim"),
)


def _within(value: float, low: float, high: float) -> bool | None:
    """Whether a number is in its ordinary range; None where there is none."""
    return low <= value <= high if np.isfinite(value) else None


def _facts(row: Table.Row, n_good: int) -> list[tuple[str, str, str]]:
    """Every number of the unit: name, value with its unit, meaning."""
    told = {"nGood": float(n_good)}  # counted while the page is made
    return [
        (entry.name, _value(told.get(entry.name, row[entry.name]), entry), entry.description)
        for entry in SURVEY_UNITS
        if entry.name not in _NOT_LISTED
    ]


def _value(value: Any, entry: Column) -> str:
    """A cell as a person reads it."""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating):
        text = fixed(float(value), 0) if entry.name in _COUNTS else number(float(value), 9 if entry.unit == "d" else 4)
        return f"{text} {entry.unit}".strip() if text != MISSING else text
    return str(value)
