"""AbstractMatcher: what a way of matching PSFs must bring. The fit itself is the same for all (`fit.py`)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

from diapipe.errors import UsageError
from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.kernel_bases import KernelBasis
from diapipe.steps.limits import Limited


@dataclass(frozen=True, slots=True)
class SizedBasis:
    """A basis fit for two given PSF widths.

    Attributes
    ----------
    basis
        Its images.
    description
        In words, for the summary.
    penalty
        Quadratic penalty on the coefficients, shape (n_basis, n_basis), or None; a trace of one weighs as much as
        all the stamps say.
    max_spatial_order
        For each image, the highest order with which it may vary over the frame; None for no limit.
    """

    basis: KernelBasis
    description: str
    penalty: FloatArray | None = None
    max_spatial_order: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AbstractMatcher(Limited, ABC):
    """Fit of a spatially varying kernel as a linear combination of basis images.

    Attributes
    ----------
    convolve
        Which image to convolve; ``auto`` takes the sharper one.
    spatial_order
        Polynomial order of the kernel over the image; None chooses it by cross-validation.
    max_spatial_order
        Highest order that cross-validation may choose.
    background_order
        Polynomial order of the differential background.
    kernel_half_px
        Half-size of the kernel; None sizes it from the PSFs.
    stamp_half_px
        Half-size of the fitted stamps; None sizes them from the PSFs.
    max_stamps
        How many stamps at the most.
    min_stamps
        Fewer usable ones are an error.
    """

    may_be_zero: ClassVar[tuple[str, ...]] = ("spatial_order", "max_spatial_order", "background_order")

    convolve: Literal["auto", "template", "science"] = "auto"
    spatial_order: int | None = None
    max_spatial_order: int = 4
    background_order: int = 2
    kernel_half_px: int | None = None
    stamp_half_px: int | None = None
    max_stamps: int = 400
    min_stamps: int = 3

    def __post_init__(self) -> None:
        super(AbstractMatcher, self).__post_init__()
        if self.convolve not in ("auto", "template", "science"):
            raise UsageError(f"convolve must be auto, template or science, not {self.convolve!r}")

    @abstractmethod
    def sized_basis(self, *, target_sigma_px: float, reference_sigma_px: float) -> SizedBasis:
        """Basis to carry a PSF of the first width (the image that is convolved) to the second."""
