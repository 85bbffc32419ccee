"""AbstractMatcher: what a way of matching PSFs must bring."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self

from diapipe.catalogs.stars import StarList
from diapipe.errors import UsageError
from diapipe.images.exposure import Exposure
from diapipe.steps.limits import Limited
from diapipe.steps.match.direction import Direction
from diapipe.steps.match.result import Match
from diapipe.steps.match.sized_basis import SizedBasis


@dataclass(frozen=True, slots=True, kw_only=True)
class AbstractMatcher(Limited, ABC):
    """A spatially varying kernel that brings one image onto the PSF of the other.

    Attributes
    ----------
    convolve
        Which image to convolve; ``auto`` takes the sharper one (convolveTemplate).
    spatial_order
        Polynomial order of the kernel over the image (spatialKernelOrder); None lets the matcher choose.
    background_order
        Polynomial order of the differential background (spatialBgOrder); None fits none (fitForBackground False).
    kernel_half_px
        Half-size of the kernel (kernelSize is 2 n + 1); None sizes it from the PSFs (scaleByFwhm).
    """

    may_be_zero: ClassVar[tuple[str, ...]] = ("spatial_order", "background_order")

    convolve: Literal["auto", "template", "science"] = "auto"
    spatial_order: int | None = None
    background_order: int | None = 2
    kernel_half_px: int | None = None

    def __post_init__(self) -> None:
        super(AbstractMatcher, self).__post_init__()
        if self.convolve not in ("auto", "template", "science"):
            raise UsageError(f"convolve must be auto, template or science, not {self.convolve!r}")

    def again(self, matched: Match) -> Self:
        """The matcher for the template and a science image filtered beyond it, which tells less than the pair did."""
        return replace(self, convolve="template", background_order=0, spatial_order=matched.spatial_order)

    @abstractmethod
    def sized_basis(self, *, target_sigma_px: float, reference_sigma_px: float) -> SizedBasis:
        """Basis to carry a PSF of the first width (the image that is convolved) to the second."""

    @abstractmethod
    def matched(self, science: Exposure, template: Exposure, stars: StarList, direction: Direction) -> Match:
        """Kernel and background for two exposures on one grid, with PSFs; called by `match`, which checks that."""
