"""Points in a row: groups on a straight line that chance does not make."""

from __future__ import annotations

import numpy as np
from scipy import special
from scipy.spatial import KDTree

from diapipe.numerics.arrays import BoolArray, FloatArray, IntArray

_WIDTHS = (1.0, 0.3, 0.1)
"""Half-widths of the strips that are tried, in units of the largest."""

_AT_MOST = 200
"""Points around one that are looked at, the nearest: among more, chance makes any line."""


def points_in_rows(
    x: FloatArray, y: FloatArray, *, radius: float, least: int, max_rms: float, false_alarm: float
) -> BoolArray:
    """Which points belong to a straight row.

    Through every point and every other one near it a strip is laid, in three widths. It is a row if it holds enough
    points, they scatter little across it, and random points of that density would hold as many with a probability
    that stays below ``false_alarm`` after as many trials as there are pairs and widths.

    Parameters
    ----------
    x, y
        Finite positions, shape (n,).
    radius
        A row reaches at most this far from its middle point.
    least
        Number of points of a row.
    max_rms
        Largest scatter across the line through them.
    false_alarm
        Expected number of rows by chance, over all points.
    """
    found = np.zeros(len(x), np.bool_)
    if len(x) < least:
        return found
    places = np.stack([x, y], axis=1)
    near = KDTree(places).query_ball_point(places, radius)
    limit = false_alarm / (len(_WIDTHS) * max(sum(len(members) - 1 for members in near), 1))
    for i, members in enumerate(near):
        others = np.array([j for j in members if j != i], dtype=np.int64)
        if len(others) < least - 1:
            continue
        others = others[np.argsort(np.hypot(*(places[others] - places[i]).T), kind="stable")[:_AT_MOST]]
        found[_row_through(places, i, others, radius, least, max_rms, limit)] = True
    return found


def _row_through(
    places: FloatArray, i: int, others: IntArray, radius: float, least: int, max_rms: float, limit: float
) -> IntArray:
    """Indices of the most improbable row through a point; empty if chance makes such a one."""
    offset = places[others] - places[i]
    length = np.hypot(*offset.T)
    apart = length > 0
    direction = offset[apart] / length[apart, None]
    across = np.abs(direction[:, :1] * offset[:, 1] - direction[:, 1:] * offset[:, 0])
    best, lowest = np.empty(0, np.int64), limit
    for width in np.array(_WIDTHS) * 2.0 * max_rms:
        inside = across <= width
        number = inside.sum(axis=1)
        if len(number) == 0 or number.max() + 1 < least:
            continue
        chance = 4.0 * width * radius / (np.pi * radius**2) * len(others)
        k = int(number.argmax())
        probability = float(special.gammainc(max(number[k] - 1, 1), chance))
        members = np.append(others[inside[k]], i)
        if probability < lowest and _rms_across(places[members]) <= max_rms:
            best, lowest = members, probability
    return best


def _rms_across(places: FloatArray) -> float:
    """Scatter of points across the line of least squares through them."""
    centred = places - places.mean(axis=0)
    return float(np.linalg.svd(centred, compute_uv=False)[-1] / np.sqrt(len(places)))
