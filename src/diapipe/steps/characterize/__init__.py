"""characterize: what an image does not bring with it is measured on it."""

from diapipe.steps.characterize.characterized import Characterize, Characterized, characterize
from diapipe.steps.characterize.scale_variance import ScaledVariance, ScaleVariance, scale_variance

__all__ = [
    "Characterize",
    "Characterized",
    "ScaleVariance",
    "ScaledVariance",
    "characterize",
    "scale_variance",
]
