"""BoostedTrees: a forest of decision trees on features of the cut-outs, trained on simulated fields."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from diapipe.images.triplets import Triplets
from diapipe.numerics.arrays import FloatArray
from diapipe.steps.classify.base import AbstractClassifier
from diapipe.steps.classify.features import feature_table
from diapipe.steps.classify.model import PACKAGED, Model, read_model

_CHUNK_PIXELS = 30_000
"""Of the cut-outs that are judged at a time: their arrays stay in the processor's cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoostedTrees(AbstractClassifier):
    """Score sources by boosted trees (Friedman 2001).

    Attributes
    ----------
    model_file
        A model of `diapipe train-reliability`; the one that comes with the program where left empty.
    """

    model_file: str = ""

    @property
    def model(self) -> Model:
        """The model, read once."""
        return read_model(self._path)

    @property
    def _path(self) -> Path:
        return Path(self.model_file) if self.model_file else PACKAGED

    @property
    def version(self) -> str:
        """That of the model."""
        return self.model.version

    def check(self) -> None:
        """Raise ReadError if there is no such model."""
        read_model(self._path)

    def classify(self, triplets: Triplets) -> FloatArray:
        """Probability that each source is real."""
        model = self.model
        n = max(1, _CHUNK_PIXELS // triplets.psf[:1].size) if len(triplets) else 1
        tables = [feature_table(triplets[k : k + n], model.features) for k in range(0, len(triplets), n)]
        return np.concatenate([np.empty(0), *(model.probability(table) for table in tables)])
