"""What the fit of a kernel leaves out: pixels that the model does not describe, and stamps that stand out."""

from __future__ import annotations

import numpy as np

from diapipe.numerics.arrays import BoolArray, FloatArray
from diapipe.numerics.stamp_sums import StampSums, chi_squares
from diapipe.numerics.stats import robust_sigma
from diapipe.steps.match.stamps import Stamps

PIXEL_CLIP = 5.0
"""Pixels farther from the model than this many sigma are left out of the next round."""

MAX_CLIPPED = 0.1
"""A stamp that loses a larger part of its pixels holds something the model cannot describe."""

STAMP_CLIP = 5.0
"""Stamps whose reduced χ² lies this many robust sigma above the median are left out; more where few tell the sigma."""

FEW = 10.0
"""The limit is widened by 1 + FEW / n for n stamps, nearly as Student's t has it: of seven stars the brightest, which
holds most of what is known, is not to be lost to the scatter of six others.
"""


def reduced_chi2(stamps: Stamps, sums: StampSums, local: FloatArray, good: BoolArray) -> FloatArray:
    """χ² per pixel of every stamp by the variance that its pixels have."""
    if stamps.weighting is not None:
        return stamps.reduced_chi2(local, good)
    return chi_squares(sums, local) / np.maximum(sums.n_pixels, 1.0)


def clip(stamps: Stamps, local: FloatArray, reduced: FloatArray, good: BoolArray, why: list[str]) -> None:
    """Take out of ``good`` the pixels, and name in ``why`` the stamps, that the model does not describe."""
    kept = [k for k, reason in enumerate(why) if not reason]
    level, limit = float(np.median(reduced[kept])), highest(reduced[kept])
    scale = np.sqrt(stamps.variance * max(level, 1.0))
    outlying = (np.abs(stamps.residuals(local)) > PIXEL_CLIP * scale) & good
    part = outlying.sum(axis=1) / np.maximum(good.sum(axis=1), 1)
    for k in range(len(why)):
        if why[k]:
            continue
        if part[k] > MAX_CLIPPED:
            why[k] = "pixels far from the model"
        elif reduced[k] > limit:
            why[k] = "high residuals"
    good &= ~outlying


def highest(reduced: FloatArray) -> float:
    """Reduced χ² above which a stamp is left out."""
    level = float(np.median(reduced))
    return level + STAMP_CLIP * (1.0 + FEW / len(reduced)) * max(robust_sigma(reduced), 0.05 * level)
