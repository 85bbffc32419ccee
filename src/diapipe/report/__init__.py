"""Figures and the HTML page."""

from diapipe.report.content import PageContent
from diapipe.report.folder import content_of_folder
from diapipe.report.page import render_page
from diapipe.report.survey_page import FoundChange, ObjectCurve, SurveyField, SurveyPage, render_survey_page

__all__ = [
    "FoundChange",
    "ObjectCurve",
    "PageContent",
    "SurveyField",
    "SurveyPage",
    "content_of_folder",
    "render_page",
    "render_survey_page",
]
