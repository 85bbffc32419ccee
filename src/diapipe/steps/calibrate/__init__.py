"""calibrate: all images of a band on one photometric scale."""

from diapipe.steps.calibrate.base import AbstractScale
from diapipe.steps.calibrate.given import Given
from diapipe.steps.calibrate.photometric_scale import photometric_scale
from diapipe.steps.calibrate.reference import Reference
from diapipe.steps.calibrate.relative import Relative
from diapipe.steps.calibrate.scale_of_difference import DifferenceScale, KernelScale, scale_of_difference
from diapipe.steps.family import Family

SCALES: Family[AbstractScale] = Family(
    "put images on a photometric scale", {"relative": Relative, "reference": Reference, "given": Given}
)
"""Ways to find what a count is worth, by name."""

__all__ = [
    "SCALES",
    "AbstractScale",
    "DifferenceScale",
    "Given",
    "KernelScale",
    "Reference",
    "Relative",
    "photometric_scale",
    "scale_of_difference",
]
