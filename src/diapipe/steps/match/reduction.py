"""AbstractReduction: from a rich basis to the images that the stamps call for, before the kernel of all is fitted."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from diapipe.numerics.arrays import FloatArray, IntArray
from diapipe.steps.limits import Limited
from diapipe.steps.match.sized_basis import SizedBasis
from diapipe.steps.match.stamps import Stamps


@dataclass(frozen=True, slots=True, eq=False)
class Reduced:
    """A basis made of another one: ``weights`` has shape (n_new, n_basis)."""

    sized: SizedBasis
    weights: FloatArray


class AbstractReduction(Limited, ABC):
    """A way to choose a basis by kernels that were fitted to single stamps."""

    __slots__ = ()

    @abstractmethod
    def reduced(
        self, sized: SizedBasis, stamps: Stamps, kept: IntArray, *, products: FloatArray, with_background: bool
    ) -> Reduced | None:
        """The basis to use; None leaves it as it is.

        Parameters
        ----------
        sized
            The basis that the stamps were cut with.
        stamps, kept
            The candidates, and which of them may tell.
        products
            B_i · B_j of the basis.
        with_background
            Whether a stamp that is fitted alone has a constant of its own.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeBasis(AbstractReduction):
    """All images of the basis."""

    def reduced(
        self, sized: SizedBasis, stamps: Stamps, kept: IntArray, *, products: FloatArray, with_background: bool
    ) -> Reduced | None:
        """Nothing is left out."""
        return None
