"""What counts as rough in a kernel of free pixels: the form H in χ² + λ aᵀ H a."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

from diapipe.errors import UsageError
from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.kernel_bases import KernelBasis, smoothness_penalty
from diapipe.numerics.kernel_penalties import central_differences, forward_differences, in_coefficients
from diapipe.steps.family import Family
from diapipe.steps.limits import Limited


class AbstractRoughness(Limited, ABC):
    """A quadratic form of the kernel that is small where it is smooth."""

    __slots__ = ()

    @property
    @abstractmethod
    def words(self) -> str:
        """For the summary."""

    @abstractmethod
    def form(self, basis: KernelBasis) -> FloatArray:
        """The form for the coefficients of a basis; shape (n_basis, n_basis)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SquaredLaplacian(AbstractRoughness):
    """Laplacian of five points of a kernel that is zero beyond its border: the border needs no number of its own."""

    @property
    def words(self) -> str:
        """For the summary."""
        return "squared Laplacian"

    def form(self, basis: KernelBasis) -> FloatArray:
        """Σ (∇²K)² over all pixels and those around them."""
        return smoothness_penalty(basis)


@dataclass(frozen=True, slots=True, kw_only=True)
class CentralDifferences(AbstractRoughness):
    """Laplacian of the inner pixels, and the values themselves on the border (regularizationType centralDifference).

    Attributes
    ----------
    stencil
        Points of the Laplacian (centralRegularizationStencil).
    border_penalty
        Holds pixels on the border at zero (regularizationBorderPenalty).
    """

    may_be_zero = ("border_penalty",)

    stencil: Literal[5, 9] = 9
    border_penalty: float = 3.0

    def __post_init__(self) -> None:
        super(CentralDifferences, self).__post_init__()
        if self.stencil not in (5, 9):
            raise UsageError(f"stencil must be 5 or 9, not {self.stencil!r}")

    @property
    def words(self) -> str:
        """For the summary."""
        return f"central differences of {self.stencil} points"

    def form(self, basis: KernelBasis) -> FloatArray:
        """H of SPEC C.3 in the coefficients of the basis."""
        pixels = central_differences(basis.size, stencil=self.stencil, border_penalty=self.border_penalty)
        return in_coefficients(pixels, basis)


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardDifferences(AbstractRoughness):
    """Differences with the pixels that follow, along both axes (regularizationType forwardDifference).

    Attributes
    ----------
    orders
        Each 1, 2 or 3; their squares are summed (forwardRegularizationOrders).
    border_penalty
        Holds pixels on the far border at zero (regularizationBorderPenalty).
    """

    may_be_zero = ("border_penalty",)

    orders: tuple[int, ...] = (1, 2)
    border_penalty: float = 3.0

    def __post_init__(self) -> None:
        super(ForwardDifferences, self).__post_init__()
        if not self.orders or not set(self.orders) <= {1, 2, 3}:
            raise UsageError(f"orders of differences must be 1, 2 or 3, not {self.orders!r}")

    @property
    def words(self) -> str:
        """For the summary."""
        return f"forward differences of order {', '.join(map(str, self.orders))}"

    def form(self, basis: KernelBasis) -> FloatArray:
        """H of SPEC C.3 in the coefficients of the basis."""
        pixels = forward_differences(basis.size, orders=self.orders, border_penalty=self.border_penalty)
        return in_coefficients(pixels, basis)


ROUGHNESSES: Family[AbstractRoughness] = Family(
    "measure roughness", {"laplacian": SquaredLaplacian, "central": CentralDifferences, "forward": ForwardDifferences}
)
