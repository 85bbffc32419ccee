"""Delta-function matching: every pixel of the kernel is free, held together by a smoothness penalty."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diapipe.numerics.kernel_bases import KernelBasis, delta_basis, smoothness_penalty
from diapipe.steps.match.base import AbstractMatcher, SizedBasis


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaFunction(AbstractMatcher):
    """One basis image a pixel, regularised (Becker et al. 2012): for PSFs that no Gaussians describe.

    Many more unknowns than Alard-Lupton, so the kernel is small and varies with at most linear order by default.

    Attributes
    ----------
    smoothness
        Weight of the squared second differences of the kernel, λ tr(H) / tr(M) (the relative λ of SPEC C.3).
    max_half_px
        Largest half-size that the kernel is given when it is sized from the PSFs.
    """

    may_be_zero = (
        *AbstractMatcher.may_be_zero,
        "smoothness",
    )

    smoothness: float = 1e-3
    max_half_px: int = 8
    max_spatial_order: int = 1
    max_stamps: int = 150

    def sized_basis(self, *, target_sigma_px: float, reference_sigma_px: float) -> SizedBasis:
        """Basis from ``target_sigma_px`` to ``reference_sigma_px`` (Gaussian sigmas of the two PSFs, in pixels)."""
        width = np.sqrt(abs(reference_sigma_px**2 - target_sigma_px**2))
        half = self.kernel_half_px or int(np.clip(np.ceil(3.0 * width) + 2, 4, self.max_half_px))
        basis: KernelBasis = delta_basis(half=half)
        size, penalty = basis.size, smoothness_penalty(basis)
        return SizedBasis(
            basis,
            f"{size} x {size} free pixels, smoothness {self.smoothness:g}",
            self.smoothness * penalty / np.trace(penalty),
        )
