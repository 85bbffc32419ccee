"""Coadds of patches on one grid: each interpolated at most once, then blended where they overlap."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from astropy.wcs import WCS

from diapipe.images import Box, CoaddPatch, Exposure, MaskedImage, MaskPlane, ObservationInfo
from diapipe.images.mask import UNUSABLE
from diapipe.images.pixel_map import PixelMap
from diapipe.images.psf import BlendedPart, BlendedPsf
from diapipe.images.sky import between, box_around, icrs_of, outline_between
from diapipe.images.weight_map import WeightMap
from diapipe.numerics import blending
from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.holes import MAX_GAP
from diapipe.numerics.resample_rows import Planes
from diapipe.numerics.sphere import unit_vectors
from diapipe.numerics.stats import median, thinned
from diapipe.numerics.threads import over_bands
from diapipe.steps.template.base import AbstractWarp
from diapipe.steps.template.registration import Registration
from diapipe.steps.template.scales import FluxScale
from diapipe.steps.template.warp import through

CELL_PX = 8
"""Side of the cells at whose centres weights are kept."""

LEAST_PIXELS = 2000
"""Pixels of an overlap from which the correlation of its noise is measured: it is then known to 0.05."""

SAMPLED_PIXELS = 1_000_000
"""Of larger overlaps rows are left out."""

MARGIN_PX = 8
"""Pixels around a patch in which its outline, known at some points, may really lie."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Grid:
    """Pixels on which a template is made.

    Attributes
    ----------
    box, wcs
        The pixels, and where they lie.
    registration
        Displacement of the template found on this grid, in its pixels; applied if it is significant.
    """

    box: Box
    wcs: WCS
    registration: Registration | None = None

    def found_px(self, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Displacement (x, y) of the template at positions: 0 where none was found."""
        if self.registration is None or not self.registration.is_significant:
            return np.zeros_like(x), np.zeros_like(y)
        along, up = self.registration.displacement
        return along.at(x=x, y=y), up.at(x=x, y=y)

    def margin_px(self, shift: tuple[float, float] = (0.0, 0.0)) -> int:
        """How far from where the WCSs put it a patch may come to lie."""
        box = self.box
        x, y = np.meshgrid(np.linspace(box.x0, box.x1, 9), np.linspace(box.y0, box.y1, 9))
        farthest = max(float(np.abs(part).max()) for part in self.found_px(x, y))
        return MARGIN_PX + math.ceil(farthest + max(abs(shift[0]), abs(shift[1])))

    def map_of(self, source: WCS, box: Box, *, dx: float = 0.0, dy: float = 0.0) -> PixelMap:
        """Source positions of the pixels of ``box``; (dx, dy) moves what is there by so many pixels of the grid."""
        positions = between(self.wcs, source)

        def moved(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
            along, up = self.found_px(x, y)
            return positions(x + along - dx, y + up - dy)

        return PixelMap.sampled(moved, box)


@dataclass(slots=True, eq=False)
class Blend:
    """Layers summed up on a grid, and what is to be known of them afterwards."""

    grid: Grid
    feather_px: float
    n_threads: int = 1
    scale: FluxScale | None = None
    parts: list[BlendedPart] = field(default_factory=list)
    correlations: list[tuple[float, FloatArray | None]] = field(default_factory=list)
    visits: dict[int, None] = field(default_factory=dict)
    level: float = 1.0
    sums: blending.Sums = field(init=False)
    has_psf: bool = True
    info: ObservationInfo | None = None

    def __post_init__(self) -> None:
        self.sums = blending.nothing_summed(self.grid.box.shape)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was added yet."""
        return not self.correlations

    def add(self, layer: Exposure, *, dx: float = 0.0, dy: float = 0.0) -> None:
        """Add an image that is on the grid, on a part of its box."""
        pixels = layer.masked_image
        planes = Planes(pixels.image, pixels.variance, pixels.mask)
        weight = self._weights(pixels)
        if weight is None:
            return
        rows, columns = pixels.box.slices_in(self.grid.box)
        alike = self._alikeness(planes, layer, (rows, columns))

        def work(first: int, last: int) -> None:
            blending.add_layer(
                planes, weight, CELL_PX, columns.start, rows.start, alike, int(UNUSABLE), self.sums, first, last
            )

        over_bands(work, pixels.shape[0], n_threads=self.n_threads)
        self._remember(layer, weight, dx, dy)

    def _weights(self, pixels: MaskedImage) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]] | None:
        """Feathered inverse variances over the whole grid, in units of the first layer's; None if it has no pixel."""
        planes = Planes(pixels.image, pixels.variance, pixels.mask)
        rows, columns = pixels.box.slices_in(self.grid.box)
        missing = blending.missing_shares(planes, self.grid.box.shape, CELL_PX, columns.start, rows.start)
        weight = blending.feathered_weights(missing, step=CELL_PX, feather_px=self.feather_px)
        typical = median(thinned(pixels.variance, 100_000))
        if not weight.any() or not typical > 0:
            return None
        if self.is_empty:
            self.level = typical
        return np.asarray(weight * np.float32(self.level / typical), dtype=np.float32)

    def _alikeness(self, planes: Planes, layer: Exposure, part: tuple[slice, slice]) -> float:
        """Correlation of the layer's noise with what is summed up: measured, else by the visits that they share."""
        if self.is_empty:
            return 0.0
        ignored = int(UNUSABLE | MaskPlane.DETECTED | MaskPlane.DETECTED_NEGATIVE)
        rows, columns = part
        some = slice(rows.start, rows.stop, max(1, planes.image.size // SAMPLED_PIXELS))
        before = blending.blended(blending.cut(self.sums, some, columns), no_data=int(MaskPlane.NO_DATA))
        step = some.step
        layer_rows = Planes(planes.image[::step], planes.variance[::step], planes.mask[::step])
        measured = blending.noise_alikeness(before, layer_rows, ignored=ignored, least_pixels=LEAST_PIXELS)
        if measured is not None:
            return measured
        if not (layer.inputs and self.visits):
            return 1.0
        shared = len(self.visits.keys() & set(layer.inputs))
        return shared / float(np.sqrt(len(self.visits) * len(set(layer.inputs))))

    def _remember(
        self, layer: Exposure, weight: np.ndarray[tuple[int, ...], np.dtype[np.float32]], dx: float, dy: float
    ) -> None:
        middle = 0.5 * (CELL_PX - 1)
        at = WeightMap(weight, self.grid.box.x0 + middle, self.grid.box.y0 + middle, float(CELL_PX))
        if layer.psf is None:
            self.has_psf = False
        else:
            self.parts.append(BlendedPart(psf=layer.psf, weight=at, dx=dx, dy=dy))
        self.correlations.append((float(weight.sum()), layer.noise_correlation))
        self.visits |= dict.fromkeys(layer.inputs)
        self.info = layer.info if self.info is None else ObservationInfo(band=self.info.band or layer.info.band)

    def exposure(self, name: str) -> Exposure:
        """What the layers make; without any, no pixel has a value."""
        planes = blending.blended(self.sums, no_data=int(MaskPlane.NO_DATA))
        return Exposure(
            name=name,
            masked_image=MaskedImage(planes.image, planes.mask, planes.variance, self.grid.box),
            wcs=self.grid.wcs,
            psf=self._psf(),
            photo_calib=None if self.scale is None else self.scale.calib,
            unit="adu" if self.scale is None else self.scale.unit,
            noise_correlation=mean_correlation(self.correlations),
            info=self.info or ObservationInfo(),
            inputs=tuple(sorted(self.visits)),
        )

    def _psf(self) -> BlendedPsf | None:
        return BlendedPsf(tuple(self.parts)) if self.has_psf and self.parts else None


def mean_correlation(found: Iterable[tuple[float, FloatArray | None]]) -> FloatArray | None:
    """Weighted mean of noise autocorrelations of any size, white where None; None if all are."""
    found = list(found)
    half = max((len(c) // 2 for _, c in found if c is not None), default=0)
    total = sum(weight for weight, _ in found)
    if half == 0 or total == 0:
        return None
    mean = np.zeros((2 * half + 1, 2 * half + 1))
    for weight, correlation in found:
        image = np.ones((1, 1)) if correlation is None else correlation
        margin = half - len(image) // 2
        mean += weight / total * np.pad(image, margin)
    return mean


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
