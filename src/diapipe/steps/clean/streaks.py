"""Streaks: the trails of satellites and aeroplanes, found as straight lines and masked whole."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from diapipe.images import SATURATED_DIFFERENCE, UNUSABLE_DIFFERENCE, Box, Exposure, MaskPlane
from diapipe.numerics import line_profiles, line_sums
from diapipe.numerics.arrays import Float32Array, MaskArray
from diapipe.numerics.background import clipped_mode
from diapipe.numerics.line_profiles import LineProfile
from diapipe.numerics.line_sums import Line
from diapipe.steps.limits import Limited

LARGE_PIXELS = 2000
"""Images with no shorter side are searched on blocks twice as large."""

AXIS_SLOPE = 0.05
"""Lines within this slope of the rows or columns may be the detector's."""

_SKY_SIGMA = 3.0
"""Blocks further than this from the sky are of something else."""

_LEAST_BESIDE = 0.7
"""Part of the pixels beside a line that must be usable: elsewhere the image ends there."""

_CROSSING_SHARE = 0.85
"""Part of its pieces in which a line that crosses the image is seen."""

_LEAST_USABLE = 0.8
"""Part of the pixels along a line that must be usable, if it does not cross the image."""

_MORE_CERTAIN = 1.5
"""Such a line must be so many times as significant as one that does."""

PATTERN_SLOPE, PATTERN_SIGMA = 0.01, 1.0
"""Lines within this slope of rows or columns, and fainter than so many sigma of a pixel, are of the readout."""

_PIECE = 4
"""Blocks of a line that are looked at together where only what is seen of it is masked."""

_REFUSED = 5
"""Lines of the detector after which the search ends: more are a pattern all over the image."""

_TRIED = 20
"""Lines that are looked at before the search ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Streaks(Limited):
    """How streaks are recognised, and how much of them is masked.

    Attributes
    ----------
    block_px
        Side of the blocks on which the profile of a line is measured.
    min_length_px
        A line is followed over at least this length.
    line_sigma
        Least significance of the sum along the line, with bright blocks cut at 3 sigma.
    profile_sigma
        Least significance of its profile, which is made of medians: points on the line do not count.
    least_share
        Of the pieces of the line this part must see it.
    least_evenness
        Its fainter half has at least this part of the brightness of the whole; 0 asks nothing.
    least_elongation
        A line that does not cross the image is at least so many times as long as wide.
    max_width_px
        A line is narrower than this.
    edge_level_sigma
        The mask reaches out, sideways, to where the profile falls below this part of a pixel's noise; a source's score
        is then moved by about 6 times as much.
    margin_px
        It is wider than that by so much on either side.
    extent
        ``line``: the whole line is masked, from border to border, as a trail may fade and flare; ``segment``: the part
        in which it was found.
    signs
        ``positive``: streaks on the science image; ``both``: those on the template too.
    max_streaks
        The search ends after so many.
    """

    may_be_zero = ("margin_px", "least_share", "edge_level_sigma", "profile_sigma", "least_evenness")
    shares = ("least_share", "least_evenness")

    block_px: int = 4
    min_length_px: float = 128.0
    line_sigma: float = 8.0
    profile_sigma: float = 10.0
    least_share: float = 0.6
    least_evenness: float = 0.0
    least_elongation: float = 8.0
    max_width_px: float = 140.0
    edge_level_sigma: float = 0.1
    margin_px: float = 4.0
    extent: Literal["line", "segment"] = "line"
    signs: Literal["both", "positive"] = "both"
    max_streaks: int = 10


AMONG_STARS = Streaks(profile_sigma=15.0, least_evenness=0.6, signs="positive")
"""For a single image, whose bright stars in a row reach 90 sigma, but are not even; what is fainter shows on the
difference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Streak:
    """A streak, in parent pixel coordinates.

    Attributes
    ----------
    x0, y0, x1, y1
        Ends of the middle of what is masked.
    width_px
        Of what is masked.
    significance
        Of its profile; negative on a template.
    """

    x0: float
    y0: float
    x1: float
    y1: float
    width_px: float
    significance: float


def mask_streaks(difference: Exposure, *, options: Streaks) -> tuple[Exposure, list[Streak]]:
    """The difference with STREAK (STREAK_TEMPLATE where it is negative) on its streaks, and what they are.

    Parameters
    ----------
    difference
        Science minus template, or with the options `AMONG_STARS` a single image less its sky; unusable pixels tell
        nothing.
    options
        What counts as a streak.
    """
    planes, size = difference.masked_image, options.block_px
    fine = _unit(
        line_sums.block_significance(
            np.ascontiguousarray(planes.image),
            np.ascontiguousarray(planes.variance),
            np.ascontiguousarray(planes.mask),
            bits=int(UNUSABLE_DIFFERENCE),
            size=size,
        )
    )
    factor = 2 if min(planes.shape) >= LARGE_PIXELS else 1
    coarse = line_sums.halved(fine) if factor == 2 else fine.copy()
    found: list[Streak] = []
    mask = planes.mask
    refused = 0
    while len(found) < options.max_streaks and refused < _REFUSED:
        best = _best(fine, coarse, factor, options)
        if best is None:
            break
        if _is_of_detector(best, planes.mask, size):
            refused += 1
        else:
            mask = mask.copy() if not found else mask
            found.append(_paint(mask, best, _rows_of(best, fine, options), planes.box, options))
        for image, scale in ((fine, 1), (coarse, factor)):
            _blank(image, best, scale)
    if not found:
        return difference, found
    return replace(difference, masked_image=replace(planes, mask=mask)), found


def _is_of_detector(found: LineProfile, mask: MaskArray, size: int) -> bool:
    """Whether a line along rows or columns is faint, a pattern of the readout, or bleeds out of a saturated star."""
    line = found.line
    if abs(line.slope) > AXIS_SLOPE:
        return False
    if abs(line.slope) < PATTERN_SLOPE and found.level < PATTERN_SIGMA * size:
        return True
    saturated = (mask if line.steep else mask.T) & np.int32(int(SATURATED_DIFFERENCE))
    rows = np.arange(0, len(saturated), 2)
    at = line.start * size + line.slope * (rows - line.first * size)
    reach = np.arange(int(found.low * size) - size, int(found.high * size) + 2 * size)
    columns = at.astype(np.int64)[:, None] + reach
    inside = (columns >= 0) & (columns < saturated.shape[1])
    touched = saturated[rows[:, None], np.clip(columns, 0, saturated.shape[1] - 1)] != 0
    return bool((touched & inside).any())


def _unit(significance: Float32Array) -> Float32Array:
    """Blocks around zero and of unit scatter at most: what is left of the sky is no line.

    Both are those of the sky, as stars and a wide streak are an excess of their own.
    """
    known = np.sort(significance[np.isfinite(significance)])
    if len(known) == 0:
        return significance
    middle, scatter = clipped_mode(known, _SKY_SIGMA)
    return np.asarray((significance - middle) / np.float32(max(1.0, scatter)), dtype=np.float32)


def _best(fine: Float32Array, coarse: Float32Array, factor: int, options: Streaks) -> LineProfile | None:
    """The most significant line that is a streak."""
    shortest = max(8, round(options.min_length_px / (factor * options.block_px)))
    if min(coarse.shape) < shortest:
        return None
    tried = 0
    for line in line_sums.brightest_lines(coarse, shortest=shortest):
        if abs(line.sigma) < options.line_sigma or tried >= _TRIED:
            break
        if line.sigma < 0 and options.signs == "positive":
            continue
        tried += 1
        found = _followed(fine, _magnified(line, factor, fine.shape), options)
        if found is not None:
            return found
    return None


def _magnified(line: Line, factor: int, shape: tuple[int, int]) -> Line:
    """A line on blocks as one on blocks that are smaller by a factor; its last rows may be those of half a block."""
    middle = 0.5 * (factor - 1)
    length = shape[0] if line.steep else shape[1]
    return line._replace(
        first=line.first * factor,
        last=min(line.last * factor, length),
        start=line.start * factor + middle - line.slope * middle,
    )


def _followed(fine: Float32Array, line: Line, options: Streaks) -> LineProfile | None:
    """The profile of the line, over the whole image where it is as good there; None if it is no streak."""
    near = _profile(fine, line, options)
    if not _is_streak(near, options):
        return None
    length = fine.shape[0] if line.steep else fine.shape[1]
    start = near.line.start - near.line.slope * near.line.first
    far = _profile(fine, near.line._replace(first=0, last=length, start=start), options)
    if _is_streak(far, options) and far.share >= _CROSSING_SHARE and far.significance > near.significance:
        return far
    return near if _is_whole(near, options) else None


def _profile(fine: Float32Array, line: Line, options: Streaks) -> LineProfile:
    return line_profiles.profile(
        fine,
        line,
        max_width=options.max_width_px / options.block_px,
        least_level=options.edge_level_sigma * options.block_px,
    )


def _is_streak(found: LineProfile, options: Streaks) -> bool:
    """Whether a line is seen well enough, along enough of its length, and not along the border of what is usable."""
    is_seen = found.significance > options.profile_sigma and found.share >= options.least_share
    is_narrow = (found.high - found.low) * options.block_px <= options.max_width_px
    is_even = found.evenness >= options.least_evenness
    return is_seen and is_narrow and is_even and found.beside >= _LEAST_BESIDE


def _is_whole(found: LineProfile, options: Streaks) -> bool:
    """Whether a line that does not cross the image is clear, there without gaps, and much longer than wide.

    What goes on under a mask may be a star's spike, and a broad light a cloud.
    """
    across = np.hypot(1.0, found.line.slope)
    if found.usable < _LEAST_USABLE or found.significance < _MORE_CERTAIN * options.profile_sigma:
        return False
    return bool((found.line.last - found.line.first) * across >= options.least_elongation * (found.high - found.low))


def _blank(image: Float32Array, found: LineProfile, factor: int) -> None:
    """Take a line out of an image of blocks, one block more on either side."""
    steep = image if found.line.steep else image.T
    across = np.hypot(1.0, found.line.slope)
    rows = np.arange(len(steep))
    middle = 0.5 * (factor - 1)
    at = found.line.start + found.line.slope * (rows * factor + middle - found.line.first)
    low, high = (((at + side * across - middle) / factor) for side in (found.low, found.high))
    for row, first, last in zip(rows, np.floor(low).astype(int) - 1, np.ceil(high).astype(int) + 2, strict=True):
        steep[row, max(first, 0) : max(last, 0)] = np.nan


def _rows_of(found: LineProfile, fine: Float32Array, options: Streaks) -> range | None:
    """Rows (columns of a line that is not steep) that are masked; None for all."""
    if options.extent == "line":
        return None
    first, last = line_profiles.seen_along(fine, found, piece=_PIECE)
    return range(first * options.block_px, last * options.block_px)


def _paint(mask: MaskArray, found: LineProfile, only: range | None, box: Box, options: Streaks) -> Streak:
    """Set the plane on the streak, in place, and say where it is."""
    line, size = found.line, options.block_px
    plane = np.int32(int(MaskPlane.STREAK if line.sigma > 0 else MaskPlane.STREAK_TEMPLATE))
    steep = mask if line.steep else mask.T
    across, middle = np.hypot(1.0, line.slope), 0.5 * (size - 1)
    rows = np.arange(len(steep)) if only is None else np.array(only)
    at = (line.start * size + middle) + line.slope * (rows - (line.first * size + middle))
    low, high = found.low * size - options.margin_px, found.high * size + options.margin_px
    for row, first, last in zip(
        rows, np.ceil(at + low * across).astype(int), np.floor(at + high * across).astype(int) + 1, strict=True
    ):
        steep[row, max(first, 0) : max(last, 0)] |= plane
    inside = np.flatnonzero((at >= -0.5) & (at < steep.shape[1] - 0.5))
    ends = inside[[0, -1]] if len(inside) else np.array([0, len(rows) - 1])
    center = at + 0.5 * (low + high) * across
    (v0, v1), (u0, u1) = rows[ends].astype(float), center[ends]
    x0, y0, x1, y1 = (u0, v0, u1, v1) if line.steep else (v0, u0, v1, u1)
    return Streak(
        x0=float(x0 + box.x0),
        y0=float(y0 + box.y0),
        x1=float(x1 + box.x0),
        y1=float(y1 + box.y0),
        width_px=high - low,
        significance=found.significance if line.sigma > 0 else -found.significance,
    )
