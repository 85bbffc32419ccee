"""What two PSF models lack, told by the stars: a small kernel with which two filtered images agree about them.

S' = A ⊗ S and T' = B ⊗ T are alike at constant stars but for the errors of the PSF models that A and B were made of.
With M their mean,

    S' - T' = κ ⊗ M + a constant in every stamp

is solved for a smooth κ over stamps around stars. Half of it goes to each side, so that nothing tells the images apart.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from diapipe.images.box import Box
from diapipe.images.fields import ImageField, field_terms
from diapipe.images.kernel import SpatialKernel
from diapipe.numerics.arrays import BoolArray, FloatArray, IntArray
from diapipe.numerics.kernel_bases import KernelBasis, gaussian_basis, noise_products
from diapipe.numerics.kernel_fit import held_out, solve
from diapipe.numerics.polynomials import n_terms
from diapipe.numerics.stamp_sums import StampSums, chi_squares, loosened
from diapipe.numerics.stats import robust_sigma
from diapipe.steps.subtract.filtered_stamps import FilteredStamps, Side, cut_filtered, usable_stars

POINT_SIGMA_PX = 0.1
"""A Gaussian so narrow is one pixel: the first basis image of κ, by which the fluxes of the models are off."""

WIDTHS = (0.7, 1.4)
DEGREES = (2, 2)
"""The others, in sigma of the sharper PSF: place, width and ellipticity of the cores, and of what lies around them."""

LEAST_WIDTH_PX = 0.8

HIGHEST_ORDER = 2
"""Of κ over the image."""

STAMP_SIGMAS = 5.0
"""Half-size of the stamps, in sigma of the wider PSF."""

LEAST_STARS, MOST_STARS = 10, 300
"""With fewer stars the models are taken as they are; of more, evenly many are left out."""

STARS_PER_TERM = 4

RESTRAINT = 10.0
"""Quadratic penalty on κ, in units of the noise that it would carry into the stamps: the sharpest parts of κ, of which
smooth stars say nothing, stay near zero. With 0 neighbouring pixels correlated by 0.007, with 3 by 0.0014, with 10 by
0.001, as they do without κ; what it makes of a crowded field is the same.
"""

N_ROUNDS = 3
PIXEL_CLIP, STAMP_CLIP = 5.0, 5.0
"""Pixels and stamps that lie this many sigma off are left out of the next round."""

ORDER_SIGMA = 1.0
"""More freedom must lower the held-out χ² by this many standard errors, or there is none."""


class Agreement(NamedTuple):
    """``kernel`` is κ, or None where the stars do not ask for one; ``relative_error`` what is left, as a fraction of
    the light, from stars that κ was not fitted to; 0 where that is not significant.
    """

    kernel: SpatialKernel | None
    relative_error: float


def agreement(
    sides: tuple[Side, Side],
    good: BoolArray,
    box: Box,
    *,
    x: FloatArray,
    y: FloatArray,
    sharper_px: float,
    wider_px: float,
) -> Agreement | None:
    """Find κ; None if there are too few stars to tell.

    Parameters
    ----------
    sides
        Science and template, of one shape.
    good
        Pixels that count.
    box
        Where they lie.
    x, y
        Stars, parent pixel coordinates.
    sharper_px, wider_px
        Gaussian sigmas of the two PSFs.
    """
    half = int(np.ceil(STAMP_SIGMAS * wider_px))
    index = usable_stars(good, box, x=x, y=y, half=half)
    index = index[:: max(1, -(-len(index) // MOST_STARS))]
    if len(index) < LEAST_STARS:
        return None
    stamps = cut_filtered(sides, good, box, _basis(sharper_px), x=x[index], y=y[index], half=half)
    products = np.diag(noise_products(stamps.basis, None))
    kept, clean_pixels = np.arange(len(stamps.x)), stamps.good.copy()
    terms = field_terms(box, HIGHEST_ORDER, x=stamps.x, y=stamps.y)
    for last in (False,) * (N_ROUNDS - 1) + (True,):
        plain = stamps.sums(clean_pixels)
        sums = loosened(plain, stamps.freedom).select(kept)
        penalty = np.diag(RESTRAINT * float(sums.noise.sum()) * np.r_[0.0, products[1:]])
        limits, unseen = _best(sums, terms[:, kept], penalty)
        solved = solve(sums, terms[:, kept], terms[:0, kept], penalty=penalty, max_terms=limits)
        local = solved.local(terms, terms[:0]) if limits.any() else np.zeros(plain.vector.shape)
        if not last:
            kept = _clipped(stamps, plain, local, kept, clean_pixels)
            if len(kept) < LEAST_STARS:
                return None
    every_unseen = local.copy()
    every_unseen[kept] = unseen
    error = stamps.relative_error(every_unseen, plain, kept, clean_pixels)
    if not limits.any():
        return Agreement(None, error)
    images = np.einsum("nt,nvu->tvu", solved.kernel, stamps.basis.images)
    return Agreement(SpatialKernel(ImageField(images, box)), error)


def _basis(sharper_px: float) -> KernelBasis:
    """What κ is expanded in: a point, and Gaussians times polynomials of zero sum."""
    widths = tuple(max(width * sharper_px, LEAST_WIDTH_PX) for width in WIDTHS)
    return gaussian_basis((POINT_SIGMA_PX, *widths), (0, *DEGREES), half=int(np.ceil(2.5 * max(widths))))


def _best(sums: StampSums, terms: FloatArray, penalty: FloatArray) -> tuple[IntArray, FloatArray]:
    """Spatial terms of every basis image, all 0 where the models do as well as they are; and every star's own κ from
    the fit to the others.
    """
    n_stars, n_basis = len(sums.matrix), sums.matrix.shape[1] - 1
    affordable = [n_terms(order) for order in range(HIGHEST_ORDER + 1) if STARS_PER_TERM * n_terms(order) <= n_stars]
    tried = [np.r_[1, np.full(n_basis - 1, count)] for count in (0, *affordable)]
    found = [np.zeros(sums.vector.shape), *held_out(sums, terms, terms[:0], penalty=penalty, max_terms=tried)]
    scores = [chi_squares(sums, local) / np.maximum(sums.n_pixels, 1.0) for local in found]
    chosen = 0
    for index in range(1, len(found)):
        gain = np.sort(scores[chosen] - scores[index])
        # one variable star must not choose
        gain = gain[len(gain) // 40 : len(gain) - len(gain) // 40]
        if gain.mean() > ORDER_SIGMA * gain.std() / np.sqrt(len(gain)):
            chosen = index
    return tried[chosen - 1] if chosen else np.zeros(n_basis, np.int64), found[chosen]


def _clipped(stamps: FilteredStamps, plain: StampSums, local: FloatArray, kept: IntArray, good: BoolArray) -> IntArray:
    """The stamps that agree with the others; pixels that do not are taken out of ``good``."""
    left = stamps.residuals(local, plain)
    weight = np.where(good, 1.0 / stamps.weighted_variance, np.float32(0.0))
    reduced = (weight * left**2).sum(axis=1) / np.maximum(good.sum(axis=1), 1)
    level = float(np.median(reduced[kept]))
    good &= np.abs(left) < PIXEL_CLIP * np.sqrt(stamps.weighted_variance * max(level, 1.0))
    highest = level + STAMP_CLIP * (1.0 + LEAST_STARS / len(kept)) * max(robust_sigma(reduced[kept]), 0.05 * level)
    return np.asarray(kept[reduced[kept] <= highest])
