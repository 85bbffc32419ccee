"""Which sources a kernel is fitted to: the brightest usable ones, spread over the image, or so many in each cell."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from diapipe.catalogs.stars import StarList
from diapipe.images.box import Box
from diapipe.numerics.arrays import IntArray
from diapipe.steps.family import Family
from diapipe.steps.limits import Limited

BRIGHT_SIGNAL_TO_NOISE = 120.0
"""Fainter sources say less about the kernel than the noise of their stamps takes: the sharp parts of a kernel are known
by no more than a source's own few pixels, while all pixels of its stamp bring noise into the normal equations."""

MIN_SIGNAL_TO_NOISE = 20.0
"""Sources down to this limit are taken as long as there are fewer than `ENOUGH`."""

ENOUGH = 60
"""Bright sources that make fainter ones unnecessary."""

MARGIN_PX = 3
"""Distance of a source from the border of the image."""

RESERVES = 2
"""Sources taken of a cell for each one that it may give: the others stand in for those rejected."""


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """Sources to fit to, best first.

    Attributes
    ----------
    index
        Into the list of stars, shape (n,).
    cell
        In which cell of the image each lies, shape (n,).
    per_cell
        How many of a cell may take part in a fit at a time; None for all.
    """

    index: IntArray
    cell: IntArray
    per_cell: int | None = None

    def taking_part(self, why: list[str]) -> IntArray:
        """Of those against which nothing speaks in ``why`` the first ones of every cell; positions in ``index``."""
        usable = np.array([k for k, reason in enumerate(why) if not reason], dtype=np.int64)
        if self.per_cell is None or not len(usable):
            return usable
        return usable[_rank_in_group(self.cell[usable]) < self.per_cell]


class AbstractCandidates(Limited, ABC):
    """A way to choose the sources that a kernel is fitted to."""

    __slots__ = ()

    @abstractmethod
    def chosen(self, stars: StarList, box: Box, *, at_most: int, distance: int) -> Chosen:
        """Sources of the image in ``box``, ``at_most`` so many; stamps reach ``distance`` pixels from their centre."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread(AbstractCandidates):
    """The brightest, spread over the image, none near another."""

    def chosen(self, stars: StarList, box: Box, *, at_most: int, distance: int) -> Chosen:
        """As `spread_candidates` has them."""
        index = spread_candidates(stars, box, at_most=at_most, margin=MARGIN_PX, distance=distance)
        return Chosen(index, np.zeros(len(index), np.int64))


@dataclass(frozen=True, slots=True, kw_only=True)
class BrightestInCells(AbstractCandidates):
    """The brightest few in each cell of a grid over the image; for one that is rejected the next takes part.

    Attributes
    ----------
    cell_width_px, cell_height_px
        Size of a cell (sizeCellX, sizeCellY).
    per_cell
        How many of a cell take part (nStarPerCell); None for all (-1 there).
    min_signal_to_noise
        Fainter sources are left out; 0 leaves out none, as befits a list that was chosen with care.
    """

    may_be_zero = ("min_signal_to_noise",)

    cell_width_px: int = 128
    cell_height_px: int = 128
    per_cell: int | None = 3
    min_signal_to_noise: float = MIN_SIGNAL_TO_NOISE

    def chosen(self, stars: StarList, box: Box, *, at_most: int, distance: int) -> Chosen:
        """The first of all cells, the second of all, and so on."""
        index = _usable(stars, box, margin=MARGIN_PX)
        index = index[stars.flux[index] >= self.min_signal_to_noise * stars.flux_err[index]]
        index = index[np.argsort(-stars.flux[index], kind="stable")]
        column = ((stars.x[index] - box.x0) // self.cell_width_px).astype(np.int64)
        row = ((stars.y[index] - box.y0) // self.cell_height_px).astype(np.int64)
        cell = row * 100_000 + column
        rank = _rank_in_group(cell)
        order = np.argsort(rank, kind="stable")
        if self.per_cell is not None:
            order = order[rank[order] < RESERVES * self.per_cell]
        order = order[:at_most]
        return Chosen(index[order], cell[order], self.per_cell)


@dataclass(frozen=True, slots=True, kw_only=True)
class Given(AbstractCandidates):
    """All that were given, faint or crowded as they may be, but for saturated ones and those on the border."""

    def chosen(self, stars: StarList, box: Box, *, at_most: int, distance: int) -> Chosen:
        """Brightest first; ``at_most`` and ``distance`` are not looked at: whoever gave the list has chosen."""
        index = _usable(stars, box, margin=MARGIN_PX)
        index = index[np.argsort(-stars.flux[index], kind="stable")]
        return Chosen(index, np.zeros(len(index), np.int64))


CANDIDATES: Family[AbstractCandidates] = Family(
    "choose candidates", {"spread": Spread, "cells": BrightestInCells, "given": Given}
)


def spread_candidates(stars: StarList, box: Box, *, at_most: int, margin: int, distance: int) -> IntArray:
    """Indices of the sources to fit to, brightest first within cells that tile the image, one after another from each.

    Parameters
    ----------
    stars
        Sources of the science image.
    box
        Where both images have pixels.
    at_most
        How many to return.
    margin
        Distance from the border of ``box`` that a source must keep, in pixels.
    distance
        Distance from any source already taken, in pixels.
    """
    index = _bright(stars, _usable(stars, box, margin=margin))
    index = index[np.argsort(-stars.flux[index], kind="stable")]
    cell = max(np.sqrt(box.area / max(at_most, 1)), float(distance))
    column = ((stars.x[index] - box.x0) // cell).astype(np.int64)
    row = ((stars.y[index] - box.y0) // cell).astype(np.int64)
    rank = _rank_in_group(row * 100_000 + column)
    index = index[np.argsort(rank, kind="stable")]
    return _apart(stars, index, distance=float(distance), at_most=at_most)


def _usable(stars: StarList, box: Box, *, margin: int) -> IntArray:
    """Indices of the unsaturated sources that have light and keep their distance from the border."""
    inside = (stars.x > box.x0 + margin) & (stars.x < box.x1 - 1 - margin)
    inside &= (stars.y > box.y0 + margin) & (stars.y < box.y1 - 1 - margin)
    return np.flatnonzero(inside & ~stars.is_saturated & (stars.flux > 0.0))


def _bright(stars: StarList, index: IntArray) -> IntArray:
    """Those of high signal-to-noise, or the `ENOUGH` best ones."""
    signal_to_noise = stars.flux[index] / stars.flux_err[index]
    limit = BRIGHT_SIGNAL_TO_NOISE
    if np.count_nonzero(signal_to_noise > limit) < ENOUGH:
        limit = np.sort(signal_to_noise)[-ENOUGH] if len(index) >= ENOUGH else MIN_SIGNAL_TO_NOISE
    return index[signal_to_noise >= max(limit, MIN_SIGNAL_TO_NOISE)]


def _rank_in_group(group: IntArray) -> IntArray:
    """For each entry, how many earlier ones share its group."""
    order = np.argsort(group, kind="stable")
    ordered = group[order]
    first = np.r_[True, ordered[1:] != ordered[:-1]]
    start = np.maximum.accumulate(np.where(first, np.arange(len(group)), 0))
    rank = np.empty(len(group), np.int64)
    rank[order] = np.arange(len(group)) - start
    return rank


def _apart(stars: StarList, index: IntArray, *, distance: float, at_most: int) -> IntArray:
    """Keep, in order, those farther than ``distance`` from all that were kept before."""
    kept: list[int] = []
    x, y = np.empty(at_most), np.empty(at_most)
    for k in index:
        n = len(kept)
        if n == at_most:
            break
        if n and np.min((x[:n] - stars.x[k]) ** 2 + (y[:n] - stars.y[k]) ** 2) < distance**2:
            continue
        x[n], y[n] = stars.x[k], stars.y[k]
        kept.append(int(k))
    return np.array(kept, dtype=np.int64)
