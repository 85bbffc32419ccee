"""training: the model of `diapipe.steps.classify`, learned from simulated fields that the program differenced."""

from diapipe.training.assessment import assess
from diapipe.training.boosting import Boosting, needs_scikit_learn, trained
from diapipe.training.samples import Samples, samples_of, samples_of_fields

__all__ = ["Boosting", "Samples", "assess", "needs_scikit_learn", "samples_of", "samples_of_fields", "trained"]
