"""match: find the kernel that brings the sharper image to the PSF of the other."""

from __future__ import annotations

import numpy as np

from diapipe.catalogs.stars import StarList
from diapipe.errors import InputError, TooFewStarsError, UsageError, counted
from diapipe.images.exposure import Exposure
from diapipe.images.fields import ChebyshevField, ImageField
from diapipe.images.kernel import SpatialKernel
from diapipe.numerics.kernel_bases import noise_products
from diapipe.steps.family import Family
from diapipe.steps.match.alard_lupton import AlardLupton
from diapipe.steps.match.base import AbstractMatcher, SizedBasis
from diapipe.steps.match.candidates import spread_candidates
from diapipe.steps.match.delta_function import DeltaFunction
from diapipe.steps.match.direction import choose_direction
from diapipe.steps.match.fit import Fit, fit_stamps
from diapipe.steps.match.result import Candidates, Match
from diapipe.steps.match.stamps import Stamps, cut_stamps

__all__ = ["MATCHERS", "AbstractMatcher", "AlardLupton", "Candidates", "DeltaFunction", "Match", "SizedBasis", "match"]

MATCHERS: Family[AbstractMatcher] = Family("match", {"al": AlardLupton, "delta": DeltaFunction})


def match(science: Exposure, template: Exposure, stars: StarList, *, algorithm: AbstractMatcher) -> Match:
    """Fit the kernel and the differential background.

    Parameters
    ----------
    science, template
        On one grid, with PSFs.
    stars
        Sources of the science image; the usable, bright ones become the stamps.
    algorithm
        Which basis, and the limits of the fit.

    Returns
    -------
    Match
        Kernel, background, and what became of every candidate.

    Raises
    ------
    TooFewStarsError
        If too few candidates are usable.
    InputError
        If an image has no PSF or the grids differ.
    UsageError
        If the kernel asked for is larger than the image.
    """
    if science.psf is None or template.psf is None:
        raise InputError(f"{science.name} and {template.name} must both have a PSF before they are matched")
    if science.box != template.box:
        raise InputError(f"science {science.box} and template {template.box} must be on one grid to be matched")
    direction = choose_direction(science.psf, template.psf, science.box, convolve=algorithm.convolve)
    sized = algorithm.sized_basis(
        target_sigma_px=direction.target_sigma_px, reference_sigma_px=direction.reference_sigma_px
    )
    if sized.basis.size > min(science.box.shape):
        raise UsageError(
            f"a kernel of {sized.basis.size} px is larger than {science.name}, which has {science.box.height} x "
            f"{science.box.width} px; give a smaller kernel size"
        )
    half = algorithm.stamp_half_px or int(np.clip(np.ceil(8.0 * direction.reference_sigma_px), 10, 40))
    index = spread_candidates(stars, science.box, at_most=algorithm.max_stamps, margin=3, distance=half)
    if len(index) < algorithm.min_stamps:
        raise TooFewStarsError(
            f"{science.name} has {counted(len(index), 'source')} bright enough, unsaturated and far enough from the "
            f"border for the matching kernel; {algorithm.min_stamps} are needed",
            found=len(index),
            needed=algorithm.min_stamps,
        )
    target, reference = (template, science) if direction.convolved == "template" else (science, template)
    kernel_variance = max(direction.reference_sigma_px**2 - direction.target_sigma_px**2, 0.5)
    stamps = cut_stamps(
        target.masked_image,
        reference.masked_image,
        sized.basis,
        x=stars.x[index],
        y=stars.y[index],
        half=half,
        noise_gain=float(1.0 / (4.0 * np.pi * kernel_variance)),
    )
    fit = fit_stamps(
        stamps,
        noise_products(sized.basis, target.noise_correlation),
        science.box,
        spatial_order=algorithm.spatial_order,
        max_spatial_order=algorithm.max_spatial_order,
        background_order=algorithm.background_order,
        min_stamps=algorithm.min_stamps,
        penalty=sized.penalty,
        max_orders=sized.max_spatial_order,
    )
    return Match(
        kernel=SpatialKernel(
            ImageField(np.einsum("nt,nvu->tvu", fit.solution.kernel, sized.basis.images), science.box)
        ),
        background=ChebyshevField(fit.solution.background, science.box),
        convolved=direction.convolved,
        reason=direction.reason,
        candidates=_candidates(stamps, stars.flux[index], fit),
        spatial_order=fit.spatial_order,
        basis=sized.description,
        relative_error=fit.relative_error,
        cross_validation=fit.cross_validation,
    )


def _candidates(stamps: Stamps, flux: np.ndarray[tuple[int], np.dtype[np.float64]], fit: Fit) -> Candidates:
    """The stamps and their fate, for the summary and the page."""
    kept = np.array([not reason for reason in fit.why_rejected], dtype=np.bool_)
    return Candidates(stamps.x, stamps.y, flux, fit.reduced_chi2, kept, tuple(fit.why_rejected))
