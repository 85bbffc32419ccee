"""MeanCoadder: all that the inputs say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diapipe.steps.coadd.base import AbstractCoadder, Block, ByteArray


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanCoadder(AbstractCoadder):
    """The plain weighted mean: right for inputs without artefacts, and a measure of what clipping does."""

    def rejected(self, block: Block) -> ByteArray:
        """Nothing."""
        return np.zeros(block.image.shape, np.uint8)
