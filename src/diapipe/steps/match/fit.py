"""The fit of kernel and background: choose the spatial order, clip pixels and stamps, solve; it always ends."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from diapipe.errors import TooFewStarsError
from diapipe.images.box import Box
from diapipe.numerics.arrays import BoolArray, FloatArray, IntArray
from diapipe.numerics.kernel_fit import KernelSolution, NormalEquations, assembled, held_out, solve
from diapipe.numerics.kernel_penalties import Penalty
from diapipe.numerics.stamp_sums import StampSums, chi_squares, loosened, noise_free
from diapipe.steps.match.candidates import Chosen
from diapipe.steps.match.clipping import clip, reduced_chi2
from diapipe.steps.match.cuts import CandidateCuts
from diapipe.steps.match.left_over import offset_scatter, relative_error_at, with_offsets
from diapipe.steps.match.orders import STAMPS_PER_TERM, affordable, best_order, term_limits
from diapipe.steps.match.spatial import SpatialModel, in_chebyshev, spatial_terms
from diapipe.steps.match.stamps import Stamps

RESIDUAL_MARGIN = (1.5, 3.0)
"""Squared residuals may exceed what noise explains by the first factor before the noise that is taken out is doubted;
at the second none is taken out. Right kernels between unlike PSFs reach 1.25."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FitOptions:
    """What a matcher asks of the fit; see there."""

    spatial_order: int | None
    max_spatial_order: int
    background_order: int | None
    spatial_model: SpatialModel
    min_stamps: int
    max_rounds: int
    max_condition_number: float | None
    cuts: CandidateCuts


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """What the fit found: coefficients, orders, relative error of the matched pixels; for every stamp its χ² and why it
    was left out ('' if it was not).
    """

    solution: KernelSolution
    spatial_order: int
    relative_error: float
    reduced_chi2: FloatArray
    why_rejected: list[str]
    cross_validation: dict[int, float]
    kernel_sum_error: float
    condition_number: float


def fit_stamps(
    stamps: Stamps,
    basis_products: FloatArray,
    box: Box,
    options: FitOptions,
    *,
    chosen: Chosen,
    why: list[str],
    shared_noise: float = 0.0,
    penalty: Penalty | None = None,
    max_orders: tuple[int, ...] | None = None,
) -> Fit:
    """Fit all stamps together.

    Parameters
    ----------
    stamps, chosen
        The candidates, and how many of them may take part at a time.
    basis_products
        B_i · B_j of the basis, shape (n_basis, n_basis).
    box
        Region over which kernel and background vary.
    options
        Orders and limits.
    why
        What already speaks against each candidate, '' for nothing.
    shared_noise
        Part of the convolved image's noise that is the other's too.
    penalty, max_orders
        What holds the coefficients, and the highest order for each image of the basis.

    Raises
    ------
    TooFewStarsError
        If fewer stamps survive than are needed.
    """
    problem = _Problem(stamps, basis_products, box, options, shared_noise, penalty, max_orders)
    good, why = stamps.good.copy(), list(why)
    order, scatter, scores = options.spatial_order or 0, 0.0, dict[int, float]()
    for round_ in range(options.max_rounds):
        is_last = round_ == options.max_rounds - 1
        kept = _kept(why, options.min_stamps, chosen)
        sums = problem.summed(good, kept, scatter)
        if round_ == 0 or is_last or options.spatial_order is not None:
            order, scores = problem.order(sums)
        found = problem.solved(sums, order)
        reduced = reduced_chi2(stamps, sums.noisy, found.local, good)
        if not is_last:
            clip(stamps, with_offsets(sums.plain, found.local, scatter), reduced, good, why)
            why = options.cuts.of_spatial(stamps, found.local, why, products=basis_products)
            scatter = (
                0.0 if sums.background_order is None else offset_scatter(sums.plain.select(kept), found.local[kept])
            )
    return Fit(
        solution=in_chebyshev(options.spatial_model, found.solution),
        spatial_order=order,
        relative_error=problem.relative_error(sums, found, scatter),
        reduced_chi2=reduced,
        why_rejected=_final(why, kept),
        cross_validation=scores,
        kernel_sum_error=problem.kernel_sum_error(sums, found),
        condition_number=problem.condition_number(sums, found),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Sums:
    """The stamps summed in one round; ``background_terms`` are those at all stamps."""

    kept: IntArray
    plain: StampSums
    noisy: StampSums
    """With skies of their own, where they scatter."""
    clean: StampSums
    """Without the noise of the convolved image."""
    strength: FloatArray | None
    background_order: int | None
    background_terms: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """A solution, its equations, and the coefficients that it has at every stamp."""

    equations: NormalEquations
    solution: KernelSolution
    kernel_terms: FloatArray
    local: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class _Problem:
    """What all rounds share."""

    stamps: Stamps
    products: FloatArray
    box: Box
    options: FitOptions
    shared_noise: float
    penalty: Penalty | None
    max_orders: tuple[int, ...] | None

    @property
    def limits(self) -> IntArray:
        """Number of spatial terms that each image of the basis may have."""
        return term_limits(self.max_orders, len(self.products))

    def terms(self, order: int | None) -> FloatArray:
        """Spatial terms at all stamps."""
        return spatial_terms(self.options.spatial_model, self.box, order, x=self.stamps.x, y=self.stamps.y)

    def summed(self, good: BoolArray, kept: IntArray, scatter: float) -> _Sums:
        """The sums over the pixels in ``good``, for skies that scatter by ``scatter``."""
        plain = self.stamps.sums(good)
        noisy = loosened(plain, scatter)
        clean = noise_free(noisy, self.products)
        strength = None if self.penalty is None else self.penalty.over(clean.select(kept))
        doubt = _doubt(noisy.select(kept), clean.select(kept), strength)
        clean = noise_free(noisy, self.products, part=1.0 - max(self.shared_noise, doubt))
        order = self.options.background_order
        back = None if order is None else affordable(order, len(kept), STAMPS_PER_TERM)
        return _Sums(kept, plain, noisy, clean, strength, back, self.terms(back))

    def order(self, sums: _Sums) -> tuple[int, dict[int, float]]:
        """The spatial order that was asked for, as far as there are stamps; else the best, and the score of each."""
        n, kept, asked = len(sums.kept), sums.kept, self.options.spatial_order
        if asked is not None:
            return affordable(asked, n, 1), {}
        if n < 2 * STAMPS_PER_TERM:
            return 0, {}
        f = self.terms(affordable(self.options.max_spatial_order, n, STAMPS_PER_TERM))[:, kept]
        clean, noisy, g = sums.clean.select(kept), sums.noisy.select(kept), sums.background_terms[:, kept]
        scores, best = best_order(clean, noisy, f, g, penalty=sums.strength, max_orders=self.max_orders)
        return best, scores

    def solved(self, sums: _Sums, order: int) -> _Found:
        """Kernel and background of all stamps that take part."""
        f, g, kept = self.terms(order), sums.background_terms, sums.kept
        equations = assembled(sums.clean.select(kept), f[:, kept], g[:, kept])
        solution = equations.solution(penalty=sums.strength, max_terms=self.limits)
        return _Found(equations, solution, f, solution.local(f, g))

    def relative_error(self, sums: _Sums, found: _Found, scatter: float) -> float:
        """Error of the matched pixels as stamps tell it that the kernel was not fitted to; 0 where too few do."""
        kept = sums.kept
        if len(kept) < 2 * STAMPS_PER_TERM:
            return 0.0
        f, g = found.kernel_terms[:, kept], sums.background_terms[:, kept]
        (unseen,) = held_out(sums.clean.select(kept), f, g, penalty=sums.strength, max_terms=[self.limits])
        local = with_offsets(sums.plain.select(kept), unseen, scatter)
        return relative_error_at(self.stamps, local, kept, self.products)

    def kernel_sum_error(self, sums: _Sums, found: _Found) -> float:
        """Standard error of the kernel sum."""
        variance = found.equations.kernel_sum_variance(penalty=sums.strength, max_terms=self.limits)
        return float(np.sqrt(max(variance, 0.0)))

    def condition_number(self, sums: _Sums, found: _Found) -> float:
        """That of the equations, where there is a limit to it; else NaN."""
        if self.options.max_condition_number is None:
            return float("nan")
        return found.equations.condition_number(penalty=sums.strength, max_terms=self.limits)


def _final(why: list[str], kept: IntArray) -> list[str]:
    """The reasons, with one for those that stood in reserve."""
    taken = set(kept.tolist())
    return [reason or ("" if k in taken else "enough others in its cell") for k, reason in enumerate(why)]


def _doubt(sums: StampSums, clean: StampSums, penalty: FloatArray | None) -> float:
    """How far the residuals speak against a kernel without the noise of the convolved image, from 0 to 1.

    Those of a right kernel exceed the least possible ones by no more than the noise that the convolved image adds.
    Where they do, the noise is not what it is said to be, as where one image was made from the other.
    """
    f = g = np.ones((1, len(sums.matrix)))
    plain, corrected = (solve(s, f, g, penalty=penalty) for s in (sums, clean))
    least, found = (float(chi_squares(sums, s.local(f, g)).sum()) for s in (plain, corrected))
    added = float(plain.kernel[0, 0] ** 2 * sums.noise.sum() / max(sums.n_pixels.sum(), 1.0))
    excess = found / max((1.0 + added) * least, 1e-300)
    return float(np.clip((excess - RESIDUAL_MARGIN[0]) / (RESIDUAL_MARGIN[1] - RESIDUAL_MARGIN[0]), 0.0, 1.0))


def _kept(why: list[str], min_stamps: int, chosen: Chosen) -> IntArray:
    """Indices of the stamps that take part, or the error that there are too few."""
    kept = chosen.taking_part(why)
    if len(kept) < min_stamps:
        lost = ", ".join(f"{n} for {reason}" for reason, n in Counter(filter(None, why)).items())
        raise TooFewStarsError(
            f"{len(kept)} of {len(why)} candidate stars are usable for the matching kernel, {min_stamps} are needed; "
            f"left out were {lost or 'none'}",
            found=len(kept),
            needed=min_stamps,
        )
    return kept
