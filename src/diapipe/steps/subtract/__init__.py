"""subtract: science minus matched template, whitened, with variance, mask and PSF carried along; and its likelihood."""

from diapipe.steps.family import Family
from diapipe.steps.subtract.base import AbstractSubtractor
from diapipe.steps.subtract.convolve import convolve_pixels
from diapipe.steps.subtract.one_sided import OneSided
from diapipe.steps.subtract.preconvolve import (
    AbstractPreconvolution,
    GaussianFilter,
    PsfFilter,
    can_be_matched,
    preconvolve,
)
from diapipe.steps.subtract.scores import ProperScores, correlated, proper_scores
from diapipe.steps.subtract.subtraction import subtract
from diapipe.steps.subtract.zogy import Zogy

__all__ = [
    "PRECONVOLUTIONS",
    "SUBTRACTORS",
    "AbstractPreconvolution",
    "AbstractSubtractor",
    "GaussianFilter",
    "OneSided",
    "ProperScores",
    "PsfFilter",
    "Zogy",
    "can_be_matched",
    "convolve_pixels",
    "correlated",
    "preconvolve",
    "proper_scores",
    "subtract",
]

SUBTRACTORS: Family[AbstractSubtractor] = Family("subtract", {"one_sided": OneSided, "zogy": Zogy})

PRECONVOLUTIONS: Family[AbstractPreconvolution] = Family("pre-convolve", {"psf": PsfFilter, "gaussian": GaussianFilter})
