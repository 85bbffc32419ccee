"""validate: what was found against what is true, with confidence intervals."""

from diapipe.steps.validate.causes import CAUSES, causes_of, expected_noise_density
from diapipe.steps.validate.judging import Judged, judge, seen_on
from diapipe.steps.validate.validation import Validation, validate

__all__ = ["CAUSES", "Judged", "Validation", "causes_of", "expected_noise_density", "judge", "seen_on", "validate"]
