"""characterize: what an image does not bring with it is measured on it."""

from diapipe.steps.characterize.characterized import Characterize, Characterized, characterize
from diapipe.steps.characterize.exposure_summary import exposure_summary
from diapipe.steps.characterize.scale_variance import ScaledVariance, ScaleVariance, scale_variance
from diapipe.steps.characterize.star_table import StarPhotometry, star_table

__all__ = [
    "Characterize",
    "Characterized",
    "ScaleVariance",
    "ScaledVariance",
    "StarPhotometry",
    "characterize",
    "exposure_summary",
    "scale_variance",
    "star_table",
]
