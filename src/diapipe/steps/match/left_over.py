"""What stamps tell beyond the kernel: skies of their own, and how far matched pixels lie from the model."""

from __future__ import annotations

import numpy as np

from diapipe.numerics.arrays import FloatArray, IntArray
from diapipe.numerics.model_error import relative_error
from diapipe.numerics.stamp_sums import StampSums, offsets
from diapipe.numerics.stats import robust_sigma
from diapipe.steps.match.stamps import Stamps

OFFSETS_SHOW = 2.0
"""Constants of the stamps that scatter by this much more than their errors, squared, are let loose."""

LEAST_SKY_PART = 0.5
"""That much of their squared scatter must not go with the light in the stamps."""

ERROR_SIGMA = 5.0
"""The relative error of the matched pixels counts where it is this significant."""


def offset_scatter(sums: StampSums, local: FloatArray) -> float:
    """Scatter of the stamps' constants around the background field beyond their errors; 0 where it is not clear.

    What goes with the light in the stamp is no sky but what the kernel gets wrong: it does not count, and where it is
    most of the scatter none does.
    """
    offset, variance = offsets(sums, local)
    sigma = np.sqrt(variance)
    design = np.stack([sums.matrix[:, -1, 0] * sigma, 1.0 / sigma], axis=1)
    solution, *_ = np.linalg.lstsq(design, offset / sigma, rcond=None)
    whole, left = (robust_sigma(pull) ** 2 for pull in (offset / sigma, offset / sigma - design @ solution))
    if left < OFFSETS_SHOW or left < LEAST_SKY_PART * whole:
        return 0.0
    return float(np.sqrt((left - 1.0) * np.median(variance)))


def with_offsets(sums: StampSums, local: FloatArray, scatter: float) -> FloatArray:
    """Coefficients whose constants are those of the stamps, as far as their scatter lets them."""
    offset, variance = offsets(sums, local)
    found = local.copy()
    found[:, -1] += offset * scatter**2 / (scatter**2 + variance)
    return found


def relative_error_at(stamps: Stamps, local: FloatArray, kept: IntArray, basis_products: FloatArray) -> float:
    """Error of the matched pixels as a fraction of their signal, from stamps the kernel was not fitted to; 0 where not
    significant.

    ``local`` are the coefficients at the stamps in ``kept``.
    """
    every = np.zeros((len(stamps), local.shape[1]))
    every[kept] = local
    kernel = every[:, :-1]
    noise = stamps.noise(np.einsum("ci,ij,cj->c", kernel, basis_products, kernel))
    model = stamps.model(every)
    signal = model - every[:, -1:].astype(np.float32)
    residuals = stamps.reference - model
    found = relative_error(residuals[kept], signal[kept], noise[kept], stamps.good[kept])
    return found.value if found.significance > ERROR_SIGMA else 0.0
