"""validate: what was found against what is true, with confidence intervals."""

from diapipe.steps.validate.causes import CAUSES, causes_of, expected_noise_density
from diapipe.steps.validate.grading import BARS, Bar, Graded, grade
from diapipe.steps.validate.judging import Judged, judge, seen_on, truth_table
from diapipe.steps.validate.validation import Validation, validate

__all__ = [
    "BARS",
    "CAUSES",
    "Bar",
    "Graded",
    "Judged",
    "Validation",
    "causes_of",
    "expected_noise_density",
    "grade",
    "judge",
    "seen_on",
    "truth_table",
    "validate",
]
