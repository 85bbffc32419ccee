"""Delta-function matching: every pixel of the kernel is free, held together by a smoothness penalty."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from diapipe.errors import UsageError
from diapipe.numerics.kernel_bases import delta_basis
from diapipe.steps.match.criterion import LeastBic
from diapipe.steps.match.from_stars import StarMatcher
from diapipe.steps.match.roughness import AbstractRoughness, SquaredLaplacian
from diapipe.steps.match.sized_basis import SizedBasis
from diapipe.steps.match.strength import AbstractStrength, RelativeStrength


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaFunction(StarMatcher):
    """One basis image a pixel, regularised (Becker et al. 2012): for PSFs that no Gaussians describe.

    Many more unknowns than Alard-Lupton, so the kernel is small and varies with at most linear order by default.

    Attributes
    ----------
    roughness
        What is to be small in the kernel: ``laplacian``, ``central`` or ``forward`` differences (regularizationType).
    strength
        How much it weighs against the stars: ``relative`` to what they say, ``absolute``, or that of least ``risk``
        (lambdaType).
    max_half_px
        Largest half-size that the kernel is given when it is sized from the PSFs.
    """

    roughness: AbstractRoughness = field(default_factory=SquaredLaplacian)
    strength: AbstractStrength = field(default_factory=RelativeStrength)
    max_half_px: int = 8
    max_spatial_order: int = 1
    max_stamps: int = 150

    def __post_init__(self) -> None:
        super(DeltaFunction, self).__post_init__()
        if isinstance(self.reduction, LeastBic):
            raise UsageError(
                "the information criterion chooses degrees of Gaussians, and free pixels have none: use pca"
            )

    def sized_basis(self, *, target_sigma_px: float, reference_sigma_px: float) -> SizedBasis:
        """Basis from ``target_sigma_px`` to ``reference_sigma_px`` (Gaussian sigmas of the two PSFs, in pixels)."""
        width = np.sqrt(abs(reference_sigma_px**2 - target_sigma_px**2))
        half = self.kernel_half_px or int(np.clip(np.ceil(3.0 * width) + 2, 4, self.max_half_px))
        basis = delta_basis(half=half)
        return SizedBasis(
            basis,
            f"{basis.size} x {basis.size} free pixels, {self.roughness.words} of {self.strength.words}",
            self.roughness.form(basis),
            self.strength,
        )
