"""Figures and pages: of a pair of images, and of a survey."""

from diapipe.report.content import PageContent
from diapipe.report.folder import content_of_folder
from diapipe.report.notebook import show
from diapipe.report.page import render_page

__all__ = [
    "PageContent",
    "content_of_folder",
    "render_page",
    "show",
]
