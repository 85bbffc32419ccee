"""validate: what was found against what is true, with confidence intervals."""

from diapipe.steps.validate.causes import CAUSES, KNOWN, causes_of, expected_noise_density
from diapipe.steps.validate.grading import BARS, Bar, Graded, grade
from diapipe.steps.validate.grouping import NO_VISIT, SurveyValidation, validate_groups
from diapipe.steps.validate.judging import Judged, judge, with_known_objects
from diapipe.steps.validate.nearness import SEEN_SNR, match_radius_px, near_pairs, places_of
from diapipe.steps.validate.truth import seen_on, truth_table
from diapipe.steps.validate.validation import Validation, listed, validate

__all__ = [
    "BARS",
    "CAUSES",
    "KNOWN",
    "NO_VISIT",
    "SEEN_SNR",
    "Bar",
    "Graded",
    "Judged",
    "SurveyValidation",
    "Validation",
    "causes_of",
    "expected_noise_density",
    "grade",
    "judge",
    "listed",
    "match_radius_px",
    "near_pairs",
    "places_of",
    "seen_on",
    "truth_table",
    "validate",
    "validate_groups",
    "with_known_objects",
]
