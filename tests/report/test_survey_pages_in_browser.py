"""The pages of a survey in a real browser: nothing missing, nothing wrong, readable by day and by night."""

from __future__ import annotations

import numpy as np
import pytest
from tests.browsing import CONTRASTS
from tests.small_survey import SmallSurvey

from diapipe.report.survey.content import Beside
from diapipe.report.survey.writing import write_survey_report

KINDS = {
    "index": "index.html",
    "visits": "visits.html",
    "objects": "objects.html",
    "a visit": "visits/visit0004-detector0.html",
    "an object": "objects/101.html",
}


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("survey")
    beside = Beside(
        name="truth",
        of_object={101: "transient"},
        lines=lambda curve: {"r": (np.array([61301.0, 61306.0]), np.array([5000.0, 5000.0]))},
    )
    write_survey_report(folder, SmallSurvey(), title="A survey", beside=beside)
    return folder


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_page_opens_without_a_complaint_and_can_be_read(report, visit, kind, scheme):
    """Only files of the report are asked for, all of them are there, and text stands out from its ground."""
    opened = visit(report / KINDS[kind], color_scheme=scheme)
    assert opened.page.get_by_role("heading", level=1).count() == 1
    assert opened.page.evaluate(CONTRASTS) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_narrow_screen_scrolls_only_down(report, visit, kind):
    opened = visit(report / KINDS[kind])
    opened.page.set_viewport_size({"width": 390, "height": 800})
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= 390


def test_one_walks_from_the_survey_to_an_object_to_a_visit_and_back(report, visit):
    """By links alone: list of objects, the object, an epoch of it, the list of visits, a visit by Enter."""
    page = visit(report / "index.html").page
    page.get_by_role("link", name="Objects", exact=True).first.click()
    page.locator(".sources tbody").get_by_role("link", name="101", exact=True).click()
    page.wait_for_url("**/objects/101.html")
    page.locator(".sources tbody").get_by_role("link", name="4-0", exact=True).click()
    page.wait_for_url("**/visits/visit0004-detector0.html")
    page.get_by_role("link", name="Visits", exact=True).first.click()
    page.wait_for_url("**/visits.html")
    page.locator(".sources tbody tr").nth(2).locator("td").last.click()
    page.keyboard.press("Enter")
    page.wait_for_url("**/visits/visit*.html")


def test_visits_are_not_labelled_and_objects_are(report, visit):
    assert visit(report / "visits.html").page.get_by_role("button", name="real").count() == 0
    assert visit(report / "objects.html").page.get_by_role("button", name="real").count() == 1
