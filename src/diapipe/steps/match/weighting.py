"""How the pixels of a stamp are weighted in the fit: by which variance."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from diapipe.numerics.arrays import Float32Array, FloatArray
from diapipe.numerics.single_fits import fit_each
from diapipe.steps.match.sized_basis import SizedBasis
from diapipe.steps.match.stamps import Stamps

type Weighting = Literal["expected", "inputs", "median", "iterated"]
"""``expected``: variance of the difference for a kernel of the width expected, plus 0.2% of the pixel for the model;
``inputs``: sum of the two images' variances; ``median``: the median of that, one number for each stamp; ``iterated``:
each stamp's own kernel is fitted with ``inputs`` and tells the variance of its difference.
"""

WEIGHTINGS: tuple[Weighting, ...] = ("expected", "inputs", "median", "iterated")


def weighted(
    stamps: Stamps, weighting: Weighting, *, sized: SizedBasis, products: FloatArray, with_background: bool
) -> Stamps:
    """The stamps with the variance that their pixels are weighted with.

    Parameters
    ----------
    stamps
        As cut.
    weighting
        Which variance.
    sized, products
        The basis, and its B_i · B_j.
    with_background
        Whether a stamp that is fitted alone has a constant of its own.
    """
    if weighting == "expected":
        return stamps
    inputs = stamps.noise(stamps.flux_ratio**2)
    if weighting == "median":
        return replace(stamps, weighting=_medians(inputs, stamps))
    found = replace(stamps, weighting=inputs)
    if weighting == "inputs":
        return found
    sums = found.sums(found.good, is_precise=True)
    fits = fit_each(sums, penalty=sized.penalty(sums, products), with_background=with_background)
    return replace(stamps, weighting=stamps.noise(fits.noise_gain(products)))


def _medians(variance: Float32Array, stamps: Stamps) -> Float32Array:
    """Median over the usable pixels of each stamp, at every pixel of it; 1 where there are none."""
    middle = np.array([np.median(v[g]) if g.any() else 1.0 for v, g in zip(variance, stamps.good, strict=True)])
    return np.broadcast_to(np.where(middle > 0, middle, 1.0).astype(np.float32)[:, None], variance.shape).copy()
