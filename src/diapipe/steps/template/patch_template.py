"""What templates made of patches of a sky map share."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from diapipe.errors import InputError, NoOverlapError
from diapipe.images import CoaddPatch, Exposure, MaskedImage, MaskPlane
from diapipe.images.tracts import Tract
from diapipe.numerics.arrays import FloatArray
from diapipe.steps.template.blend import blend
from diapipe.steps.template.gather import AbstractTemplate, TemplateInput
from diapipe.steps.template.grid import Grid
from diapipe.steps.template.layers import Blend

LEAST_SHARE = 0.1
"""Share of pixels with data from which on a median variance says what is normal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchTemplate(AbstractTemplate, ABC):
    """A template made of patches.

    Attributes
    ----------
    feather_px
        Distance from its border over which an image gains its full weight.
    high_variance_factor
        Cells whose median variance exceeds the template's by this factor are flagged HIGH_VARIANCE.
    high_variance_cell_px
        Side of these cells.
    """

    feather_px: float = 100.0
    high_variance_factor: float = 4.0
    high_variance_cell_px: int = 32

    def _on_tract(self, tract: Tract, patches: Sequence[CoaddPatch], science: Exposure, n_threads: int) -> Exposure:
        """Patches of one tract on its own grid: no pixel is interpolated."""
        reach = tract.box_of(science.box, science.wcs)
        box = None if reach is None else reach.dilated(self.border_px).intersect(tract.box)
        if box is None:
            raise nothing_overlaps(science, len(patches))
        own = [patch for patch in patches if patch.tract.id == tract.id]
        grid = Grid(box=box, wcs=tract.wcs)
        return self._finished(
            blend(own, grid, warp=self.warp, feather_px=self.feather_px, n_threads=n_threads), science
        )

    def _finished(self, blended: Blend, science: Exposure) -> Exposure:
        """The exposure of a blend with its high variances flagged."""
        if blended.is_empty:
            raise nothing_overlaps(science, 0)
        return self._flagged(blended.exposure(f"template of {science.name}"))

    def _flagged(self, template: Exposure) -> Exposure:
        pixels = flag_high_variance(
            template.masked_image, factor=self.high_variance_factor, cell_px=self.high_variance_cell_px
        )
        return replace(template, masked_image=pixels)


def nothing_overlaps(science: Exposure, n: int) -> NoOverlapError:
    """The error where no patch shares sky with the science exposure."""
    given = f"none of the {n} images given" if n else "no image with data"
    return NoOverlapError(f"cannot difference {science.name}: {given} for its template overlaps it; at least 1 must")


def only_patches(inputs: Sequence[TemplateInput]) -> list[CoaddPatch]:
    """The inputs, if they are patches; InputError for others."""
    others = [found for found in inputs if not isinstance(found, CoaddPatch)]
    if others:
        raise InputError(f"this template is made of CoaddPatch objects, not of {others[0]!r:.60}")
    return [found for found in inputs if isinstance(found, CoaddPatch)]


def flag_high_variance(pixels: MaskedImage, *, factor: float, cell_px: int) -> MaskedImage:
    """Flag cells whose median variance exceeds that of the image by a factor."""
    variance = np.where(np.isfinite(pixels.image), pixels.variance, np.nan)
    if np.isfinite(variance).mean() < LEAST_SHARE:
        return pixels
    cells = _cell_medians(variance, cell_px)
    high = cells > factor * np.nanmedian(variance)
    if not high.any():
        return pixels
    height, width = pixels.shape
    over = np.repeat(np.repeat(high, cell_px, axis=0), cell_px, axis=1)[:height, :width] & np.isfinite(variance)
    flags = np.where(over, pixels.mask | np.int32(MaskPlane.HIGH_VARIANCE), pixels.mask)
    return replace(pixels, mask=flags)


def _cell_medians(values: FloatArray, size: int) -> FloatArray:
    """Median of the finite values of each cell; NaN where there are none."""
    rows, columns = (-(-n // size) for n in values.shape)
    padded = np.full((rows * size, columns * size), np.nan, np.float32)
    padded[: values.shape[0], : values.shape[1]] = values
    cells = padded.reshape(rows, size, columns, size).swapaxes(1, 2).reshape(rows, columns, -1)
    cells = np.sort(cells, axis=-1)  # NaN last
    n = np.isfinite(cells).sum(axis=-1)
    middle = np.take_along_axis(cells, np.maximum((n - 1) // 2, 0)[..., None], axis=-1)[..., 0]
    return np.where(n > 0, middle, np.nan).astype(np.float64)
