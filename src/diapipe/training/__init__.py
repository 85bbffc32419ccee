"""training: the model of `diapipe.steps.classify`, learned from simulated fields that the program differenced."""

from diapipe.training.assessment import assess
from diapipe.training.boosting import Boosting, trained
from diapipe.training.samples import Samples, samples_of, samples_of_fields

__all__ = ["Boosting", "Samples", "assess", "samples_of", "samples_of_fields", "trained"]
