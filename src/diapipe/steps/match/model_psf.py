"""Matching by PSF models: the kernel that carries one model to the other, without a star."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from diapipe.catalogs.stars import StarList
from diapipe.errors import PsfUndefinedError
from diapipe.images.box import Box
from diapipe.images.exposure import Exposure
from diapipe.images.fields import ImageField, field_terms
from diapipe.images.kernel import SpatialKernel
from diapipe.images.psf import Psf
from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.kernel_bases import KernelBasis, StampConvolver, noise_products
from diapipe.numerics.kernel_fit import KernelSolution, solve
from diapipe.numerics.polynomials import n_terms
from diapipe.numerics.stamp_sums import StampSums
from diapipe.steps.match.alard_lupton import AlardLupton
from diapipe.steps.match.base import AbstractMatcher
from diapipe.steps.match.direction import Direction
from diapipe.steps.match.flux_scale import FluxScale, flux_scale
from diapipe.steps.match.from_stars import check_size
from diapipe.steps.match.result import Match
from diapipe.steps.match.sized_basis import SizedBasis
from diapipe.steps.match.sky import sky_difference

N_PLACES = 6
"""Along each axis: so many models of each PSF are matched."""

STIFFNESS = 1e-6
"""ΣK² is held down with this part of the models' own ΣP²: what no star of a signal-to-noise below 1000 would show."""

HIGHEST_ORDER = 3
"""Spatial orders up to this are tried where none is asked for."""

BETTER = 1.1
"""A higher order must lower the squared residuals by this factor."""

PERFECT = 1e-8
"""Squared residuals of this part of the squared PSF are as good as none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPsf(AbstractMatcher):
    """Alard-Lupton basis fitted to images of the two PSF models on a grid over the image (ModelPsfMatchTask; SPEC C.8).

    For fields without stars, or PSF models better than the stars at hand. The sum of the kernel is not fitted with it:
    it is the ratio of the fluxes, told by stars if there are a few, else by the two calibrations, else 1.

    Attributes
    ----------
    degrees
        Polynomial degree on each core Gaussian, as in `AlardLupton`.
    flux_scale
        Counts of the image that is matched for one of the image that is convolved; None takes it from stars or
        calibrations.
    """

    may_be_zero = (*AbstractMatcher.may_be_zero, "degrees")

    degrees: tuple[int, ...] = (4, 4, 2)
    flux_scale: float | None = None

    def sized_basis(self, *, target_sigma_px: float, reference_sigma_px: float) -> SizedBasis:
        """That of `AlardLupton`, of the wings as well: a model has no noise there."""
        gaussians = AlardLupton(degrees=self.degrees, kernel_half_px=self.kernel_half_px)
        return gaussians.sized_basis(target_sigma_px=target_sigma_px, reference_sigma_px=reference_sigma_px)

    def matched(self, science: Exposure, template: Exposure, stars: StarList, direction: Direction) -> Match:
        """The kernel from the models, its sum and the background from the images."""
        target, reference = direction.oriented(science, template)
        assert target.psf is not None
        assert reference.psf is not None
        sized = self.sized_basis(
            target_sigma_px=direction.target_sigma_px, reference_sigma_px=direction.reference_sigma_px
        )
        check_size(sized, science)
        found = fit_models(target.psf, reference.psf, science.box, basis=sized.basis, spatial_order=self.spatial_order)
        scale = self._scale(target, reference, stars, sized, found.solution, direction)
        images = scale.value * np.einsum("nt,nvu->tvu", found.solution.kernel, sized.basis.images)
        return Match(
            kernel=SpatialKernel(ImageField(images, science.box)),
            background=sky_difference(target, reference, scale.value, order=self.background_order),
            convolved=direction.convolved,
            reason=direction.reason,
            candidates=scale.candidates,
            spatial_order=found.order,
            basis=f"{sized.description}, by {found.n_places} images of each PSF model; its sum by {scale.origin}",
            relative_error=scale.relative_error,
            cross_validation={},
            kernel_sum_error=scale.error,
            fitted_to="PSF models",
        )

    def _scale(
        self,
        target: Exposure,
        reference: Exposure,
        stars: StarList,
        sized: SizedBasis,
        solution: KernelSolution,
        direction: Direction,
    ) -> FluxScale:
        """The sum of the kernel, as asked for or as the images tell it."""
        found = flux_scale(target, reference, stars, sized.basis, solution, direction)
        return found if self.flux_scale is None else found.given(self.flux_scale)


@dataclass(frozen=True, slots=True, eq=False)
class ModelFit:
    """A kernel of unit sum between two PSF models.

    Attributes
    ----------
    solution
        Coefficients over the basis; there is no background.
    order
        Of the kernel over the image.
    residual
        Root of the squared residuals over the squared PSF, over all places.
    n_places
        How many images of each model there were.
    """

    solution: KernelSolution
    order: int
    residual: float
    n_places: int


def match_psfs(
    target: Psf, reference: Psf, box: Box, *, spatial_order: int | None = None, degrees: tuple[int, ...] = (4, 4, 2)
) -> SpatialKernel:
    """The kernel K of unit sum for which K ⊗ ``target`` is ``reference``, everywhere in an image.

    Parameters
    ----------
    target, reference
        PSF of the image to convolve, and that which it is to get.
    box
        The image.
    spatial_order
        Polynomial order of the kernel over the image; None takes the lowest that is nearly as good as any.
    degrees
        Polynomial degrees of the Gaussians, as in `AlardLupton`.

    Raises
    ------
    PsfUndefinedError
        If one of the PSFs is not defined at enough places of the image.
    """
    x, y = box.x_center, box.y_center
    sized = ModelPsf(degrees=degrees).sized_basis(
        target_sigma_px=target.sigma_at(x=x, y=y), reference_sigma_px=reference.sigma_at(x=x, y=y)
    )
    found = fit_models(target, reference, box, basis=sized.basis, spatial_order=spatial_order)
    images = np.einsum("nt,nvu->tvu", found.solution.kernel, sized.basis.images)
    return SpatialKernel(ImageField(images, box))


def fit_models(target: Psf, reference: Psf, box: Box, *, basis: KernelBasis, spatial_order: int | None) -> ModelFit:
    """Coefficients of the kernel between two PSFs; arguments as in `match_psfs`, with the basis.

    Every pixel of the models counts alike: they are known to the same part of their peak.
    """
    x, y, targets, references = _models(target, reference, box, reach=basis.size // 2)
    least = 1 if spatial_order is None else n_terms(spatial_order)
    if len(x) < least:
        raise PsfUndefinedError(
            f"the PSFs of both images are defined at {len(x)} of {N_PLACES**2} places on a grid over {box}; "
            f"{least} are needed to match them",
            found=len(x),
            needed=least,
        )
    sums = _sums(targets, references, basis)
    power = float(sums.square.sum())
    penalty = STIFFNESS * len(x) * noise_products(basis, None) * float((targets**2).sum(axis=(1, 2)).mean())
    orders = range(HIGHEST_ORDER + 1) if spatial_order is None else [spatial_order]
    tried = []
    for order in orders:
        if n_terms(order) <= len(x):
            f = field_terms(box, order, x=x, y=y)
            solution = solve(sums, f, f[:0], penalty=penalty, kernel_sum=1.0)
            tried.append(ModelFit(solution, order, _residual(sums, solution.local(f, f[:0]), power), len(x)))
    enough = BETTER * min(fit.residual**2 for fit in tried) + PERFECT
    return next(fit for fit in tried if fit.residual**2 <= enough)


def _residual(sums: StampSums, local: FloatArray, power: float) -> float:
    """Root of the squared residuals over the squared PSF."""
    quadratic = np.einsum("ci,cij,cj->", local, sums.matrix, local, optimize=True)
    left = sums.square.sum() - 2.0 * (local * sums.vector).sum() + quadratic
    return float(np.sqrt(max(left, 0.0) / power))


def _models(
    target: Psf, reference: Psf, box: Box, *, reach: int
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Places where both PSFs are defined, and their images there, padded with zeros.

    Those of the reference have the side of the larger PSF and the kernel's, those of the target ``reach`` more around.
    """
    side = max(target.size, reference.size, 2 * reach + 1)
    found = list(_defined(target, reference, box))
    x, y = (np.array([place[k] for place in found], dtype=np.float64) for k in (0, 1))
    targets = np.array([_padded(place[2], side + 2 * reach) for place in found])
    references = np.array([_padded(place[3], side) for place in found])
    return x, y, targets, references


def _defined(target: Psf, reference: Psf, box: Box) -> Iterator[tuple[float, float, FloatArray, FloatArray]]:
    """Centres of cells that tile the image, with the images of both PSFs, where there are both."""
    steps = (np.arange(N_PLACES) + 0.5) / N_PLACES
    for y in box.y0 - 0.5 + box.height * steps:
        for x in box.x0 - 0.5 + box.width * steps:
            try:
                yield x, y, target.kernel_image(x=x, y=y), reference.kernel_image(x=x, y=y)
            except PsfUndefinedError:
                continue


def _padded(image: FloatArray, side: int) -> FloatArray:
    """An image of odd side in the middle of zeros."""
    margin = (side - len(image)) // 2
    return np.pad(image, margin)


def _sums(targets: FloatArray, references: FloatArray, basis: KernelBasis) -> StampSums:
    """Normal matrices of the models, all pixels of unit weight, without a background."""
    n, side = len(references), references.shape[-1]
    convolve, size = StampConvolver(basis, side), len(basis) + 1
    matrix, vector = np.zeros((n, size, size)), np.zeros((n, size))
    for k in range(n):
        images = convolve(targets[k].astype(np.float32)).astype(np.float64)
        matrix[k, :-1, :-1] = images @ images.T
        vector[k, :-1] = images @ references[k].ravel()
    pixels = np.full(n, float(side * side))
    return StampSums(matrix, vector, (references**2).sum(axis=(1, 2)), np.zeros(n), pixels)
