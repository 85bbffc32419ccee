"""decorrelate: the filter that whitens the noise of a difference."""

from __future__ import annotations

from diapipe.images.exposure import Exposure
from diapipe.images.kernel import SpatialKernel
from diapipe.steps.decorrelate.afterburner import Afterburner
from diapipe.steps.decorrelate.base import AbstractDecorrelator
from diapipe.steps.family import Family

__all__ = ["DECORRELATORS", "AbstractDecorrelator", "Afterburner", "decorrelate"]

DECORRELATORS: Family[AbstractDecorrelator] = Family("decorrelate", {"afterburner": Afterburner})


def decorrelate(
    convolved: Exposure, other: Exposure, kernel: SpatialKernel, *, algorithm: AbstractDecorrelator
) -> SpatialKernel:
    """Whitening kernel for (other - kernel ⊗ convolved).

    Found before the subtraction, so that image and variance pass through matching and whitening together, once.

    Parameters
    ----------
    convolved
        The image that ``kernel`` applies to.
    other
        The image it is matched to, on the same grid.
    kernel
        The matching kernel.
    algorithm
        How.
    """
    return algorithm.whitening(convolved, other, kernel)
