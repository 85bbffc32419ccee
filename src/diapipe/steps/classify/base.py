"""AbstractClassifier: how far to believe that a source is a change of the sky."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from diapipe.images.triplets import Triplets
from diapipe.numerics.arrays import FloatArray
from diapipe.steps.limits import Limited


@dataclass(frozen=True, slots=True, kw_only=True)
class AbstractClassifier(Limited, ABC):
    """A way to score sources by their cut-outs.

    Attributes
    ----------
    reach_fwhm
        Half-width of the cut-outs in FWHM.
    """

    reach_fwhm: float = 3.0

    @property
    @abstractmethod
    def version(self) -> str:
        """Names the model: equal versions give equal scores."""

    def check(self) -> None:
        """Raise at once what `classify` would raise after everything was measured; nothing here."""

    @abstractmethod
    def classify(self, triplets: Triplets) -> FloatArray:
        """Probability that each source is a change of the sky: 0 to 1, NaN where it cannot be told; shape (n,)."""
