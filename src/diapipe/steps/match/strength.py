"""How strongly a kernel of free pixels is held to be smooth: λ in χ² + λ aᵀ H a."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import numpy as np

from diapipe.errors import UsageError
from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.kernel_bases import KernelBasis
from diapipe.numerics.kernel_penalties import Penalty
from diapipe.numerics.kernel_risk import risks, strength_grid
from diapipe.numerics.stamp_sums import StampSums, noise_free, sky_free
from diapipe.steps.family import Family
from diapipe.steps.limits import Limited


class AbstractStrength(Limited, ABC):
    """A way to find λ."""

    __slots__ = ()

    @property
    @abstractmethod
    def words(self) -> str:
        """For the summary."""

    @abstractmethod
    def penalty(self, form: FloatArray, basis: KernelBasis, sums: StampSums, products: FloatArray) -> Penalty:
        """λ H for a form H of the coefficients, and the stamps to be fitted.

        Parameters
        ----------
        form, products
            H and the B_i · B_j of the basis, shape (n_basis, n_basis).
        basis
            Images of the kernel.
        sums
            Of the stamps, with the noise of the convolved image.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class RelativeStrength(AbstractStrength):
    """λ as a fraction of what the stamps say, tr(M) / tr(H): the same smoothness for faint stars and bright ones.

    Attributes
    ----------
    fraction
        λ tr(H) / tr(M) (lambdaType relative, lambdaScaling).
    """

    may_be_zero = ("fraction",)

    fraction: float = 1e-3

    @property
    def words(self) -> str:
        """For the summary."""
        return f"relative strength {self.fraction:g}"

    def penalty(self, form: FloatArray, basis: KernelBasis, sums: StampSums, products: FloatArray) -> Penalty:
        """The fraction, whatever the stamps."""
        return Penalty(form, relative=self.fraction)


@dataclass(frozen=True, slots=True, kw_only=True)
class AbsoluteStrength(AbstractStrength):
    """One λ for each stamp: the better the stars, the less the kernel is held back.

    Attributes
    ----------
    value
        λ of each stamp (lambdaType absolute, lambdaValue); 0 leaves all pixels free (useRegularization False).
    """

    may_be_zero = ("value",)

    value: float = 0.2

    @property
    def words(self) -> str:
        """For the summary."""
        return f"strength {self.value:g}"

    def penalty(self, form: FloatArray, basis: KernelBasis, sums: StampSums, products: FloatArray) -> Penalty:
        """The value, whatever the stamps."""
        return Penalty(form, absolute=self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeastRisk(AbstractStrength):
    """The λ of a grid for which the expected squared error of the kernel's pixels is least (Becker et al. 2012).

    It is the error of one kernel for all stamps, as it is fitted; the pipelines took each candidate's own, which the
    noise of a single star makes far too smooth.

    Attributes
    ----------
    max_condition_number
        Directions of the kernel that the stamps measure worse than their best by more than this, in χ², do not count
        (lambdaType minimizeBiasedRisk, maxConditionNumber); None counts all (minimizeUnbiasedRisk).
    spacing
        Steps of the grid in λ or in its logarithm to base ten (lambdaStepType).
    least, greatest, step
        Ends and step of the grid, in λ or its logarithm (lambdaMin, lambdaMax, lambdaStep).
    """

    any_sign = ("least", "greatest")

    max_condition_number: float | None = None
    spacing: Literal["log", "linear"] = "log"
    least: float = -1.0
    greatest: float = 2.0
    step: float = 0.1

    def __post_init__(self) -> None:
        super(LeastRisk, self).__post_init__()
        if self.spacing not in ("log", "linear"):
            raise UsageError(f"spacing must be log or linear, not {self.spacing!r}")
        if self.greatest < self.least or (self.spacing == "linear" and self.least < 0):
            raise UsageError(
                f"λ from {self.least:g} to {self.greatest:g} ({self.spacing}) is no range of strengths: it must rise, "
                "and not be negative where its steps are linear"
            )

    @property
    def words(self) -> str:
        """For the summary."""
        return "the strength of least risk"

    def penalty(self, form: FloatArray, basis: KernelBasis, sums: StampSums, products: FloatArray) -> Penalty:
        """The best strength for these stamps."""
        grid = self.grid()
        return Penalty(form, absolute=float(grid[np.argmin(self.risks(form, basis, sums, products))]))

    def grid(self) -> FloatArray:
        """λ that are tried."""
        return strength_grid(least=self.least, greatest=self.greatest, step=self.step, spacing=self.spacing)

    def risks(self, form: FloatArray, basis: KernelBasis, sums: StampSums, products: FloatArray) -> FloatArray:
        """Expected squared error of the kernel's pixels, less a constant, for every λ."""
        pixels = np.linalg.inv(basis.images.reshape(len(basis), -1).T)  # coefficients of each single pixel
        free = sky_free(sums)
        clean = noise_free(free, products)
        matrix, solved_with = (pixels.T @ s.matrix[:, :-1, :-1].sum(axis=0) @ pixels for s in (free, clean))
        return risks(
            matrix,
            pixels.T @ free.vector[:, :-1].sum(axis=0),
            pixels.T @ form @ pixels,
            self.grid() * len(sums.matrix),
            max_condition=self.max_condition_number,
            solved_with=solved_with,
        )


STRENGTHS: Family[AbstractStrength] = Family(
    "regularise", {"relative": RelativeStrength, "absolute": AbsoluteStrength, "risk": LeastRisk}
)
