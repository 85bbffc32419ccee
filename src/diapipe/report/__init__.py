"""Figures and the HTML page."""

from diapipe.report.content import PageContent
from diapipe.report.folder import content_of_folder
from diapipe.report.page import render_page

__all__ = [
    "PageContent",
    "content_of_folder",
    "render_page",
]
