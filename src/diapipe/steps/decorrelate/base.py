"""AbstractDecorrelator: how the noise that a matching kernel has correlated is made white again."""

from __future__ import annotations

from abc import ABC, abstractmethod

from diapipe.images.exposure import Exposure
from diapipe.images.kernel import SpatialKernel
from diapipe.steps.limits import Limited


class AbstractDecorrelator(Limited, ABC):
    """Finds the kernel that whitens a difference."""

    @abstractmethod
    def whitening(self, convolved: Exposure, other: Exposure, kernel: SpatialKernel) -> SpatialKernel:
        """Kernel of unit sum to convolve (other - kernel ⊗ convolved) with."""
