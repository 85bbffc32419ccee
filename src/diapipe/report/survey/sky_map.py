"""The map of a survey: tracts, patches, detectors of all visits, and what was found; each leads to its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.sphere import tangent_plane
from diapipe.report.axes import Axes, Scale

type Outline = FloatArray
"""Corners in order, right ascension and declination in degrees; shape (n, 2)."""

MAX_LINKS = 3000
"""Detectors, and objects, that are links; the others are drawn alone."""
_MARGIN = 1.04
_SIDE_PX = 720
_FRAME_PX = (70, 56)  # of Axes, beside and below what is drawn


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Where something on the map leads, and what it is."""

    address: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SurveyField:
    """What is drawn on the map, all in degrees.

    Attributes
    ----------
    tracts, patches, detectors
        Outlines.
    detector_links
        Of the detectors, in their order; none where they have no pages.
    places
        By what they are ("found", "missed", ...): positions, shape (n, 2), drawn as dots.
    objects, object_links
        Positions of objects, and where they lead.
    """

    tracts: Sequence[Outline]
    patches: Sequence[Outline]
    detectors: Sequence[Outline]
    detector_links: Sequence[Link] = ()
    places: Mapping[str, FloatArray] = field(default_factory=dict)
    objects: FloatArray = field(default_factory=lambda: np.zeros((0, 2)))
    object_links: Sequence[Link] = ()


def sky_map(field: SurveyField) -> str:
    """The map as SVG: north up, east left, arcminutes from the middle; empty where nothing is known."""
    outlines = [*field.tracts, *field.patches, *field.detectors]
    if not outlines:
        return ""
    centre = _middle(outlines)
    reach = _MARGIN * np.abs(np.concatenate([_arcmin(outline, centre) for outline in outlines], axis=1)).max(axis=1)
    scale = _SIDE_PX / float(reach.max())
    axes = Axes(
        x=Scale(low=float(reach[0]), high=-float(reach[0])),
        y=Scale(low=-float(reach[1]), high=float(reach[1])),
        x_label="arcmin east",
        y_label="arcmin north",
        title="Map of the survey: tracts, patches, detectors of all visits, and what was found",
        width=round(scale * reach[0]) + _FRAME_PX[0],
        height=round(scale * reach[1]) + _FRAME_PX[1],
    )
    _draw_detectors(axes, field, centre)
    for style, polygons in (("patch", field.patches), ("tract", field.tracts)):
        for polygon in polygons:
            axes.polygon(*_arcmin(polygon, centre), style=style)
    for style, places in field.places.items():
        axes.points(*_arcmin(places, centre), style=style, radius=2.0)
    axes.legend([(style, style) for style in field.places], is_dots=True)
    _draw_objects(axes, field, centre)
    return axes.svg()


def _draw_detectors(axes: Axes, field: SurveyField, centre: FloatArray) -> None:
    """Outlines of all visits' detectors."""
    for number, polygon in enumerate(field.detectors):
        corners = _arcmin(polygon, centre)
        link = field.detector_links[number] if number < min(len(field.detector_links), MAX_LINKS) else None
        if link is None:
            axes.polygon(*corners, style="detector")
        else:
            axes.polygon(*corners, style="detector", address=link.address, title=link.title)


def _draw_objects(axes: Axes, field: SurveyField, centre: FloatArray) -> None:
    """Objects, the first of them as links; they are the most significant ones."""
    n = min(len(field.object_links), MAX_LINKS)
    x, y = _arcmin(field.objects, centre) if len(field.objects) else np.zeros((2, 0))
    axes.symbols(x[n:], y[n:], style="object", shape="diamond", radius=4.0)
    axes.links(
        x[:n],
        y[:n],
        style="object",
        shape="diamond",
        radius=4.5,
        addresses=[link.address for link in field.object_links[:n]],
        titles=[link.title for link in field.object_links[:n]],
    )


def _middle(outlines: Sequence[Outline]) -> FloatArray:
    """A position in the middle, for a field that is small."""
    corners = np.concatenate(list(outlines))
    turn = (corners[:, 0] - corners[0, 0] + 180.0) % 360.0 - 180.0
    return np.array(
        [corners[0, 0] + 0.5 * (turn.min() + turn.max()), 0.5 * np.sum(np.percentile(corners[:, 1], [0, 100]))]
    )


def _arcmin(places: FloatArray, centre: FloatArray) -> FloatArray:
    """Offsets east and north, shape (2, n)."""
    return 60.0 * tangent_plane(places[:, 0], places[:, 1], centre)
