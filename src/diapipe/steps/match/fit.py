"""The fit of kernel and background: choose the spatial order, clip pixels and stamps, solve; it always ends."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from diapipe.errors import TooFewStarsError
from diapipe.images.box import Box
from diapipe.images.fields import field_terms
from diapipe.numerics.arrays import BoolArray, FloatArray, IntArray
from diapipe.numerics.kernel_fit import (
    KernelSolution,
    StampSums,
    chi_squares,
    held_out,
    loosened,
    noise_free,
    offsets,
    solve,
)
from diapipe.numerics.model_error import relative_error
from diapipe.numerics.polynomials import n_terms
from diapipe.numerics.stats import robust_sigma
from diapipe.steps.match.stamps import Stamps

N_ROUNDS = 3
"""Rounds of clipping: each only removes, and there are no others, so the fit ends."""

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

STAMPS_PER_TERM = 4
"""A spatial order, of kernel or background, is tried if there are this many stamps for each of its terms: a background
of order 2 through seven stamps left the noise by 1.5 sigma in a corner of the frame."""

ORDER_SIGMA = 1.0
"""A higher spatial order must lower the held-out χ² by this many standard errors, or the lower one is kept."""

OFFSETS_SHOW = 2.0
"""Constants of the stamps that scatter by this much more than their errors, squared, are let loose."""

LEAST_SKY_PART = 0.5
"""That much of their squared scatter must not go with the light in the stamps."""

ERROR_SIGMA = 5.0
"""The relative error of the matched pixels counts where it is this significant."""

RESIDUAL_MARGIN = 1.2
"""Squared residuals may exceed what noise explains by this factor before the noise is taken to be shared."""


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """What the fit found: coefficients, orders, relative error of the matched pixels; for every stamp its χ² and why it
    was left out ('' if it was not).
    """

    solution: KernelSolution
    spatial_order: int
    background_order: int
    relative_error: float
    reduced_chi2: FloatArray
    why_rejected: list[str]
    cross_validation: dict[int, float]


def fit_stamps(
    stamps: Stamps,
    basis_products: FloatArray,
    box: Box,
    *,
    spatial_order: int | None,
    max_spatial_order: int,
    background_order: int,
    min_stamps: int,
    penalty: FloatArray | None = None,
    max_orders: tuple[int, ...] | None = None,
) -> Fit:
    """Fit all stamps together.

    Raises
    ------
    TooFewStarsError
        If fewer than ``min_stamps`` survive.
    """
    good = stamps.good.copy()
    why = ["" if part > 0.3 else "masked pixels" for part in good.mean(axis=1)]
    scores: dict[int, float] = {}
    order, scatter = 0 if spatial_order is None else spatial_order, 0.0
    for round_ in range(N_ROUNDS):
        kept = _kept(why, min_stamps)
        plain = stamps.sums(good)
        sums = loosened(plain, scatter)
        clean = noise_free(sums, basis_products)
        strength = None if penalty is None else penalty * _information(clean.select(kept))
        if _noise_is_shared(sums.select(kept), clean.select(kept), strength):
            clean = sums
        back = _affordable(background_order, len(kept), STAMPS_PER_TERM)
        if spatial_order is not None:
            order = _affordable(spatial_order, len(kept), 1)
        elif round_ in (0, N_ROUNDS - 1):
            scores, order = _best_order(
                clean.select(kept), sums.select(kept), stamps, kept, box, max_spatial_order, back, strength, max_orders
            )
        f, g = _terms(stamps, box, order), _terms(stamps, box, back)
        limits = _term_limits(max_orders, len(basis_products))
        solution = solve(clean.select(kept), f[:, kept], g[:, kept], penalty=strength, max_terms=limits)
        local = solution.local(f, g)
        reduced = chi_squares(sums, local) / np.maximum(sums.n_pixels, 1.0)
        if round_ < N_ROUNDS - 1:
            _clip(stamps, _with_offsets(plain, local, scatter), reduced, good, why)
            scatter = _offset_scatter(plain.select(kept), local[kept])
    error = 0.0
    if len(kept) >= 2 * STAMPS_PER_TERM:
        (unseen,) = held_out(clean.select(kept), f[:, kept], g[:, kept], penalty=strength, max_terms=[limits])
        error = _relative_error(stamps, _with_offsets(plain.select(kept), unseen, scatter), kept, basis_products)
    return Fit(solution, order, back, error, reduced, why, scores)


def _offset_scatter(sums: StampSums, local: FloatArray) -> float:
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


def _with_offsets(sums: StampSums, local: FloatArray, scatter: float) -> FloatArray:
    """Coefficients whose constants are those of the stamps, as far as their scatter lets them."""
    offset, variance = offsets(sums, local)
    found = local.copy()
    found[:, -1] += offset * scatter**2 / (scatter**2 + variance)
    return found


def _relative_error(stamps: Stamps, local: FloatArray, kept: IntArray, basis_products: FloatArray) -> float:
    """Error of the matched pixels as a fraction of their signal, from stamps the kernel was not fitted to; 0 where not
    significant.
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


def _noise_is_shared(sums: StampSums, clean: StampSums, penalty: FloatArray | None) -> bool:
    """Whether the noise of the two images is partly one, as on a template that the science image went into.

    Taking the noise out of the matrix then makes the kernel worse instead of better. It shows in the residuals: those
    of a right kernel exceed the least possible ones by no more than the noise that the convolved image adds.
    """
    f = g = np.ones((1, len(sums.matrix)))
    plain, corrected = (solve(s, f, g, penalty=penalty) for s in (sums, clean))
    least, found = (float(chi_squares(sums, s.local(f, g)).sum()) for s in (plain, corrected))
    added = float(plain.kernel[0, 0] ** 2 * sums.noise.sum() / max(sums.n_pixels.sum(), 1.0))
    return found > RESIDUAL_MARGIN * (1.0 + added) * least


def _kept(why: list[str], min_stamps: int) -> IntArray:
    """Indices of the stamps still in, or the error that there are too few."""
    kept = np.array([k for k, reason in enumerate(why) if not reason], dtype=np.int64)
    if len(kept) < min_stamps:
        lost = ", ".join(f"{n} for {reason}" for reason, n in Counter(filter(None, why)).items())
        raise TooFewStarsError(
            f"{len(kept)} of {len(why)} candidate stars are usable for the matching kernel, {min_stamps} are needed; "
            f"left out were {lost or 'none'}",
            found=len(kept),
            needed=min_stamps,
        )
    return kept


def _term_limits(max_orders: tuple[int, ...] | None, n_basis: int) -> IntArray:
    """Number of spatial terms that each basis image may have."""
    if max_orders is None:
        return np.full(n_basis, np.iinfo(np.int64).max)
    return np.array([n_terms(order) for order in max_orders], dtype=np.int64)


def _information(sums: StampSums) -> float:
    """Trace of the normal matrix of the coefficients: makes the strength of a penalty a pure number."""
    return float(np.einsum("cii->", sums.matrix[:, 1:-1, 1:-1]))


def _terms(stamps: Stamps, box: Box, order: int) -> FloatArray:
    return field_terms(box, order, x=stamps.x, y=stamps.y)


def _affordable(order: int, n_stamps: int, stamps_per_term: int) -> int:
    """The highest order up to ``order`` for which there are enough stamps."""
    while order > 0 and n_terms(order) * stamps_per_term > n_stamps:
        order -= 1
    return order


def _best_order(
    clean: StampSums,
    noisy: StampSums,
    stamps: Stamps,
    kept: IntArray,
    box: Box,
    max_order: int,
    background_order: int,
    penalty: FloatArray | None,
    max_orders: tuple[int, ...] | None,
) -> tuple[dict[int, float], int]:
    """Held-out χ² per pixel of every spatial order that the stamps allow, and the lowest that none beats for certain.

    The mean is over all but the worst twentieth of the stamps: one variable star must not choose the order.
    """
    if len(kept) < 2 * STAMPS_PER_TERM:
        return {}, 0
    g = _terms(stamps, box, background_order)[:, kept]
    highest = _affordable(max_order, len(kept), STAMPS_PER_TERM)
    limits = _term_limits(max_orders, clean.matrix.shape[1] - 1)
    tried = [np.minimum(limits, n_terms(order)) for order in range(highest + 1)]
    f = _terms(stamps, box, highest)[:, kept]
    scores, chosen, best = {}, 0, np.empty(0)
    for order, local in enumerate(held_out(clean, f, g, penalty=penalty, max_terms=tried)):
        chi2 = chi_squares(noisy, local) / np.maximum(clean.n_pixels, 1.0)
        usual = chi2 <= np.quantile(chi2, 0.95)
        scores[order] = float(chi2[usual].mean())
        if order:
            gain = np.sort(best - chi2)[len(chi2) // 40 : len(chi2) - len(chi2) // 40]
            if gain.mean() <= ORDER_SIGMA * gain.std() / np.sqrt(len(gain)):
                continue
        chosen, best = order, chi2
    return scores, chosen


def _clip(stamps: Stamps, local: FloatArray, reduced: FloatArray, good: BoolArray, why: list[str]) -> None:
    """Take out of ``good`` the pixels, and name in ``why`` the stamps, that the model does not describe."""
    kept = [k for k, reason in enumerate(why) if not reason]
    level, highest = float(np.median(reduced[kept])), _highest(reduced[kept])
    scale = np.sqrt(stamps.variance * max(level, 1.0))
    outlying = (np.abs(stamps.residuals(local)) > PIXEL_CLIP * scale) & good
    part = outlying.sum(axis=1) / np.maximum(good.sum(axis=1), 1)
    for k in range(len(why)):
        if why[k]:
            continue
        if part[k] > MAX_CLIPPED:
            why[k] = "pixels far from the model"
        elif reduced[k] > highest:
            why[k] = "high residuals"
    good &= ~outlying


def _highest(reduced: FloatArray) -> float:
    """Reduced χ² above which a stamp is left out."""
    level = float(np.median(reduced))
    return level + STAMP_CLIP * (1.0 + FEW / len(reduced)) * max(robust_sigma(reduced), 0.05 * level)
