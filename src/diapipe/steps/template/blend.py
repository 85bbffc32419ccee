"""Coadds of patches on one grid: each interpolated at most once, then blended where they overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from diapipe.images import CoaddPatch, Exposure
from diapipe.images.sky import box_around, icrs_of, outline_between
from diapipe.numerics.holes import MAX_GAP
from diapipe.numerics.sphere import unit_vectors
from diapipe.steps.template.grid import Grid
from diapipe.steps.template.layers import Blend
from diapipe.steps.template.scales import FluxScale
from diapipe.steps.warp import AbstractWarp, through


def nearest_first(
    patches: Sequence[CoaddPatch], grid: Grid, *, shift: tuple[float, float] = (0.0, 0.0)
) -> list[CoaddPatch]:
    """Patches that come to lie on a grid, moved by up to ``shift``, those nearest to its middle first."""
    box, wcs = grid.box.dilated(grid.margin_px(shift)), grid.wcs
    middle = unit_vectors(*icrs_of(wcs, np.array([box.x_center]), np.array([box.y_center])))[0]
    known: dict[int, set[int]] = {}

    def overlaps(patch: CoaddPatch) -> bool:
        tract = patch.tract
        if id(tract) not in known:
            known[id(tract)] = {found.index for found in tract.patches_overlapping(box, wcs)}
        return patch.patch_index in known[id(tract)]

    def distance(patch: CoaddPatch) -> tuple[float, int, int]:
        inner = patch.patch.inner
        at = unit_vectors(*icrs_of(patch.tract.wcs, np.array([inner.x_center]), np.array([inner.y_center])))[0]
        return float(np.linalg.norm(at - middle)), patch.tract.id, patch.patch_index

    return sorted((patch for patch in patches if overlaps(patch)), key=distance)


def blend(
    patches: Sequence[CoaddPatch],
    grid: Grid,
    *,
    warp: AbstractWarp,
    feather_px: float,
    shift: tuple[float, float] = (0.0, 0.0),
    scale: FluxScale | None = None,
    n_threads: int = 1,
) -> Blend:
    """Read, bring on to the grid and sum up patches, one after the other: one is in memory at a time.

    Parameters
    ----------
    patches
        In the order in which they are read; the first sets the flux scale if ``scale`` is None.
    grid
        Where to.
    warp
        How to interpolate; pixels that only move by whole pixels are not.
    feather_px
        Over which an image fades out towards its border.
    shift
        Pixels of the grid by which their light is moved, (x, y).
    scale
        Flux scale to be used.
    n_threads
        Threads to run at once; the result does not depend on it.
    """
    result = Blend(grid, feather_px, n_threads, scale)
    for patch in patches:
        layer = _layer(patch, result, warp, shift)
        if layer is not None:
            result.add(layer, dx=shift[0], dy=shift[1])
    return result


def blend_tracts(
    patches: Sequence[CoaddPatch],
    grid: Grid,
    *,
    warp: AbstractWarp,
    feather_px: float,
    shift: tuple[float, float] = (0.0, 0.0),
    scale: FluxScale | None = None,
    n_threads: int = 1,
) -> Blend:
    """Blend the patches of each tract, then the tracts: the noise of two patches of one tract is alike in another way.

    Parameters as for `blend`.
    """
    result = Blend(grid, feather_px, n_threads, scale)
    for tract in {patch.tract.id: patch.tract for patch in patches}.values():
        own = [patch for patch in patches if patch.tract.id == tract.id]
        reach = box_around(outline_between(tract.wcs, grid.wcs, tract.box))
        part = None if reach is None else reach.dilated(grid.margin_px(shift)).intersect(grid.box)
        if part is None:
            continue
        of_tract = blend(
            own,
            replace(grid, box=part),
            warp=warp,
            feather_px=feather_px,
            shift=shift,
            scale=result.scale,
            n_threads=n_threads,
        )
        if not of_tract.is_empty:
            result.scale = of_tract.scale
            result.add(of_tract.exposure(f"tract {tract.id}"))
    return result


def _layer(patch: CoaddPatch, result: Blend, warp: AbstractWarp, shift: tuple[float, float]) -> Exposure | None:
    """The patch on the grid, on the flux scale of the blend; None where it does not reach it."""
    grid = result.grid
    reach = box_around(outline_between(patch.tract.wcs, grid.wcs, patch.patch.outer))
    part = None if reach is None else reach.dilated(grid.margin_px(shift)).intersect(grid.box)
    if part is None:
        return None
    pixel_map = grid.map_of(patch.tract.wcs, part, dx=shift[0], dy=shift[1])
    taps = warp.interpolant(pixel_map).n_taps
    wanted = pixel_map.source_box(margin=taps // 2 + MAX_GAP + 1)
    wanted = None if wanted is None else wanted.intersect(patch.patch.outer)
    exposure = None if wanted is None else patch.read(wanted)
    if exposure is None:
        return None
    result.scale = result.scale or FluxScale.of(exposure, patch.name)
    scaled = result.scale.applied_to(exposure, patch.name)
    layer, _ = through(pixel_map, scaled, box=part, wcs=grid.wcs, warp=warp, n_threads=result.n_threads)
    return replace(layer, aperture_corrections={})
