"""The map of a survey: tracts, patches, detectors of all visits, and what was found; each leads to its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.sphere import angles_of, equidistant_plane, unit_vectors
from diapipe.report.axes import Axes, Scale

type Outline = FloatArray
"""Corners in order, right ascension and declination in degrees; shape (n, 2)."""

MAX_LINKS = 3000
"""Detectors, and objects, that are links; the others are drawn alone."""
_MARGIN = 0.02
_WIDE_ARCMIN = 150.0
_SIDE_PX = 720
_LEGEND_PX = 18
_FRAME_PX = (76, 56)  # of Axes, beside and below what is drawn


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
    """The map as SVG: north up, east left, offsets from the middle; empty where nothing is known."""
    outlines = [*field.tracts, *field.patches, *field.detectors]
    if not outlines:
        return ""
    chart = _Chart.of(np.concatenate(outlines))
    low, high = _ends(np.concatenate([chart.places(outline) for outline in outlines], axis=1))
    size = _SIDE_PX * (high - low) / float((high - low).max())
    axes = Axes(
        x=Scale(low=float(high[0]), high=float(low[0])),
        y=Scale(low=float(low[1]), high=float(high[1])),
        x_label=f"{chart.unit} east",
        y_label=f"{chart.unit} north",
        title="Map of the survey: tracts, patches, detectors of all visits, and what was found",
        width=round(size[0]) + _FRAME_PX[0],
        height=round(size[1]) + _FRAME_PX[1] + _LEGEND_PX,
        top_px=12.0 + _LEGEND_PX,
    )
    _draw_detectors(axes, field, chart)
    for style, polygons in (("patch", field.patches), ("tract", field.tracts)):
        for polygon in polygons:
            axes.polygon(*chart.places(polygon), style=style)
    for style, places in field.places.items():
        axes.points(*chart.places(places), style=style, radius=2.0)
    shown = [(style, "circle", style) for style, places in field.places.items() if len(places)]
    axes.legend_above([*([("object", "diamond", "objects")] if len(field.objects) else []), *shown])
    _draw_objects(axes, field, chart)
    return axes.svg()


@dataclass(frozen=True, slots=True)
class _Chart:
    """Where the sky lies on the map.

    Attributes
    ----------
    centre
        Right ascension and declination of its origin.
    unit, per_degree
        Of its coordinates.
    """

    centre: FloatArray
    unit: str = "arcmin"
    per_degree: float = 60.0

    @classmethod
    def of(cls, corners: FloatArray) -> _Chart:
        """About the middle of positions; in arc minutes or degrees, by how far they reach."""
        centre = angles_of(unit_vectors(corners[:, 0], corners[:, 1]).mean(axis=0))
        near = cls(centre)
        return cls(centre, "degrees", 1.0) if np.abs(near.places(corners)).max() > _WIDE_ARCMIN else near

    def places(self, positions: FloatArray) -> FloatArray:
        """Offsets east and north of positions of shape (n, 2); shape (2, n)."""
        return self.per_degree * equidistant_plane(positions[:, 0], positions[:, 1], self.centre)


def _ends(places: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Least and largest of both coordinates, with a margin."""
    low, high = places.min(axis=1), places.max(axis=1)
    margin = _MARGIN * float((high - low).max())
    return low - margin, high + margin


def _draw_detectors(axes: Axes, field: SurveyField, chart: _Chart) -> None:
    """Outlines of all visits' detectors."""
    for number, polygon in enumerate(field.detectors):
        corners = chart.places(polygon)
        link = field.detector_links[number] if number < min(len(field.detector_links), MAX_LINKS) else None
        if link is None:
            axes.polygon(*corners, style="detector")
        else:
            axes.polygon(*corners, style="detector", address=link.address, title=link.title)


def _draw_objects(axes: Axes, field: SurveyField, chart: _Chart) -> None:
    """Objects, the first of them as links; they are the most significant ones."""
    n = min(len(field.object_links), MAX_LINKS)
    x, y = chart.places(field.objects) if len(field.objects) else np.zeros((2, 0))
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
