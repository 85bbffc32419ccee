"""Alard-Lupton matching: the kernel as Gaussians times polynomials."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from diapipe.errors import UsageError
from diapipe.numerics.kernel_bases import gaussian_basis, gaussian_terms
from diapipe.numerics.polynomials import n_terms
from diapipe.steps.match.from_stars import StarMatcher
from diapipe.steps.match.sized_basis import SizedBasis

SHARPENING_DEGREE = 3
"""Polynomial degree on each Gaussian of a stepped, sharpening basis (SPEC C.0, alardDegGaussDeconv)."""

NO_LIMIT = 99
"""Spatial order above any that is fitted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlardLupton(StarMatcher):
    """Gaussians times polynomials (Alard & Lupton 1998), of constant kernel sum (Alard 2000), sized from the two PSFs.

    The core Gaussians follow the width of the kernel, σ_K² = |σ_R² - σ_T²|: the narrowest is σ_K / β, at least
    ``min_sigma_px``, each next one β times wider. Beyond them stand wide Gaussians of low degree: they carry the wings,
    by which a bright star still differs from the other PSF where the core of the kernel has ended.

    Attributes
    ----------
    sizing
        How the core widths follow from σ_K. ``smooth``: max(σ_K / β, least) and its multiples, as the LSST pipelines do
        now: they change continuously with the seeing. ``stepped``: as they did until 2022; the narrowest jumps from σ_K
        to σ_K / β where that passes the least width, and a sharpening kernel is expanded in differences of Gaussians.
    degrees
        Polynomial degree on each core Gaussian (alardDegGauss; as many as alardNGauss).
    sharpening_degrees
        The same where the kernel must sharpen (alardDegGaussDeconv, alardNGaussDeconv times); None takes ``degrees``,
        with stepped sizing 3 on each. The expansion of stepped sizing has more Gaussians from four on: the last degree
        is that of all others.
    beta
        Ratio of the widths of successive core Gaussians (alardGaussBeta).
    min_sigma_px
        Narrowest Gaussian where the kernel smooths (alardMinSig).
    min_sigma_sharpening_px
        Narrowest Gaussian where it must sharpen: the convolved image is the wider one (alardMinSigDeconv).
    wing_sigmas
        Widths of the wing Gaussians, in units of the wider PSF's sigma.
    wing_degrees
        Polynomial degree on each wing Gaussian.
    wing_spatial_order
        How fast the wings may change over the image: few stars are bright enough to tell.
    sigmas_px
        Widths of all Gaussians in pixels, to override the sizing; then ``degrees`` are theirs and there are no others
        (alardSigGauss, used with scaleByFwhm False).
    kernel_sigmas
        Side of the kernel image in units of the widest Gaussian's sigma (kernelSizeFwhmScaling).
    min_half_px, max_half_px
        Least and largest half-size of the kernel that this may give (kernelSizeMin and kernelSizeMax are 2 n + 1).
    """

    may_be_zero = (*StarMatcher.may_be_zero, "degrees", "sharpening_degrees", "wing_degrees", "wing_spatial_order")

    sizing: Literal["smooth", "stepped"] = "smooth"
    degrees: tuple[int, ...] = (4, 4, 2)
    sharpening_degrees: tuple[int, ...] | None = None
    beta: float = 2.0
    min_sigma_px: float = 0.55
    min_sigma_sharpening_px: float = 0.4
    wing_sigmas: tuple[float, ...] = (3.0,)
    wing_degrees: tuple[int, ...] = (2,)
    wing_spatial_order: int = 1
    sigmas_px: tuple[float, ...] | None = None
    kernel_sigmas: float = 5.0
    min_half_px: int = 8
    max_half_px: int = 40

    def __post_init__(self) -> None:
        super(AlardLupton, self).__post_init__()
        if self.sizing not in ("smooth", "stepped"):
            raise UsageError(f"sizing must be smooth or stepped, not {self.sizing!r}")
        if not 1 < self.beta < np.inf:
            raise UsageError(f"beta must be above 1, not {self.beta:g}: it is the ratio of successive widths")
        core = None if self.sigmas_px is None else len(self.sigmas_px)
        _check_paired("sigmas_px", core, "degrees", len(self.degrees))
        if self.min_half_px > self.max_half_px:
            raise UsageError(f"min_half_px {self.min_half_px} is above max_half_px {self.max_half_px}")
        _check_paired("wing_sigmas", len(self.wing_sigmas), "wing_degrees", len(self.wing_degrees))

    def sized_basis(self, *, target_sigma_px: float, reference_sigma_px: float) -> SizedBasis:
        """Basis from ``target_sigma_px`` to ``reference_sigma_px`` (Gaussian sigmas of the two PSFs, in pixels)."""
        wider = max(target_sigma_px, reference_sigma_px)
        core = self.core(target_sigma_px, reference_sigma_px)
        wings = () if self.sigmas_px else self._wings(wider, beyond=max(sigma for sigma, _ in core))
        sigmas = tuple(sigma for sigma, _ in (*core, *wings))
        degrees = tuple(degree for _, degree in (*core, *wings))
        half = self.kernel_half_px or self._half(max(sigmas))
        words = ", ".join(f"{sigma:.2f} px (degree {degree})" for sigma, degree in (*core, *wings))
        orders = [NO_LIMIT] * sum(n_terms(degree) for _, degree in core)
        orders += [self.wing_spatial_order] * sum(n_terms(degree) for _, degree in wings)
        return SizedBasis(
            gaussian_basis(sigmas, degrees, half=half),
            f"Gaussians of sigma {words}",
            max_spatial_order=tuple(orders),
            terms=gaussian_terms(degrees),
        )

    def _half(self, widest: float) -> int:
        """Half-size of the kernel for the sigma of the widest Gaussian, in pixels."""
        return int(np.clip(np.ceil(0.5 * self.kernel_sigmas * widest), self.min_half_px, self.max_half_px))

    def core(self, target: float, reference: float) -> tuple[tuple[float, int], ...]:
        """Width in pixels and degree of each core Gaussian, for the two PSF sigmas in pixels."""
        if self.sigmas_px is not None:
            return tuple(zip(self.sigmas_px, self.degrees, strict=True))
        sharpens = reference < target
        least = self.min_sigma_sharpening_px if sharpens else self.min_sigma_px
        degrees = (self.sharpening_degrees or self.degrees) if sharpens else self.degrees
        width = float(np.sqrt(abs(reference**2 - target**2)))
        if self.sizing == "smooth":
            first = max(least, width / self.beta)
            return tuple((first * self.beta**n, degree) for n, degree in enumerate(degrees))
        sigmas = stepped_sigmas(width, n=len(degrees), beta=self.beta, least=least)
        if not sharpens:
            return tuple(zip(sigmas, degrees, strict=True))
        sharpening = sharpening_sigmas(sigmas)
        asked = self.sharpening_degrees or (SHARPENING_DEGREE,)
        filled = asked + (asked[-1],) * max(len(sharpening) - len(asked), 0)
        return tuple(zip(sharpening, filled, strict=False))

    def _wings(self, psf_sigma: float, *, beyond: float) -> tuple[tuple[float, int], ...]:
        """Width and degree of the wing Gaussians that are wider than the core's widest, ``beyond``."""
        sized = zip(self.wing_sigmas, self.wing_degrees, strict=True)
        return tuple((factor * psf_sigma, degree) for factor, degree in sized if factor * psf_sigma > 1.3 * beyond)


def _check_paired(widths: str, n_widths: int | None, degrees: str, n_degrees: int) -> None:
    """Refuse widths and degrees of Gaussians that do not pair; None stands for widths that follow from the PSFs."""
    if n_widths is not None and n_widths != n_degrees:
        raise UsageError(f"{widths} has {n_widths} entries, {degrees} {n_degrees}: each Gaussian needs one of both")


def stepped_sigmas(width: float, *, n: int, beta: float, least: float) -> tuple[float, ...]:
    """Widths of ``n`` Gaussians in the older convention: σ_K / β, σ_K, σ_K β, ... where σ_K / β reaches ``least``,
    else σ_K, σ_K β, ... (SPEC C.1).

    Parameters
    ----------
    width
        σ_K in pixels; taken as ``least`` if it is narrower.
    n, beta, least
        How many, the ratio of successive ones, the narrowest allowed.
    """
    width = max(width, least)
    first = width / beta if n > 1 and width / beta > least else width
    return tuple(first * beta**k for k in range(n))


def sharpening_sigmas(sigmas: tuple[float, ...]) -> tuple[float, ...]:
    """Gaussians in which a kernel that sharpens is expanded, from smoothing widths s0 < s1 < s2 (SPEC C.1).

    σ² = (n - j) s1² + j s2² - (n + 1) s0² for n = 1 .. len(sigmas) - 1 and j = 0 .. n - 1, in ascending
    order; fewer than three widths stay as they are. UsageError where a square is not positive: the ratio of the
    widths is √2 or less.
    """
    if len(sigmas) < 3:
        return sigmas
    s0, s1, s2 = sigmas[:3]
    squares = [(n - j) * s1**2 + j * s2**2 - (n + 1) * s0**2 for n in range(1, len(sigmas)) for j in range(n)]
    if min(squares) <= 0:
        raise UsageError(
            f"the widths of a kernel that sharpens do not follow from {s0:.2f}, {s1:.2f}, {s2:.2f} px: "
            "with sizing stepped, beta must be above 1.42"
        )
    return tuple(sorted(float(np.sqrt(square)) for square in squares))
