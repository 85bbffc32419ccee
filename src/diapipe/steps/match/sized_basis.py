"""SizedBasis: the images of which a kernel is made, fit for two given PSF widths, and what holds them back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diapipe.numerics.arrays import FloatArray, IntArray
from diapipe.numerics.kernel_bases import KernelBasis
from diapipe.numerics.kernel_penalties import Penalty
from diapipe.numerics.stamp_sums import StampSums
from diapipe.steps.match.strength import AbstractStrength


@dataclass(frozen=True, slots=True, eq=False)
class SizedBasis:
    """A basis fit for two given PSF widths.

    Attributes
    ----------
    basis
        Its images.
    description
        In words, for the summary.
    roughness
        Quadratic form of the coefficients that is to be small, shape (n_basis, n_basis); None holds nothing back.
    strength
        How much the roughness weighs against what the stamps say.
    max_spatial_order
        For each image, the highest order with which it may vary over the frame; None for no limit.
    terms
        For each image, which Gaussian it belongs to and its polynomial degree; empty where there are no Gaussians.
    """

    basis: KernelBasis
    description: str
    roughness: FloatArray | None = None
    strength: AbstractStrength | None = None
    max_spatial_order: tuple[int, ...] | None = None
    terms: tuple[tuple[int, int], ...] = ()

    def penalty(self, sums: StampSums, products: FloatArray) -> Penalty | None:
        """What holds the kernel smooth, for stamps of these normal matrices; ``products`` are the B_i · B_j."""
        if self.roughness is None or self.strength is None:
            return None
        return self.strength.penalty(self.roughness, self.basis, sums, products)

    def combined(self, weights: FloatArray, description: str) -> SizedBasis:
        """A basis of sums of these images, that nothing holds back; ``weights`` has shape (n_new, n_basis)."""
        return SizedBasis(self.basis.transformed(weights), description)

    def selected(self, which: IntArray, description: str) -> SizedBasis:
        """Some of the images, with the highest order of each."""
        orders = self.max_spatial_order
        return SizedBasis(
            self.basis.transformed(np.eye(len(self.basis))[which]),
            description,
            max_spatial_order=None if orders is None else tuple(orders[k] for k in which),
            terms=tuple(self.terms[k] for k in which),
        )
