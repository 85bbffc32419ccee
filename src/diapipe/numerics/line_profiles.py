"""The profile across a line: where the line really runs, how wide it is, and whether all of it is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from diapipe.numerics.arrays import BoolArray, Float32Array, FloatArray, IntArray
from diapipe.numerics.line_sums import Line

MEDIAN_NOISE = 1.2533
"""Scatter of a median of normal values over that of their mean."""

_GROUPS = 12
"""Pieces of a line of each of which the profile is taken."""

_ROUNDS = 4
_LEAST_ROWS = 3
"""Usable pixels of a piece, at one distance from the line, that its median needs."""

_NEAR = 3
"""Columns from the line within which the highest of its profile is looked for."""

_BESIDE = 2
"""Pixels on either side of a line that are beside it."""

_CLEAR = 3.0
"""Sigma above which a piece tells where the line is."""

_LEAST_BRIGHT = 0.5
"""Part of the rows of a line that must be bright, in one piece, to tell how even it is."""

_QUARTILE = 0.6745
"""So many sigma is the lower quartile of normal values below their median."""


@dataclass(frozen=True, slots=True, eq=False)
class LineProfile:
    """What was found across a line, in pixels of the image that it was found on.

    Attributes
    ----------
    line
        With ``start`` and ``slope`` as they were refined.
    low, high
        Distance of its borders from it, square to it; ``low`` is not positive, ``high`` not negative.
    level
        Height of the brightest column of the profile.
    significance
        Of the brightest column of the profile: by medians, so that points on the line count for nothing. 0 for a line
        that is wider than what is looked at.
    share
        Part of the line's pieces in which it is seen.
    usable
        Part of the pixels along its middle that are usable, by the errors of the medians.
    beside
        Part of the pieces beside it, on the worse side, that are usable.
    evenness
        Level of its fainter half over that of the whole: 1 for a line, little for points in a row. 0 where that cannot
        be told.
    """

    line: Line
    low: float
    high: float
    level: float
    significance: float
    share: float
    usable: float
    beside: float
    evenness: float


class _Limits(NamedTuple):
    """A profile ends where it is below ``n_sigma`` of its errors or below ``least_level``."""

    n_sigma: float
    least_level: float


def profile(
    significance: FloatArray | Float32Array, line: Line, *, max_width: float, least_level: float, n_sigma: float = 2.0
) -> LineProfile:
    """Follow a line, and measure what is across it.

    Parameters
    ----------
    significance
        Pixels of unit variance, NaN where unusable.
    line
        Where to look, as `line_sums.brightest_lines` gives it.
    max_width
        Width of what is looked at, pixels; a line must be narrower.
    least_level
        The line ends, sideways, where its profile is below this,
    n_sigma
        and below so many errors of it.

    Notes
    -----
    The line is cut into 12 pieces; in each, the profile is the median along the line. The middle of the light of each
    piece gives a new line by least squares, four times; the profile of the whole is the median of the pieces'.
    """
    image = significance if line.steep else significance.T
    sign = 1.0 if line.sigma > 0 else -1.0
    reach = int(np.ceil(0.5 * max_width * np.hypot(1.0, line.slope))) + 3
    given = line
    for _ in range(_ROUNDS):
        pieces, errors, middles = _pieces(_strip(image, line, reach, sign), line)
        better = _recentred(line, pieces, errors, middles, _Limits(n_sigma, least_level))
        if better == line or _apart(better, given) > reach:
            break
        line = better
    strip = _strip(image, line, reach, sign)
    pieces, errors, _ = _pieces(strip, line)
    return _measured(line, strip, pieces, errors, _Limits(n_sigma, least_level))


def _apart(line: Line, other: Line) -> float:
    """Largest distance of two lines along the columns."""
    begin = line.start - other.start
    return max(abs(begin), abs(begin + (line.slope - other.slope) * (line.last - line.first)))


def _strip(image: FloatArray | Float32Array, line: Line, reach: int, sign: float) -> FloatArray:
    """Pixels along a line, and up to ``reach`` beside it: (rows, 2 reach + 1), NaN where unknown."""
    rows = np.arange(line.first, line.last)
    at = np.floor(line.start + line.slope * (rows - line.first) + 0.5).astype(np.int64)
    columns = at[:, None] + np.arange(-reach, reach + 1)
    inside = (columns >= 0) & (columns < image.shape[1])
    values = sign * image[rows[:, None], np.clip(columns, 0, image.shape[1] - 1)]
    return np.asarray(np.where(inside, values, np.nan), dtype=np.float64)


def _pieces(strip: FloatArray, line: Line) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Profiles of the pieces and their errors, (n, 2 reach + 1), NaN where unknown; and the middle row of each."""
    groups = np.array_split(np.arange(len(strip)), min(_GROUPS, max(1, len(strip) // _LEAST_ROWS)))
    medians, errors = zip(*(_medians(strip[group]) for group in groups), strict=True)
    return np.stack(medians), np.stack(errors), np.array([line.first + group.mean() for group in groups])


def _medians(strip: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Median of each column without its NaN, and its error for unit variance; NaN where there are too few."""
    known = np.isfinite(strip)
    number = known.sum(axis=0)
    ordered = np.sort(np.where(known, strip, np.inf), axis=0)
    every = np.arange(strip.shape[1])
    last = max(len(strip) - 1, 0)
    low = ordered[np.clip((number - 1) // 2, 0, last), every]
    high = ordered[np.clip(number // 2, 0, last), every]
    enough = number >= _LEAST_ROWS
    median = np.where(enough, 0.5 * (low + np.where(np.isfinite(high), high, low)), np.nan)
    return median, np.where(enough, MEDIAN_NOISE / np.sqrt(np.maximum(number, 1)), np.nan)


def _across(pieces: FloatArray, errors: FloatArray, limits: _Limits) -> tuple[FloatArray, FloatArray, int, int, int]:
    """The whole line's profile and its significance, its highest column near the middle, its first and its last."""
    known = np.isfinite(pieces)
    number = np.maximum(known.sum(axis=0), 1)
    whole = _medians(pieces)[0] if len(pieces) >= _LEAST_ROWS else np.where(known, pieces, 0.0).sum(axis=0) / number
    error = MEDIAN_NOISE * np.where(known, errors, 0.0).sum(axis=0) / number / np.sqrt(number)
    level = np.nan_to_num(whole, nan=0.0)
    ratio = np.where(error > 0, level / np.maximum(error, 1e-9), 0.0)
    middle = pieces.shape[1] // 2
    near = slice(middle - _NEAR, middle + _NEAR + 1)
    top = middle - _NEAR + int(ratio[near].argmax())
    low, high = _extent(level > np.maximum(limits.n_sigma * error, limits.least_level), top)
    return level, ratio, top, low, high


def _recentred(line: Line, pieces: FloatArray, errors: FloatArray, middles: FloatArray, limits: _Limits) -> Line:
    """The line through the middles of the light of those pieces in which it is clear; as it was if these are few.

    Only light about as far out as the line is wide is looked at. A piece counts by its light, so that one beside the
    end of the line, which sees noise only, moves nothing.
    """
    reach = pieces.shape[1] // 2
    _, _, _, low, high = _across(pieces, errors, limits)
    margin = 2 + (high - low) // 2
    offset = np.arange(pieces.shape[1])
    near = (offset >= low - margin) & (offset <= high + margin)
    light = np.where(near & (pieces > _CLEAR * errors), pieces, 0.0)
    total = light.sum(axis=1)
    clear = total > 0
    if clear.sum() < 3:
        return line
    at = (light[clear] * (offset - reach)).sum(axis=1) / total[clear]
    row = middles[clear] - line.first
    change, begin = np.polyfit(row, at, 1, w=total[clear])
    if abs(begin) < 0.1 and abs(change) * (line.last - line.first) < 0.1:
        return line
    return line._replace(start=line.start + float(begin), slope=line.slope + float(change))


def _evenness(along: FloatArray) -> float:
    """What the lower quartile of the rows of a line says of its level, over what their median says.

    The quartile is raised by what the noise takes off it, so that both are the level of a line that is everywhere the
    same, and stars that stand on it raise both. Looked at is where the line is bright, in one piece.
    """
    known = np.isfinite(along)
    number = known.sum(axis=1)
    rows = number > 0
    if rows.sum() < 2 * _LEAST_ROWS:
        return 0.0
    number = number[rows]
    values = np.where(known, along, 0.0).sum(axis=1)[rows] / number
    lit = _bright_part(values)
    if lit.stop - lit.start < _LEAST_BRIGHT * len(values):
        return 0.0
    quartile, median = np.percentile(values[lit], [25.0, 50.0])
    noise = np.sqrt((1.0 / number[lit]).mean())
    return float((quartile + _QUARTILE * noise) / median) if median > 0 else 0.0


def _bright_part(values: FloatArray) -> slice:
    """Where the excess over half of the median, which no star raises beyond the median, has its largest sum."""
    median = np.median(values)
    gain = np.concatenate([[0.0], np.cumsum(np.minimum(values, 1.5 * median) - 0.5 * median)])
    last = int((gain - np.minimum.accumulate(gain)).argmax())
    return slice(int(gain[: last + 1].argmin()), last)


def _measured(line: Line, strip: FloatArray, pieces: FloatArray, errors: FloatArray, limits: _Limits) -> LineProfile:
    """Borders, significance and completeness from the profiles of the pieces."""
    reach, known = pieces.shape[1] // 2, np.isfinite(pieces)
    level, ratio, top, low, high = _across(pieces, errors, limits)
    inside = known[:, low : high + 1]
    seen: FloatArray = inside.sum(axis=1).astype(np.float64)
    mean = np.where(inside, pieces[:, low : high + 1], 0.0).sum(axis=1) / np.maximum(seen, 1.0)
    noise = np.where(inside, errors[:, low : high + 1], 0.0).sum(axis=1) / np.maximum(seen, 1.0) ** 1.5
    across = float(np.hypot(1.0, line.slope))
    is_narrow = low > 0 and high < 2 * reach
    flanks = known[:, max(low - _BESIDE, 0) : low], known[:, high + 1 : high + 1 + _BESIDE]
    return LineProfile(
        line,
        low=min((low - reach - 0.5) / across, 0.0),
        high=max((high - reach + 0.5) / across, 0.0),
        level=float(level[top]),
        significance=float(ratio[top]) if is_narrow else 0.0,
        share=int(np.count_nonzero((mean > noise) & (seen > 0))) / max(int(np.count_nonzero(seen)), 1),
        usable=float((MEDIAN_NOISE / np.where(known[:, top], errors[:, top], np.inf)) ** 2 @ np.ones(len(pieces)))
        / max(line.last - line.first, 1),
        beside=min(float(flank.mean()) if flank.size else 0.0 for flank in flanks),
        evenness=_evenness(strip[:, max(top - 1, low) : min(top + 1, high) + 1]),
    )


def _extent(above: BoolArray, top: int) -> tuple[int, int]:
    """First and last of the connected columns around the highest."""
    gaps: IntArray = np.flatnonzero(~above)
    before, after = gaps[gaps < top], gaps[gaps > top]
    return (int(before[-1]) + 1 if len(before) else 0), (int(after[0]) - 1 if len(after) else len(above) - 1)


def seen_along(significance: FloatArray | Float32Array, found: LineProfile, *, piece: int) -> tuple[int, int]:
    """First row (or column) and last + 1 of the pieces around the middle of a line in which it is seen.

    A piece shows the line if its mean, between the line's borders, exceeds 3 of its errors; one that does not, or that
    has no usable pixel, is passed over once.
    """
    image = significance if found.line.steep else significance.T
    sign, line = (1.0 if found.line.sigma > 0 else -1.0), found.line
    rows = np.arange(len(image))
    at = np.floor(line.start + line.slope * (rows - line.first) + 0.5).astype(np.int64)
    across = np.hypot(1.0, line.slope)
    columns = at[:, None] + np.arange(int(np.ceil(found.low * across)), int(np.floor(found.high * across)) + 1)
    inside = (columns >= 0) & (columns < image.shape[1])
    values = sign * image[rows[:, None], np.clip(columns, 0, image.shape[1] - 1)]
    known = inside & np.isfinite(values)
    starts = np.arange(0, len(image), piece)
    number = np.add.reduceat(known.sum(axis=1), starts)
    total = np.add.reduceat(np.where(known, values, 0.0).sum(axis=1), starts)
    seen = total > _CLEAR * np.sqrt(np.maximum(number, 1))
    middle = int(np.searchsorted(starts, 0.5 * (line.first + line.last), side="right")) - 1
    ends = []
    for step in (-1, 1):
        last, k = middle, middle + step
        while 0 <= k < len(starts) and (seen[k] or (0 <= k + step < len(starts) and seen[k + step])):
            last = k
            k += step
        ends.append(last)
    return int(starts[ends[0]]), min(int(starts[ends[1]]) + piece, len(image))
