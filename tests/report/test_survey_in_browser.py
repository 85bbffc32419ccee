"""The report of a survey in a real browser, from files on disk: from the first page to a visit and to an object."""

from __future__ import annotations

import pytest
from tests.small_survey import ODD, PLACES, VISITS, SmallSurvey

from diapipe.report.survey.places import Places
from diapipe.report.survey.writing import write_survey_report


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("survey")
    write_survey_report(folder, SmallSurvey(), title="A survey")
    return folder


@pytest.fixture
def opened(browser, report):
    """Pages opened by name; in the end nothing may have come from elsewhere than the disk or have gone wrong."""
    contexts, asked, complaints = [], [], []

    def at(name, **how):
        contexts.append(browser.new_context(viewport={"width": 1300, "height": 900}, **how))
        page = contexts[-1].new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto((report / name).as_uri())
        return page

    yield at
    for context in contexts:
        context.close()
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert complaints == []


def test_from_what_stands_out_to_its_page(opened):
    """The first row of the table leads to the visit; its page names it and leads on to the visit after."""
    page = opened("index.html")
    page.click("#odd tbody a >> nth=0")
    assert page.url.endswith(Places().unit_page(ODD))
    assert page.locator("h1").text_content() == f"Visit {ODD.visit}, detector {ODD.detector}"
    page.click("a[rel=next]")
    assert page.locator("h1").text_content() == f"Visit {ODD.visit + 1}, detector {ODD.detector}"


def test_a_point_of_a_plot_leads_to_its_visit(opened):
    page = opened("index.html")
    page.locator("#trends svg a").last.click()  # drawn above the others
    assert "/visits/visit" in page.url


def test_the_map_zooms_by_button_and_comes_back(opened):
    """A press makes the part that is drawn two thirds as wide; links go on leading to pages."""
    page = opened("index.html")
    width = "Number(document.querySelector('.map svg').getAttribute('viewBox').split(' ')[2])"
    whole = page.evaluate(width)
    page.get_by_role("button", name="Zoom in").click()
    assert page.evaluate(width) == pytest.approx(whole / 1.5, rel=1e-3)
    page.get_by_role("button", name="Whole field").click()
    assert page.evaluate(width) == whole
    page.locator(".map svg a .object").first.click()
    assert "/objects/" in page.url


def test_objects_are_sorted_and_show_their_light_curve(opened):
    """The most significant first; `j` goes to the next, whose picture is loaded; the head turns the order."""
    page = opened("objects.html")
    ids = page.locator(".sources tbody th small")
    assert ids.all_text_contents() == [str(number) for number in PLACES]
    page.keyboard.press("j")
    picture = page.locator("aside img")
    assert picture.get_attribute("src").endswith("curves/202.svg")
    page.wait_for_function("document.querySelector('aside img').naturalWidth > 0")
    page.get_by_role("button", name="best S/N").click()
    page.get_by_role("button", name="best S/N").click()
    assert ids.first.text_content() == "303"


def test_an_object_blinks_epoch_by_epoch(opened):
    """As many rows as visits, none to label; `3` holds the difference of the selected epoch, `j` goes to the next."""
    page = opened("objects/101.html")
    assert page.locator(".sources tbody tr").count() == len(VISITS)
    assert page.get_by_role("button", name="real").count() == 0
    page.keyboard.press("3")
    assert page.locator(".blinker [aria-pressed=true]").first.text_content().startswith("difference")
    page.keyboard.press("j")
    assert "2-0" in page.locator("aside h3").text_content()
    page.click(".sources tbody a >> nth=0")
    assert "/visits/visit0001" in page.url


def test_visits_tell_why_there_is_no_difference(opened):
    """Filtered for failures one row is left, with its reason beside it and no link."""
    page = opened("visits.html")
    page.locator(".filters label", has_text="difference").locator("select").select_option("failed")
    assert page.locator(".sources tbody tr").count() == 1
    assert page.locator(".sources tbody a").count() == 0
    assert "too few stars" in page.locator("aside").text_content()


@pytest.mark.parametrize("name", ["index.html", "visits.html", "objects.html", "objects/101.html"])
@pytest.mark.parametrize("width", [400, 1300])
def test_no_page_is_wider_than_its_window(opened, name, width):
    """On a telephone wide tables scroll in themselves; every picture has a name that can be read aloud."""
    page = opened(name)
    page.set_viewport_size({"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("svg:not([aria-label]):not([aria-hidden])").count() == 0
    assert page.locator("img:not([alt])").count() == 0
    assert page.locator("main h1").count() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_symbols_stand_out_by_day_and_by_night(opened, scheme):
    """The colour of a band has a contrast of 3 or more to the card that it is drawn on."""
    page = opened("index.html", color_scheme=scheme)
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
