"""Light curves as SVG, and the axis of time that leaves gaps out."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
from tests.forced_tables import forced_table

from diapipe.catalogs.light_curve import light_curve
from diapipe.report.curve_svg import SCIENCE, curve_svg
from diapipe.report.time_axis import Seasons

NIGHTS = np.array([61000.0, 61008.0, 61016.0, 61336.0, 61344.0])


def test_time_runs_on_and_gaps_take_no_room():
    """Times keep their order; a pause of 320 days is no wider than the gap that is drawn."""
    axis = Seasons.of(NIGHTS)
    at = axis.fraction(NIGHTS)
    assert np.all(np.diff(at) > 0)
    assert at.min() >= 0
    assert at.max() <= 1
    assert len(axis.parts) == 2
    assert axis.ends[1][0] - axis.ends[0][1] <= axis.gap + 1e-9
    assert len(axis.seams()) == 1
    for tick in axis.ticks():
        assert any(low <= tick <= high for low, high in axis.parts)


def test_one_night_is_an_axis():
    axis = Seasons.of(np.array([61000.0]))
    assert 0 < float(axis.fraction(61000.0)) < 1
    assert axis.ticks()


def test_every_flux_is_drawn_once_and_says_what_it_is(rng):
    """Of 40 epochs one has no flux; detected ones are full, others hollow, flagged ones pale, and each is a link."""
    curve = light_curve(forced_table(rng), 1_000_003)
    detected = curve.visit[(curve.flux > 500) & curve.is_measured]
    svg = curve_svg(
        curve, detected=detected.tolist(), addresses={v: f"../visits/{v}.html" for v in curve.visit.tolist()}
    )
    links = ElementTree.fromstring(svg).findall(".//a")
    assert len(links) == 39 == np.isfinite(curve.flux).sum()
    looks = [link.find("path").get("class") for link in links]
    assert sum("hollow" not in look for look in looks) == len(detected)
    assert sum("doubtful" in look for look in looks) == 1
    assert links[0].find("title").text.startswith("visit ")
    assert links[0].get("href").startswith("../visits/")


def test_the_science_scale_is_that_of_all_light(rng):
    """Its axis holds 5,000 nJy, and not 0."""
    svg = curve_svg(light_curve(forced_table(rng), 1_000_003), scale=SCIENCE)
    ticks = [float(text) for text in re.findall(r'text-anchor="end">([\d.]+)<', svg)]
    assert min(ticks) > 3000
    assert "flux on the science image, nJy" in svg


def test_a_line_beside_breaks_where_it_is_not_known(rng):
    """Two parts, one on either side of a NaN; the range holds it."""
    curve = light_curve(forced_table(rng), 1_000_003)
    mjd = np.linspace(60000, 60100, 11)
    flux = np.where(np.arange(11) == 5, np.nan, 9000.0)
    svg = curve_svg(curve, beside={"g": (mjd, flux)})
    assert svg.count('<polyline class="beside band-g"') == 2
    assert max(float(text) for text in re.findall(r'text-anchor="end">([\d.]+)<', svg)) > 4000


def test_a_curve_without_a_flux_is_a_plot_all_the_same(rng):
    curve = light_curve(forced_table(rng), 1_000_003)
    nothing = np.full(len(curve), np.nan)
    ElementTree.fromstring(curve_svg(replace(curve, flux=nothing)))
