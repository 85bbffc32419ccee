"""What every way to coadd has in common: weights, borders, levels, masks and memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from diapipe.images import Box
from diapipe.numerics.arrays import Float32Array, FloatArray, MaskArray
from diapipe.steps.limits import Limited

type ByteArray = NDArray[np.uint8]


_BYTES_PER_PIXEL = 22.0
_SMALLEST_TILE_PX, _LARGEST_TILE_PX = 64, 1024


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Block:
    """A part of a coadd with the same part of each of its inputs.

    Attributes
    ----------
    box
        Where it lies; pixels of a margin around those that are wanted included.
    image, variance, mask
        Shape (n, rows, columns); NaN and NO_DATA where an input has nothing.
    usable
        1 where a pixel tells something about the sky, else 0; the same shape.
    psfs
        PSF of each input in the middle of what it has of the block, as an image of unit sum; None where undefined.
    correlations
        Noise autocorrelation of each; None for white noise.
    """

    box: Box
    image: Float32Array
    variance: Float32Array
    mask: MaskArray
    usable: ByteArray
    psfs: Sequence[FloatArray | None]
    correlations: Sequence[FloatArray | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class AbstractCoadder(Limited, ABC):
    """A weighted mean of images on one grid, less those pixels that an algorithm rejects.

    Attributes
    ----------
    weighting
        ``inverse_variance`` is one over the typical variance of an image with its correlation: one number an image, for
        weights that follow the variance of each pixel make fluxes depend on it. ``uniform`` is 1.
    feather_px
        Distance from the border of an image (and of large holes without values) over which its weight rises to the full
        one: a star there sees a PSF that changes smoothly.
    cell_px
        Side of the cells at whose centres weights are kept, for the pixels and for the PSF.
    level_order
        Highest degree of the polynomials by which the levels of the images are made to agree, each less its share of
        what they have in common; None leaves them as they are.
    level_cell_px
        Side of the cells in whose medians the levels are seen; smaller on small coadds.
    least_mask_share
        Part of the weight that must carry a harmless mask bit (as INTRP) for the coadd to have it.
    most_saturated_share
        Part of the weight that may be missing because images are saturated; where more is, the coadd is SAT: the others
        alone make the core of the star, which is another star than its wings.
    psf_order
        Degree of the polynomials that describe the PSF of each image over the coadd.
    memory_gib
        For the pixels of the inputs that are in memory at a time.
    """

    may_be_zero: ClassVar[tuple[str, ...]] = ("level_order", "least_mask_share", "most_saturated_share", "psf_order")
    shares: ClassVar[tuple[str, ...]] = ("least_mask_share", "most_saturated_share")
    margin_px: ClassVar[int] = 0
    """By how much a block must reach beyond the pixels that are wanted."""

    weighting: Literal["inverse_variance", "uniform"] = "inverse_variance"
    feather_px: float = 64.0
    cell_px: int = 8
    level_order: int | None = 2
    level_cell_px: int = 128
    least_mask_share: float = 0.2
    most_saturated_share: float = 0.1
    psf_order: int = 2
    memory_gib: float = 1.0

    @abstractmethod
    def rejected(self, block: Block) -> ByteArray:
        """1 where a pixel of an input is not to count, else 0; shape of ``block.image``."""

    def tile_px(self, n_inputs: int) -> int:
        """Side of the tiles in which a coadd of so many inputs is made: what the memory allows, in whole cells."""
        side = int(np.sqrt(self.memory_gib * 2**30 / (_BYTES_PER_PIXEL * max(n_inputs, 1)))) - 2 * self.margin_px
        wanted = min(max(side, _SMALLEST_TILE_PX), _LARGEST_TILE_PX)
        return self.cell_px * max(1, wanted // self.cell_px)
