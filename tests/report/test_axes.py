"""Scales and marks of the plots."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from diapipe.report.axes import Axes, Scale, label_of
from diapipe.report.numbers import counted, fixed, number, percent, with_error


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0.0, 10.0, [0, 2, 4, 6, 8, 10]), (-1.0, 1.0, [-1, -0.5, 0, 0.5, 1]), (17.2, 19.4, [17.5, 18, 18.5, 19])],
)
def test_linear_ticks_are_round(low, high, ticks):
    assert Scale(low=low, high=high).ticks() == pytest.approx(ticks)


def test_logarithmic_ticks_are_powers_of_ten():
    assert Scale(low=0.3, high=300.0, is_log=True).ticks() == pytest.approx([1, 10, 100])


def test_a_logarithmic_scale_halves_at_the_geometric_mean():
    assert float(Scale(low=0.1, high=10.0, is_log=True).fraction(1.0)) == pytest.approx(0.5)


def test_a_plot_is_well_formed_and_has_words_for_those_who_cannot_see_it():
    axes = Axes(
        x=Scale(low=0, high=1), y=Scale(low=1, high=10, is_log=True), x_label="a < b", y_label="y", title='a "plot"'
    )
    values = np.array([0.1, 0.5, np.nan])
    axes.points(values, values + 2, style="dots")
    axes.line(values, values + 2, style="median")
    axes.bars(np.array([0.0, 0.5, 1.0]), np.array([2.0, 3.0]), style="bars")
    axes.band(2, 3, style="wanted")
    axes.rule(4)
    axes.legend([("median", "a & b")])
    root = ElementTree.fromstring(axes.svg())
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"] == 'a "plot"'
    assert "nan" not in axes.svg()


def test_dots_are_as_wide_as_they_were_asked_for_in_the_colours_of_lines():
    """The style sheet gives lines of these classes a width: an attribute would lose to it, a style does not."""
    axes = Axes(x=Scale(low=0, high=1), y=Scale(low=0, high=1), x_label="x", y_label="y", title="t")
    axes.points(np.array([0.5]), np.array([0.5]), style="science", radius=3.0)
    (path,) = [e for e in ElementTree.fromstring(axes.svg()).iter() if e.get("class") == "science"]
    assert path.attrib["style"] == "stroke-width:6.0"


def test_labels_are_short():
    assert [label_of(v) for v in (0.0, -0.5, 1500.0)] == ["0", "−0.5", "1500"]
    assert "10" in label_of(1e-5, is_log=True)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (float("nan"), "–"), (0.0, "0"), (-1.234, "−1.23"), (12345.0, "12\u202f345"), (3.2e-7, "3.20×10⁻⁷")],
)
def test_numbers_as_a_reader_wants_them(value, text):
    assert number(value) == text


def test_errors_set_the_digits_of_values():
    assert with_error(123.456, 2.3) == "123.5 ± 2.3"
    assert with_error(-8805.2, 201.0) == "−8805 ± 201"
    assert fixed(None, 2) == "–"
    assert fixed(-0.0001, 3) == "0.000"
    assert percent(0.1234) == "12%"
    assert percent(1e-6) == "less than 0.01%"
    assert counted(1, "source") == "1 source"
    assert counted(2, "source") == "2 sources"
