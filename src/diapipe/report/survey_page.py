"""The page of a survey: where it looked, what it found, how well; one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.sphere import tangent_plane
from diapipe.report.axes import Axes, Scale
from diapipe.report.cutouts import CutoutSheet
from diapipe.report.page import environment

type SkyPolygon = FloatArray
"""Corners in order, right ascension and declination in degrees; shape (n, 2)."""

_MARGIN = 1.04
_SIDE_PX = 720
_FRAME_PX = (70, 56)  # of Axes, beside and below what is drawn


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SurveyField:
    """What is drawn on the map, all in degrees.

    Attributes
    ----------
    tracts, patches, detectors
        Outlines.
    places
        By what they are ("found", "missed", ...): positions, shape (n, 2).
    """

    tracts: Sequence[SkyPolygon]
    patches: Sequence[SkyPolygon]
    detectors: Sequence[SkyPolygon]
    places: Mapping[str, FloatArray]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundChange:
    """One change with its cut-outs: a sheet of one row, and a line about it."""

    sheet: CutoutSheet
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectCurve:
    """The light curve of an object: a picture's address, and a line about it."""

    url: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SurveyPage:
    """What the page of a survey shows.

    Attributes
    ----------
    title, sentences
        What it is.
    headings, recovery
        The table that compares with the truth: cells of its head and rows.
    field
        The map.
    object_headings, objects
        One row an object, of the brightest.
    object_sentence
        How many were found, and how well they were measured.
    light_curves
        Of some of them.
    visit_headings, visits
        One row a visit.
    changes
        Some of what was found.
    links
        Text and address of pages on single differences.
    next_steps
        Commands, each with what it does.
    """

    title: str
    sentences: Sequence[str]
    headings: Sequence[str]
    recovery: Sequence[Sequence[str]]
    field: SurveyField
    object_headings: Sequence[str] = ()
    objects: Sequence[Sequence[str]] = ()
    object_sentence: str = ""
    light_curves: Sequence[ObjectCurve] = ()
    visit_headings: Sequence[str]
    visits: Sequence[Sequence[str]]
    changes: Sequence[FoundChange]
    links: Sequence[tuple[str, str]]
    next_steps: Sequence[tuple[str, str]]


def render_survey_page(page: SurveyPage) -> str:
    """The page as HTML text."""
    return environment().get_template("survey.html.jinja").render(page=page, map=sky_map(page.field))


def sky_map(field: SurveyField) -> str:
    """Tracts, patches, detectors and changes as SVG: north up, east left, arcminutes from the middle."""
    outlines = [*field.tracts, *field.patches, *field.detectors]
    centre = _middle(field.detectors or outlines)
    reach = _MARGIN * max(float(np.abs(_arcmin(outline, centre)).max()) for outline in outlines)
    axes = Axes(
        x=Scale(low=reach, high=-reach),
        y=Scale(low=-reach, high=reach),
        x_label="arcmin east",
        y_label="arcmin north",
        title="Map of the survey: tracts, patches, detectors and changes",
        width=_SIDE_PX + _FRAME_PX[0],
        height=_SIDE_PX + _FRAME_PX[1],
    )
    for style, polygons in (("detector", field.detectors), ("patch", field.patches), ("tract", field.tracts)):
        for polygon in polygons:
            corners = _arcmin(polygon, centre)
            axes.line(*np.concatenate([corners, corners[:, :1]], axis=1), style=style)
    for style, places in field.places.items():
        axes.points(*_arcmin(places, centre), style=style, radius=4.0)
    axes.legend([(style, style) for style in field.places], is_dots=True)
    return axes.svg()


def _middle(outlines: Sequence[SkyPolygon]) -> FloatArray:
    """A position in the middle, for a field that is small."""
    corners = np.concatenate(list(outlines))
    turn = (corners[:, 0] - corners[0, 0] + 180.0) % 360.0 - 180.0
    return np.array(
        [corners[0, 0] + 0.5 * (turn.min() + turn.max()), 0.5 * np.sum(np.percentile(corners[:, 1], [0, 100]))]
    )


def _arcmin(places: FloatArray, centre: FloatArray) -> FloatArray:
    """Offsets east and north, shape (2, n)."""
    return 60.0 * tangent_plane(places[:, 0], places[:, 1], centre)
