"""The pages of a survey in a real browser: nothing missing, nothing wrong, readable by day and by night."""

from __future__ import annotations

import numpy as np
import pytest
from tests.browsing import CONTRASTS, SIDEWAYS
from tests.small_survey import ODD, PLACES, VISITS, SmallSurvey

from diapipe.report.survey.content import Beside
from diapipe.report.survey.places import Places
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


@pytest.mark.parametrize("width", [1100, 1200, 1300, 1450, 1740])
@pytest.mark.parametrize("kind", KINDS)
def test_tables_fit_the_window_of_a_laptop(report, visit, kind, width):
    """Words wrap and columns move together."""
    opened = visit(report / KINDS[kind])
    opened.page.set_viewport_size({"width": width, "height": 800})
    assert opened.page.evaluate(SIDEWAYS) == []


def test_one_walks_from_the_survey_to_an_object_to_a_visit_and_back(report, visit):
    """By links alone: list of objects, the object, an epoch of it, the list of visits, a visit by Enter."""
    page = visit(report / "index.html").page
    page.get_by_role("link", name="Objects", exact=True).first.click()
    page.locator(".sources tbody").get_by_role("link", name="101", exact=True).click()
    page.wait_for_url("**/objects/101.html")
    page.locator(".sources tbody").get_by_role("link", name="4-0", exact=True).click()
    page.wait_for_url("**/visits/visit0004-detector0.html#visit0004-detector0/101004")
    page.get_by_role("link", name="Visits", exact=True).first.click()
    page.wait_for_url("**/visits.html")
    page.locator(".sources tbody tr").nth(2).locator("td").last.click()
    page.keyboard.press("Enter")
    page.wait_for_url("**/visits/visit*.html")


def test_visits_are_not_labelled_and_objects_are(report, visit):
    assert visit(report / "visits.html").page.get_by_role("button", name="real").count() == 0
    assert visit(report / "objects.html").page.get_by_role("button", name="real").count() == 1


def test_from_what_stands_out_to_its_page(report, visit):
    """The first row of the table leads to the visit; its page names it and leads on to the visit after."""
    page = visit(report / "index.html").page
    page.click("#odd tbody a >> nth=0")
    assert page.url.endswith(Places().unit_page(ODD))
    assert page.locator("h1").text_content() == f"Visit {ODD.visit}, detector {ODD.detector}"
    page.click("a[rel=next]")
    assert page.locator("h1").text_content() == f"Visit {ODD.visit + 1}, detector {ODD.detector}"


def test_a_point_of_a_plot_leads_to_its_visit(report, visit):
    page = visit(report / "index.html").page
    page.locator("#trends svg a").last.click()  # drawn above the others
    assert "/visits/visit" in page.url


def test_the_map_zooms_by_button_and_comes_back(report, visit):
    """A press makes the part that is drawn two thirds as wide; links go on leading to pages."""
    page = visit(report / "index.html").page
    width = "Number(document.querySelector('.map svg').getAttribute('viewBox').split(' ')[2])"
    whole = page.evaluate(width)
    page.get_by_role("button", name="Zoom in").click()
    assert page.evaluate(width) == pytest.approx(whole / 1.5, rel=1e-3)
    page.get_by_role("button", name="Whole field").click()
    assert page.evaluate(width) == whole
    page.locator(".map svg a .object").first.click()
    assert "/objects/" in page.url


def test_objects_are_sorted_and_show_their_light_curve(report, visit):
    """The most significant first; `j` goes to the next, whose picture is loaded; the head turns the order."""
    page = visit(report / "objects.html").page
    ids = page.locator(".sources tbody th small")
    assert ids.all_text_contents() == [str(number) for number in PLACES]
    page.keyboard.press("j")
    picture = page.locator("aside img")
    assert picture.get_attribute("src").endswith("curves/202.svg")
    page.wait_for_function("document.querySelector('aside img').naturalWidth > 0")
    page.get_by_role("button", name="best S/N").click()
    page.get_by_role("button", name="best S/N").click()
    assert ids.first.text_content() == "303"


def test_an_object_blinks_epoch_by_epoch(report, visit):
    """As many rows as visits, none to label; `3` holds the difference of the selected epoch, `j` goes to the next."""
    page = visit(report / "objects/101.html").page
    assert page.locator(".sources tbody tr").count() == len(VISITS)
    assert page.get_by_role("button", name="real").count() == 0
    page.keyboard.press("3")
    assert page.locator(".blinker [aria-pressed=true]").first.text_content().startswith("difference")
    page.keyboard.press("j")
    assert "2-0" in page.locator("aside h3").text_content()
    page.click(".sources tbody a >> nth=0")
    assert "/visits/visit0001" in page.url


def test_an_epoch_leads_to_its_source_on_the_visit(report, visit):
    """The page of the visit opens at the source, whose object leads back."""
    page = visit(report / "objects/202.html").page
    page.click(".sources tbody tr:nth-child(5) a")
    page.wait_for_function("document.querySelector('aside h3')?.textContent.includes('202005')")
    page.locator(".sources tr[aria-current] a").last.click()
    assert page.url.endswith("objects/202.html")


def test_visits_tell_why_there_is_no_difference(report, visit):
    """Filtered for failures one row is left, with its reason beside it and no link."""
    page = visit(report / "visits.html").page
    page.locator(".filters label", has_text="difference").locator("select").select_option("failed")
    assert page.locator(".sources tbody tr").count() == 1
    assert page.locator(".sources tbody a").count() == 0
    assert "too few stars" in page.locator("aside").text_content()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_symbols_stand_out_by_day_and_by_night(report, visit, scheme):
    """The colour of a band has a contrast of 3 or more to the card that it is drawn on."""
    page = visit(report / "index.html", color_scheme=scheme).page
    contrast = page.evaluate(
        """() => {
          const light = text => { const c = text.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255)
            .map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
            return .2126 * c[0] + .7152 * c[1] + .0722 * c[2]; };
          const card = light(getComputedStyle(document.querySelector('#trends .card')).backgroundColor);
          return [...document.querySelectorAll('#trends .symbol')].map(s => light(getComputedStyle(s).fill))
            .map(l => (Math.max(l, card) + .05) / (Math.min(l, card) + .05));
        }"""
    )
    assert min(contrast) >= 3.0
