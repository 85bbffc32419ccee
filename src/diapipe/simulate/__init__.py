"""Skies and exposures of known truth.

`simulate_pair` makes a science image, a template, and what is true of them; `simulate_survey` nights of exposures of
one field.
"""

from diapipe.simulate.geometry import Geometry
from diapipe.simulate.moffat import MoffatFieldPsf
from diapipe.simulate.pair import SimulatedPair, simulate_pair
from diapipe.simulate.spec import PairSpec
from diapipe.simulate.survey import SimulatedSurvey, simulate_survey
from diapipe.simulate.survey_frames import SurveyFrame
from diapipe.simulate.survey_spec import SurveySpec

__all__ = [
    "Geometry",
    "MoffatFieldPsf",
    "PairSpec",
    "SimulatedPair",
    "SimulatedSurvey",
    "SurveyFrame",
    "SurveySpec",
    "simulate_pair",
    "simulate_survey",
]
