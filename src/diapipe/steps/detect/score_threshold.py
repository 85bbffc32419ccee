"""ScoreThreshold: sources of an image whose pixels are the likelihood of one already."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from diapipe.images import UNUSABLE_DIFFERENCE, Exposure
from diapipe.numerics.arrays import Float32Array
from diapipe.steps.detect.base import AbstractDetector, Responses
from diapipe.steps.detect.psf_cells import cell_psfs


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreThreshold(AbstractDetector):
    """Value over √variance of a score image, as it is: it has been through a filter and is not filtered again.

    Where bad pixels leave no score, its mask says so. Its PSF is what a source looks like on it, √2 times as wide as on
    the image that was filtered.
    """

    searches: ClassVar[Literal["difference", "score"]] = "score"

    def significance(self, image: Exposure, *, n_threads: int) -> tuple[Float32Array, Responses]:
        """Value over √variance."""
        planes = image.masked_image
        known = planes.usable(UNUSABLE_DIFFERENCE)
        score = np.full(planes.shape, np.nan, np.float32)
        np.divide(planes.image, np.sqrt(planes.variance, where=known, out=score), where=known, out=score)
        stamps, n_x = cell_psfs(image, self.cell_px)
        middle = stamps.shape[-1] // 2
        width = 1.0 / np.sqrt(8.0 * np.pi * (stamps**2).sum(axis=(1, 2)))
        return score, Responses(n_x, self.cell_px, stamps / stamps[:, middle : middle + 1, middle : middle + 1], width)

    def variance_of_smoothed(self, responses: Responses) -> float:
        """One: the score image has been smoothed already."""
        return 1.0
