"""Alard-Lupton matching: the kernel as Gaussians times polynomials."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diapipe.numerics.kernel_bases import gaussian_basis
from diapipe.numerics.polynomials import n_terms
from diapipe.steps.match.base import AbstractMatcher, SizedBasis

NO_LIMIT = 99
"""Spatial order above any that is fitted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlardLupton(AbstractMatcher):
    """Gaussians times polynomials (Alard & Lupton 1998), of constant kernel sum (Alard 2000), sized from the two PSFs.

    The core Gaussians follow the width of the kernel, σ_K² = |σ_R² - σ_T²|: the narrowest is σ_K / β, at least
    ``min_sigma_px``, each next one β times wider. Beyond them stand wide Gaussians of low degree: they carry the wings,
    by which a bright star still differs from the other PSF where the core of the kernel has ended.

    Attributes
    ----------
    degrees
        Polynomial degree on each core Gaussian.
    beta
        Ratio of the widths of successive core Gaussians.
    min_sigma_px
        Narrowest Gaussian where the kernel smooths.
    min_sigma_sharpening_px
        Narrowest Gaussian where it must sharpen (the convolved image is the wider one).
    wing_sigmas
        Widths of the wing Gaussians, in units of the wider PSF's sigma.
    wing_degrees
        Polynomial degree on each wing Gaussian.
    wing_spatial_order
        How fast the wings may change over the image: few stars are bright enough to tell.
    sigmas_px
        Widths of all Gaussians in pixels, to override the sizing; then ``degrees`` are theirs and there are no others.
    """

    degrees: tuple[int, ...] = (4, 2, 2)
    beta: float = 2.0
    min_sigma_px: float = 0.7
    min_sigma_sharpening_px: float = 0.4
    wing_sigmas: tuple[float, ...] = (3.0,)
    wing_degrees: tuple[int, ...] = (2,)
    wing_spatial_order: int = 1
    sigmas_px: tuple[float, ...] | None = None

    def sized_basis(self, *, target_sigma_px: float, reference_sigma_px: float) -> SizedBasis:
        """Basis from ``target_sigma_px`` to ``reference_sigma_px`` (Gaussian sigmas of the two PSFs, in pixels)."""
        if self.sigmas_px is not None:
            sigmas, degrees = self.sigmas_px, self.degrees
        else:
            sigmas, degrees = self._sized(target_sigma_px, reference_sigma_px)
        half = self.kernel_half_px or int(np.clip(np.ceil(2.5 * max(sigmas)), 8, 40))
        words = ", ".join(f"{s:.2f} px (degree {d})" for s, d in zip(sigmas, degrees, strict=True))
        n_wings = 0 if self.sigmas_px is not None else len(degrees) - len(self.degrees)
        core, wings = degrees[: len(degrees) - n_wings], degrees[len(degrees) - n_wings :]
        orders = (NO_LIMIT,) * sum(map(n_terms, core)) + (self.wing_spatial_order,) * sum(map(n_terms, wings))
        return SizedBasis(
            gaussian_basis(sigmas, degrees, half=half),
            f"Gaussians of sigma {words}",
            max_spatial_order=orders,
        )

    def _sized(self, target: float, reference: float) -> tuple[tuple[float, ...], tuple[int, ...]]:
        """Widths and degrees for two PSF widths."""
        least = self.min_sigma_px if reference >= target else self.min_sigma_sharpening_px
        width = np.sqrt(abs(reference**2 - target**2))
        first = max(least, float(width) / self.beta)
        core = tuple(first * self.beta**n for n in range(len(self.degrees)))
        wings = tuple(
            (factor * max(target, reference), degree)
            for factor, degree in zip(self.wing_sigmas, self.wing_degrees, strict=True)
            if factor * max(target, reference) > 1.3 * core[-1]
        )
        return core + tuple(s for s, _ in wings), self.degrees + tuple(d for _, d in wings)
