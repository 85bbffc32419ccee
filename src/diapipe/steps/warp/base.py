"""What every way to interpolate an image has in common."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from diapipe.images import Box, MaskedImage, MaskPlane
from diapipe.images.pixel_map import PixelMap
from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.holes import MAX_GAP
from diapipe.numerics.interpolant import LOBES, Interpolant
from diapipe.numerics.resample import Planes, SourceGrid, resample
from diapipe.numerics.resample_noise import resampled_noise_correlation, resampled_variance_gain
from diapipe.steps.limits import Limited

_MAX_LAG = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class AbstractWarp(Limited, ABC):
    """Interpolation of image, variance and mask onto another grid, fluxes kept.

    Attributes
    ----------
    max_hole_share
        Share of a pixel's information (Σ w² over the kernel) that may be made up from the neighbours of unusable
        source pixels before the pixel counts as unusable itself; 0.04 is a single pixel of weight 0.2.
    stretch_from_scale
        From this many source pixels per target pixel (along an axis) on, a Lanczos-3 stretched by that number takes
        over: all source pixels count, and nothing finer than the target grid is aliased.
    same_grid_px
        Positions that agree to this everywhere are the same: nothing is interpolated.
    required_template_fraction
        Least fraction of the science pixels that the template must cover.
    """

    may_be_zero: ClassVar[tuple[str, ...]] = ("max_hole_share", "same_grid_px", "required_template_fraction")
    shares = ("max_hole_share", "required_template_fraction")

    max_hole_share: float = 0.04
    stretch_from_scale: float = 1.25
    same_grid_px: float = 1e-3
    required_template_fraction: float = 0.1

    @abstractmethod
    def plain_interpolant(self) -> Interpolant:
        """The interpolant where the source is not much finer than the target."""

    def interpolant(self, pixel_map: PixelMap) -> Interpolant:
        """The interpolant for a map."""
        scale = pixel_map.scale
        return Interpolant(stretch=scale) if scale >= self.stretch_from_scale else self.plain_interpolant()

    def resampled(self, source: MaskedImage, pixel_map: PixelMap, box: Box, *, n_threads: int = 1) -> MaskedImage:
        """The source on the pixels of ``box``; NaN and NO_DATA where it does not reach."""
        interpolant = self.interpolant(pixel_map)
        reach = pixel_map.source_box(margin=interpolant.n_taps // 2 + MAX_GAP + 1)
        part = None if reach is None else reach.intersect(source.box)
        if part is None:
            return empty(box)
        cut = source[part]
        grid = SourceGrid(
            *(pixel_map.x - part.x0, pixel_map.y - part.y0, pixel_map.area_at_nodes()),
            *(pixel_map.x0 - box.x0, pixel_map.y0 - box.y0, pixel_map.step),
        )
        planes = resample(
            Planes(cut.image, cut.variance, cut.mask),
            ~cut.usable(),
            grid,
            shape=box.shape,
            interpolant=interpolant,
            no_data=int(MaskPlane.NO_DATA),
            max_hole_share=self.max_hole_share,
            n_threads=n_threads,
        )
        return MaskedImage(planes.image, planes.mask, planes.variance, box)

    def noise_correlation(
        self, pixel_map: PixelMap, box: Box, source_box: Box, source_correlation: FloatArray | None
    ) -> FloatArray | None:
        """Mean noise autocorrelation over the part of ``box`` that the source covers; None where it covers nothing."""
        x, y = _source_positions(pixel_map, box, source_box)
        if len(x) == 0:
            return None
        interpolant = self.interpolant(pixel_map)
        source_half = 0 if source_correlation is None else source_correlation.shape[0] // 2
        reach = (2 * LOBES * interpolant.stretch + source_half) / pixel_map.scale
        return resampled_noise_correlation(
            x,
            y,
            pixel_map.mean_affine,
            interpolant,
            half=min(_MAX_LAG, math.ceil(reach) - 1),
            source_correlation=source_correlation,
        )

    def variance_gain(
        self, pixel_map: PixelMap, box: Box, source_box: Box, source_correlation: FloatArray | None
    ) -> float:
        """By how much the variance of the result exceeds what `resampled` says, which takes the noise as white."""
        x, y = _source_positions(pixel_map, box, source_box)
        if source_correlation is None or len(x) == 0:
            return 1.0
        return resampled_variance_gain(x, y, self.interpolant(pixel_map), source_correlation)


def empty(box: Box) -> MaskedImage:
    """A masked image without data."""
    nothing = np.full(box.shape, np.nan, np.float32)
    return MaskedImage(nothing, np.full(box.shape, int(MaskPlane.NO_DATA), np.int32), nothing.copy(), box)


def _source_positions(pixel_map: PixelMap, box: Box, source_box: Box) -> tuple[FloatArray, FloatArray]:
    """Source positions of pixels spread evenly over ``box``, those on the source."""
    x, y = pixel_map.at(**_scattered(box))
    inside = (x > source_box.x0) & (x < source_box.x1 - 1) & (y > source_box.y0) & (y < source_box.y1 - 1)
    return x[inside], y[inside]


def _scattered(box: Box, n: int = 200) -> dict[str, FloatArray]:
    """Pixels spread evenly over a box without a period along either axis (Roberts' R2 sequence)."""
    index = np.arange(1, n + 1)
    x = np.floor(box.x0 + box.width * ((0.5 + 0.7548776662466927 * index) % 1.0))
    y = np.floor(box.y0 + box.height * ((0.5 + 0.5698402909980532 * index) % 1.0))
    return {"x": x, "y": y}
