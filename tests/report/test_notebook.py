"""The report's figures as a notebook shows them: whole, styled by themselves, and the same as on the pages."""

from __future__ import annotations

from html import unescape
from xml.etree import ElementTree

import numpy as np
import pytest
from tests.small_survey import SmallSurvey

from diapipe.errors import InputError, ReadError
from diapipe.report import PageContent, show
from diapipe.report.curve_svg import curve_svg
from diapipe.report.notebook import PairView, SurveyView
from diapipe.steps.summarize import summarize
from toy_difference import toy_parts


@pytest.fixture(scope="module")
def pair():
    parts = toy_parts(np.random.default_rng(5))
    content = PageContent(
        summary=summarize(**parts),
        dia_sources=parts["dia_sources"],
        difference=parts["difference"],
        science=parts["science"].exposure.masked_image.image,
        matched_template=parts["difference"].matched_template.image,
    )
    return PairView(content)


@pytest.fixture(scope="module")
def survey():
    return SurveyView(SmallSurvey())


def test_a_pair_shows_itself_in_a_frame_of_its_own(pair):
    """A whole page inside an iframe, so that its styles touch nothing of the notebook."""
    html = pair._repr_html_()
    assert html.startswith("<iframe srcdoc=")
    page = unescape(html.split('srcdoc="')[1].split('" title=')[0])
    assert page.startswith("<!doctype html>")
    assert "minus" in page


def test_plots_are_files_of_their_own(pair, tmp_path):
    """Each is XML with its colours in it."""
    assert {"chi2", "score", "profiles"} <= pair.plots.keys()
    for figure in pair.plots.values():
        svg = figure._repr_svg_()
        assert ElementTree.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
        assert "light-dark(" in svg
    pair.plots["score"].save(tmp_path / "score.svg")
    assert (tmp_path / "score.svg").read_text() == pair.plots["score"]._repr_svg_()


def test_a_triplet_is_of_its_source(pair, tmp_path):
    number = int(pair.dia_sources["diaSourceId"][0])
    figure = pair.triplet(number)
    assert str(number) in figure._repr_html_()
    assert "science, template, difference" in figure._repr_html_()
    figure.save(tmp_path / "one.png")
    assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match="no source -5"):
        pair.triplet(-5)


def test_there_is_no_grade_without_truth(pair):
    with pytest.raises(InputError, match="there is no grade"):
        _ = pair.grade


def test_a_survey_shows_the_curve_of_its_page(survey):
    """The same drawing, without links that a notebook does not have."""
    curve = survey.objects.curves[101]
    assert survey.light_curve(101).svg == curve_svg(curve, detected=survey.objects.detections[101])
    assert "science image" in survey.light_curve(101, scale="science").svg
    with pytest.raises(InputError, match="object 5"):
        survey.light_curve(5)


def test_show_knows_what_it_is_given(survey, tmp_path):
    """A light curve is drawn; a folder of nothing is told as such."""
    curve = survey.objects.curves[101]
    assert show(curve).svg == curve_svg(curve)
    with pytest.raises(ReadError, match=r"summary\.json"):
        show(tmp_path)
    with pytest.raises(InputError, match=r"show takes a light curve, .* not 3"):
        show(3)


def test_a_survey_shows_its_field_and_its_trends(survey):
    assert "<iframe" in survey._repr_html_()
    assert "sources that passed" not in survey._repr_html_()  # nobody has counted them: it said 0
    assert "sources detected" in survey._repr_html_()
    assert "noiseRatio" in survey.trends
    assert survey.map.svg.count('class="detector"') == len(survey.units)
    ElementTree.fromstring(survey.map._repr_svg_())


def test_triplets_are_one_row_an_epoch(survey):
    """Six epochs; the figure says so."""
    figure = survey.triplets(202)
    assert "6 epochs of object 202" in figure._repr_html_()
    with pytest.raises(InputError, match="no image of an object 5"):
        survey.triplets(5)
    survey.close()
