"""subtract: science minus matched template, whitened, with variance, mask and PSF carried along."""

from diapipe.steps.family import Family
from diapipe.steps.subtract.base import AbstractSubtractor
from diapipe.steps.subtract.convolve import convolve_pixels
from diapipe.steps.subtract.one_sided import OneSided
from diapipe.steps.subtract.scores import ProperScores, proper_scores
from diapipe.steps.subtract.subtraction import subtract
from diapipe.steps.subtract.zogy import Zogy

__all__ = [
    "SUBTRACTORS",
    "AbstractSubtractor",
    "OneSided",
    "ProperScores",
    "Zogy",
    "convolve_pixels",
    "proper_scores",
    "subtract",
]

SUBTRACTORS: Family[AbstractSubtractor] = Family("subtract", {"one_sided": OneSided, "zogy": Zogy})
