"""Sky sources: places where nothing is, measured like detections, that tell whether fluxes and errors are right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diapipe.images import Detections, Footprints, Peaks
from diapipe.images.mask import planes_of
from diapipe.numerics.arrays import BoolArray, FloatArray, IntArray
from diapipe.numerics.components import disk_half_widths
from diapipe.steps.limits import Limited


@dataclass(frozen=True, slots=True, kw_only=True)
class SkySources(Limited):
    """How many sky sources are placed, and what they keep away from.

    Attributes
    ----------
    n_sources
        As many as are wanted; fewer where there is no room.
    radius_px
        Of the circle that each of them takes.
    avoided_planes
        Mask planes, by name, of which no pixel lies in the circles.
    grow_px
        The planes are grown by so much before.
    trials_per_source
        Places are tried until this many times the wanted number.

    Raises
    ------
    UsageError
        If a mask plane does not exist.
    """

    may_be_zero = ("grow_px",)

    n_sources: int = 100
    radius_px: int = 8
    avoided_planes: tuple[str, ...] = ("DETECTED", "DETECTED_NEGATIVE", "BAD", "NO_DATA", "EDGE")
    grow_px: int = 0
    trials_per_source: int = 5

    def __post_init__(self) -> None:
        Limited.__post_init__(self)
        planes_of(self.avoided_planes)


def sky_sources(detections: Detections, *, options: SkySources, rng: np.random.Generator) -> Footprints:
    """Circles on empty sky, each with one peak: its middle, with the score that happens to be there.

    Parameters
    ----------
    detections
        With the mask of what was detected.
    options
        How many, how large.
    rng
        Begins the sequence of places (Halton's, scrambled: even and without a pattern).

    Returns
    -------
    Footprints
        No two circles nearer than a radius, none on an avoided pixel or over the border.
    """
    score, radius = detections.score, options.radius_px
    height, width = score.shape
    margin = radius + 1
    if height <= 2 * margin or width <= 2 * margin:
        return _circles(np.empty((0, 2)), detections, radius)
    avoided = (score.mask & np.int32(int(planes_of(options.avoided_planes)))) != 0
    room = np.array([width - 2 * margin, height - 2 * margin]) - 1.0
    n = options.n_sources * options.trials_per_source
    places = margin + _even_places(n, rng) * room
    disk = _disk(radius + options.grow_px)
    taken: list[FloatArray] = []
    for place in places:
        if len(taken) == options.n_sources:
            break
        near = [other for other in taken if np.hypot(*(other - place)) <= 3 * radius]
        if not near and not _touches(avoided, disk, place):
            taken.append(place)
    return _circles(np.array(taken).reshape(-1, 2), detections, radius)


def _even_places(n: int, rng: np.random.Generator) -> FloatArray:
    """Points of the unit square that cover it evenly; shape (n, 2)."""
    from scipy.stats import qmc  # a second to import, for those who ask for sky sources

    return np.asarray(qmc.Halton(2, rng=rng).random(n), dtype=np.float64)


def _disk(radius: int) -> BoolArray:
    """Pixels of a disk in a square of ``2 radius + 1``."""
    offset = np.arange(-radius, radius + 1)
    return np.asarray(np.abs(offset)[None, :] <= disk_half_widths(radius)[:, None], dtype=np.bool_)


def _pixel(place: FloatArray) -> IntArray:
    """Column and row that hold a place."""
    return np.floor(np.asarray(place) + 0.5).astype(np.int64)


def _touches(avoided: BoolArray, disk: BoolArray, place: FloatArray) -> bool:
    """Whether a disk around a place holds an avoided pixel; the disk may reach over the border."""
    half = disk.shape[0] // 2
    x, y = _pixel(place)
    top, left = max(y - half, 0), max(x - half, 0)
    under = avoided[top : y + half + 1, left : x + half + 1]
    over = disk[top - (y - half) :, left - (x - half) :][: under.shape[0], : under.shape[1]]
    return bool((under & over).any())


def _circles(places: FloatArray, detections: Detections, radius: int) -> Footprints:
    """Footprints of circles with their middles as peaks."""
    box, score = detections.score.box, detections.score.image
    x, y = places.T
    columns, rows = _pixel(x), _pixel(y)
    half = disk_half_widths(radius)
    spans = np.empty((len(places), len(half), 3), np.int64)
    spans[:, :, 0] = rows[:, None] + np.arange(-radius, radius + 1) + box.y0
    spans[:, :, 1] = columns[:, None] - half + box.x0
    spans[:, :, 2] = columns[:, None] + half + 1 + box.x0
    none = np.full(len(places), np.nan)
    value = score[rows, columns].astype(np.float64) if len(places) else np.empty(0)
    peaks = Peaks(x + box.x0, y + box.y0, value, np.arange(len(places)), none, none.copy(), none.copy())
    return Footprints(spans.reshape(-1, 3), np.arange(len(places) + 1) * len(half), peaks, box)
