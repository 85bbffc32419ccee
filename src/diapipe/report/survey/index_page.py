"""The first page of a survey's report: headline numbers, what failed, what stands out, map, objects, trends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.table import Table

from diapipe.catalogs.survey_units import unit_of
from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.stats import median
from diapipe.report.curve_svg import SMALL, curve_svg
from diapipe.report.numbers import counted, fixed
from diapipe.report.page import environment
from diapipe.report.rows import column
from diapipe.report.survey.content import Beside, Survey
from diapipe.report.survey.objects import SurveyObjects
from diapipe.report.survey.places import INDEX, Places, object_page
from diapipe.report.survey.sky_map import Link, SurveyField, sky_map
from diapipe.report.survey.trends import LIMIT_SIGMA, TRENDS, standing_out, trend_plot
from diapipe.report.words import Tile

MAX_ODD, N_CURVES, MAX_DOTS = 15, 6, 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class BrightObject:
    """An object on the first page."""

    address: str
    title: str
    words: str
    svg: str


def render_index(
    survey: Survey,
    units: Table,
    objects: SurveyObjects,
    beside: Beside,
    places: Places,
    *,
    title: str,
    n_pages: int,
    steps: Sequence[tuple[str, str]],
) -> str:
    """The page as HTML text.

    Parameters
    ----------
    survey, beside
        The results, and what is known beside.
    units, objects
        Of the survey, the units with their counts of sources.
    places
        Where pages lie.
    title
        Its heading.
    n_pages
        So many of the objects have pages.
    steps
        Commands to go on with, and what they do.
    """
    odd = standing_out(units)
    reasons = survey.reasons()
    plots = [(trend, trend_plot(units, trend, places)) for trend in TRENDS]
    return environment().get_template("survey/index.html.jinja").render(
        title=title,
        sentence=sentence_of(survey, units),
        root="", here=INDEX, before=None, after=None,
        numbers=tiles_of(units, objects),
        failures=[line for kind, line in reasons if kind == "failed"],
        idle=[line for kind, line in reasons if kind != "failed"],
        odd=[(Link(address=places.address(one.unit), title=places.words(one.unit)), one) for one in odd[:MAX_ODD]],
        n_odd=len(odd), odd_limit=LIMIT_SIGMA,
        map=sky_map(_field(survey, units, objects, beside, places, n_pages)),
        map_note=f"diamonds: objects; dots: {'true changes on each difference' if beside.dots else 'their sources'}.",
        sections=beside.sections,
        curves=_curves(objects, beside, n_pages), n_objects=len(objects),
        beside=beside.name if beside.lines is not None else "",
        trends=[(trend, svg) for trend, svg in plots if svg],
        tasks=survey.counts(),
        steps=steps,
    )  # fmt: skip


def sentence_of(survey: Survey, units: Table) -> str:
    """What was looked at."""
    mjd = column(units, "mjd")
    known = mjd[np.isfinite(mjd)]
    n_visits = len(np.unique(np.asarray(units["visit"])))
    bands = sorted({str(band) for band in units["band"]} - {""})
    when = f", MJD {known.min():.1f} to {known.max():.1f}" if len(known) else ""
    template = f"; {counted(len(survey.template_visits), 'visit')} made the templates" if survey.template_visits else ""
    return f"{survey.collection} of {survey.repo}: {counted(n_visits, 'visit')} in {', '.join(bands)}{when}{template}."


def tiles_of(units: Table, objects: SurveyObjects) -> list[Tile]:
    """Headline numbers."""
    outcome = np.asarray(units["outcome"])
    n_done, n_failed = int((outcome == "done").sum()), int((outcome == "failed").sum())
    often = int((objects.n_sources >= 2).sum()) if len(objects) else 0
    good, detected = column(units, "nGood"), f"{np.nansum(column(units, 'nSources')):.0f}"
    passed = Tile(f"{np.nansum(good):.0f}", "sources that passed", f"of {detected} detected")
    return [
        Tile(
            f"{n_done} of {len(units)}", "detectors differenced",
            f"{n_failed} failed, {len(units) - n_done - n_failed} without work", n_failed == 0,
        ),
        passed if np.isfinite(good).any() else Tile(detected, "sources detected"),  # pages count those that passed
        Tile(f"{len(objects)}", "objects", f"{often} of them found at least twice"),
        *filter(None, (_middle(units, *entry) for entry in _MEDIANS)),
    ]  # fmt: skip


_MEDIANS = (
    ("psfFwhm", "median seeing", 2, "″", None),
    ("differenceMagLim", "median depth", 2, " mag", None),
    ("noiseRatio", "median noise over its claim", 3, "", (0.95, 1.05)),
    ("starReducedChi2", "median χ² at bright stars", 2, "", (0.8, 1.5)),
    ("kernelScale", "median kernel sum against scale", 4, "", (0.99, 1.01)),
)
"""Column, label, decimals, unit, and the range that is ordinary."""


def _middle(
    units: Table, name: str, label: str, decimals: int, unit: str, usual: tuple[float, float] | None
) -> Tile | None:
    """A median, and between which values nine tenths lie; None where the run did not tell."""
    values = column(units, name)
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    low, high = np.percentile(values, [5, 95])
    value = median(values)
    is_fine = None if usual is None else usual[0] <= value <= usual[1]
    return Tile(
        f"{fixed(value, decimals)}{unit}", label, f"90%: {fixed(low, decimals)} to {fixed(high, decimals)}", is_fine
    )


def map_of_survey(survey: Survey, units: Table, objects: SurveyObjects) -> str:
    """The map alone, without links."""
    tracts, patches = survey.tract_outlines()
    known = [row for row in units if np.isfinite(row["raCorners"]).all()]
    return sky_map(
        SurveyField(
            tracts=tracts, patches=patches, detectors=[_corners(row) for row in known], objects=objects.positions
        )
    )


def _field(
    survey: Survey, units: Table, objects: SurveyObjects, beside: Beside, places: Places, n_pages: int
) -> SurveyField:
    """What is on the map."""
    tracts, patches = survey.tract_outlines()
    known = [row for row in units if np.isfinite(row["raCorners"]).all()]
    listed = [(unit_of(row), row) for row in known]
    return SurveyField(
        tracts=tracts,
        patches=patches,
        detectors=[_corners(row) for row in known],
        detector_links=[Link(address=places.address(unit), title=places.words(unit)) for unit, _ in listed],
        places=beside.dots or {"detected": _detections(survey.tables.dia_sources)},
        objects=objects.positions if len(objects) else np.zeros((0, 2)),
        object_links=[
            Link(address=object_page(number), title=f"object {number}, S/N {fixed(float(snr), 1)}")
            for number, snr in zip(objects.ids[:n_pages], objects.best_snr, strict=False)
        ],
    )


def _detections(dia_sources: Table | None) -> FloatArray:
    """Positions of the sources of objects, shape (n, 2); some of them where there are very many."""
    if dia_sources is None or "ra" not in dia_sources.colnames:
        return np.zeros((0, 2))
    step = -(-len(dia_sources) // MAX_DOTS) or 1
    return np.stack([column(dia_sources, "ra"), column(dia_sources, "dec")], axis=1)[::step]


def _corners(row: Any) -> FloatArray:
    """Corners of a detector."""
    return np.stack([np.asarray(row["raCorners"]), np.asarray(row["decCorners"])], axis=1).astype(np.float64)


def _curves(objects: SurveyObjects, beside: Beside, n_pages: int) -> list[BrightObject]:
    """Light curves of the brightest that were found more than once."""
    chosen = [row for row in range(min(n_pages, len(objects))) if objects.n_sources[row] >= 2][:N_CURVES]
    found = []
    for row in chosen:
        number = objects.ids[row]
        if (curve := objects.curves.get(number)) is None:
            continue
        lines, detected = beside.lines_of(curve), objects.detections.get(number, {})
        found.append(
            BrightObject(
                address=object_page(number),
                title=f"Object {number}",
                words=f", {beside.of_object.get(number, 'nothing')} in the {beside.name}" if beside.name else "",
                svg=curve_svg(curve, detected=detected, beside=lines, size=SMALL),
            )
        )
    return found
