"""StarMatcher: a kernel fitted to stamps of stars. The fit is one for all (`fit.py`), the basis is the matcher's."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from functools import reduce
from operator import or_
from typing import Literal, Self

import numpy as np

from diapipe.catalogs.stars import StarList
from diapipe.errors import TooFewStarsError, UsageError, counted
from diapipe.images.exposure import Exposure
from diapipe.images.fields import ChebyshevField, ImageField
from diapipe.images.kernel import SpatialKernel
from diapipe.images.mask import UNUSABLE, MaskPlane
from diapipe.numerics.arrays import FloatArray, IntArray
from diapipe.numerics.kernel_bases import noise_products
from diapipe.numerics.kernel_penalties import Penalty
from diapipe.steps.match.base import AbstractMatcher
from diapipe.steps.match.candidates import AbstractCandidates, Chosen, Spread
from diapipe.steps.match.counterparts import without_counterpart
from diapipe.steps.match.cuts import CandidateCuts
from diapipe.steps.match.direction import Direction, stamp_half
from diapipe.steps.match.fit import Fit, FitOptions, fit_stamps
from diapipe.steps.match.reduction import AbstractReduction, WholeBasis
from diapipe.steps.match.result import Candidates, Match
from diapipe.steps.match.shared_noise import shared_part
from diapipe.steps.match.sized_basis import SizedBasis
from diapipe.steps.match.stamps import LEAST_USABLE, Stamps, cut_stamps
from diapipe.steps.match.weighting import WEIGHTINGS, weighted


@dataclass(frozen=True, slots=True, kw_only=True)
class StarMatcher(AbstractMatcher):
    """Fit of a spatially varying kernel as a linear combination of basis images, to stamps around stars.

    Attributes
    ----------
    max_spatial_order
        Highest order that cross-validation may choose, where ``spatial_order`` is None.
    spatial_model
        Polynomials in which kernel and background vary (spatialModelType); they span the same, so the kernels agree but
        for rounding, and but for a penalty, which is on coefficients.
    stamp_half_px
        Half-size of the fitted stamps; None sizes them from the PSFs.
    candidates
        Which stars: the brightest ``spread`` over the image, or so many in each of its ``cells``.
    max_stamps
        How many stamps at the most.
    min_stamps
        Fewer usable ones are an error.
    bad_planes
        Mask planes whose pixels are not fitted (badMaskPlanes).
    weighting
        By which variance pixels are weighted: ``expected`` of the difference, and 0.2% of the pixel; ``inputs``, the
        sum of both images'; ``median`` of that in each stamp (constantVarianceWeighting); ``iterated``, that of a first
        difference (iterateSingleKernel).
    shared_noise
        Part of the convolved image's noise that the other image has too, as a template has that was made of it; None
        measures it on the pixels.
    reduction
        What is made of the basis by the stamps' own kernels: the ``whole`` of it, ``pca`` (usePcaForSpatialKernel),
        ``bic`` (useBicForKernelBasis).
    cuts
        Limits that a candidate must keep beyond the clipping of the fit.
    max_rounds
        Fits at the most; after each but the last pixels and stamps that it does not describe are left out
        (maxSpatialIterations).
    max_condition_number
        Above it the normal matrix is the subject of a warning (maxSpatialConditionNumber); None does not look.
    """

    may_be_zero = (*AbstractMatcher.may_be_zero, "max_spatial_order", "shared_noise")

    max_spatial_order: int = 4
    spatial_model: Literal["chebyshev", "polynomial"] = "chebyshev"
    stamp_half_px: int | None = None
    candidates: AbstractCandidates = field(default_factory=Spread)
    max_stamps: int = 400
    min_stamps: int = 3
    bad_planes: tuple[str, ...] = tuple(str(plane.name) for plane in UNUSABLE)
    weighting: Literal["expected", "inputs", "median", "iterated"] = "expected"
    shared_noise: float | None = None
    reduction: AbstractReduction = field(default_factory=WholeBasis)
    cuts: CandidateCuts = field(default_factory=CandidateCuts)
    max_rounds: int = 3
    max_condition_number: float | None = None

    def __post_init__(self) -> None:
        super(StarMatcher, self).__post_init__()
        for name, choices in (("spatial_model", ("chebyshev", "polynomial")), ("weighting", WEIGHTINGS)):
            if getattr(self, name) not in choices:
                raise UsageError(f"{name} must be {' or '.join(choices)}, not {getattr(self, name)!r}")
        unknown = sorted(set(self.bad_planes) - set(MaskPlane.__members__))
        if unknown:
            raise UsageError(f"no mask plane is called {unknown[0]!r}; there are {', '.join(MaskPlane.__members__)}")

    def stamp_half(self, direction: Direction) -> int:
        """Half-size of the stamps in pixels."""
        return stamp_half(self.stamp_half_px, direction.reference_sigma_px)

    @property
    def bad_bits(self) -> MaskPlane:
        """The mask planes whose pixels are not fitted."""
        return reduce(or_, (MaskPlane[name] for name in self.bad_planes), MaskPlane(0))

    def matched(self, science: Exposure, template: Exposure, stars: StarList, direction: Direction) -> Match:
        """Cut stamps, settle the basis by them, fit."""
        sized = self.sized_basis(
            target_sigma_px=direction.target_sigma_px, reference_sigma_px=direction.reference_sigma_px
        )
        check_size(sized, science)
        target, reference = direction.oriented(science, template)
        chosen, half = self._chosen(science, stars, direction)
        stamps = cut_stamps(
            target.masked_image,
            reference.masked_image,
            sized.basis,
            x=stars.x[chosen.index],
            y=stars.y[chosen.index],
            half=half,
            noise_gain=direction.noise_gain,
            bad_planes=self.bad_bits,
        )
        shared = self.shared_noise
        if shared is None:
            shared = shared_part(target.masked_image, reference.masked_image, stamps.flux_ratio, self.bad_bits)
        settled = self._settled(stamps, sized, target.noise_correlation)
        fit = fit_stamps(
            settled.stamps,
            noise_products(settled.sized.basis, target.noise_correlation),
            science.box,
            self._fit_options(),
            chosen=chosen,
            why=settled.why,
            shared_noise=shared,
            penalty=settled.penalty,
            max_orders=settled.sized.max_spatial_order,
        )
        return replace(self._match(fit, settled, science, stars.flux[chosen.index], direction), shared_noise=shared)

    def again(self, matched: Match) -> Self:
        """With the noise that the unfiltered pair shares: filtered pixels do not tell."""
        return replace(super(StarMatcher, self).again(matched), shared_noise=matched.shared_noise)

    def _chosen(self, science: Exposure, stars: StarList, direction: Direction) -> tuple[Chosen, int]:
        """The candidates, and the half-size of their stamps; TooFewStarsError if there are too few."""
        half = self.stamp_half(direction)
        chosen = self.candidates.chosen(stars, science.box, at_most=self.max_stamps, distance=half)
        if len(chosen.index) < self.min_stamps:
            raise TooFewStarsError(
                f"{science.name} has {counted(len(chosen.index), 'source')} bright enough, unsaturated and far enough "
                f"from the border for the matching kernel; {self.min_stamps} are needed",
                found=len(chosen.index),
                needed=self.min_stamps,
            )
        return chosen, half

    def _settled(self, stamps: Stamps, sized: SizedBasis, noise_correlation: FloatArray | None) -> _Settled:
        """Weights, penalty, cuts on single candidates, and the reduced basis, in this order."""
        with_background = self.background_order is not None
        products = noise_products(sized.basis, noise_correlation)
        stamps = weighted(stamps, self.weighting, sized=sized, products=products, with_background=with_background)
        why = ["" if part > LEAST_USABLE else "masked pixels" for part in stamps.good.mean(axis=1)]
        why = without_counterpart(stamps.echo[:, 0], stamps.echo[:, 1], why)
        penalty = None
        if sized.roughness is not None and not all(why):
            penalty = sized.penalty(stamps.sums(stamps.good, is_precise=True).select(_usable(why)), products)
        why = self.cuts.of_singles(stamps, why, products=products, penalty=penalty, with_background=with_background)
        if all(why):
            return _Settled(stamps, sized, penalty, why)
        reduced = self.reduction.reduced(
            sized, stamps, _usable(why), products=products, with_background=with_background
        )
        if reduced is None:
            return _Settled(stamps, sized, penalty, why)
        return _Settled(stamps.combined(reduced.weights), reduced.sized, None, why)

    def _fit_options(self) -> FitOptions:
        """Those of the matcher's fields that the fit knows."""
        return FitOptions(**{f.name: getattr(self, f.name) for f in fields(FitOptions)})

    def _match(self, fit: Fit, settled: _Settled, science: Exposure, flux: FloatArray, direction: Direction) -> Match:
        """The fit as fields over the image, with its candidates."""
        stamps, sized, box = settled.stamps, settled.sized, science.box
        kept = np.array([not reason for reason in fit.why_rejected], dtype=np.bool_)
        background = fit.solution.background
        return Match(
            kernel=SpatialKernel(ImageField(np.einsum("nt,nvu->tvu", fit.solution.kernel, sized.basis.images), box)),
            background=ChebyshevField(background if len(background) else np.zeros(1), box),
            convolved=direction.convolved,
            reason=direction.reason,
            candidates=Candidates(stamps.x, stamps.y, flux, fit.reduced_chi2, kept, tuple(fit.why_rejected)),
            spatial_order=fit.spatial_order,
            basis=sized.description,
            relative_error=fit.relative_error,
            cross_validation=fit.cross_validation,
            kernel_sum_error=fit.kernel_sum_error,
            condition_number=fit.condition_number,
            warnings=self._warnings(fit),
        )

    def _warnings(self, fit: Fit) -> tuple[str, ...]:
        """What makes the kernel doubtful."""
        limit = self.max_condition_number
        if limit is None or fit.condition_number <= limit:
            return ()
        return (
            f"the kernel is ill determined: the condition number of its equations is {fit.condition_number:.2g}, "
            f"above {limit:.2g}; a lower spatial order or fewer basis images would make it firmer.",
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Settled:
    """What is fitted: stamps for a basis, what holds its coefficients, and what speaks against each stamp."""

    stamps: Stamps
    sized: SizedBasis
    penalty: Penalty | None
    why: list[str]


def _usable(why: list[str]) -> IntArray:
    """Positions of the stamps that nothing speaks against."""
    return np.array([k for k, reason in enumerate(why) if not reason], dtype=np.int64)


def check_size(sized: SizedBasis, science: Exposure) -> None:
    """UsageError if the kernel asked for is larger than the image."""
    if sized.basis.size > min(science.box.shape):
        raise UsageError(
            f"a kernel of {sized.basis.size} px is larger than {science.name}, which has {science.box.height} x "
            f"{science.box.width} px; give a smaller kernel size"
        )
