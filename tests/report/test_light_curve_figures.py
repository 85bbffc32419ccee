"""Figures of light curves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.forced_tables import EVENT_MJD, forced_table

from diapipe.catalogs.light_curve import LightCurve, light_curve
from diapipe.errors import InputError, WriteError
from diapipe.report.light_curves import light_curve_figure, write_light_curve
from diapipe.report.symbols import MARKERS, N_OTHER_COLOURS, OTHER_SHAPES, SHAPE_OF_BAND, colours, style_of_band
from diapipe.steps.summarize.baseline import Baseline, corrected


def test_points_are_those_of_the_curve(rng):
    """Each band's points are its measured fluxes, hollow ones the flagged; an epoch without a flux is not drawn."""
    curve = light_curve(forced_table(rng), 1_000_003, template_visits=[5])
    axes = light_curve_figure(curve, zero_mjd=60000.0).axes[0]
    drawn = {bars.get_label(): bars.lines[0].get_xydata() for bars in axes.containers}
    for band in "gri":
        own = curve.in_band(band).measured()
        assert np.array_equal(drawn[band], np.column_stack([own.mjd - 60000.0, own.flux]))
    n_drawn = sum(len(bars.lines[0].get_xydata()) for bars in axes.containers)
    assert n_drawn == np.isfinite(curve.flux).sum() == len(curve) - 1
    assert "[nJy]" in axes.get_ylabel()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["g", "r", "i", "in the template"]


def test_each_season_has_a_panel(rng):
    """Where nobody looked for a year a new panel begins; together they show every epoch once, and the line of a model
    in the band's colour in each.
    """
    first = light_curve(forced_table(rng), 1_000_003)
    later = replace(first, mjd=first.mjd + 365.0)
    mjd, flux, band = (np.concatenate([getattr(c, name) for c in (first, later)]) for name in ("mjd", "flux", "band"))
    twice = {name: np.tile(getattr(first, name), 2) for name in LightCurve.ARRAYS} | {"mjd": mjd}
    panels = light_curve_figure(replace(first, **twice), expected={"g": (mjd, 0.0 * flux)}, longest_gap_days=200.0).axes
    assert len(panels) == 2
    shown = [(mjd >= low) & (mjd <= high) for low, high in (axes.get_xlim() for axes in panels)]
    assert np.array_equal(shown[0].astype(int) + shown[1], np.ones(len(mjd)))
    for axes in panels:
        points = next(bars for bars in axes.containers if bars.get_label() == "g")
        line = next(line for line in axes.lines if len(line.get_xdata()) == len(mjd))
        assert line.get_color() == points.lines[0].get_color()
    assert (band == "g").any()


def test_bands_look_as_on_the_pages(rng):
    """The style sheet has a colour for each class, and each shape a marker; other bands take what they have there."""
    curve = light_curve(forced_table(rng), 1_000_003)
    curve = replace(curve, band=np.where(curve.band == "g", "VR", curve.band))
    axes = light_curve_figure(curve).axes[0]
    drawn = {bars.get_label(): bars.lines[0] for bars in axes.containers if bars.get_label() in curve.bands}
    assert set(drawn) == {"VR", "r", "i"}
    for band, line in drawn.items():
        style, shape = style_of_band(band, curve.bands)
        assert (line.get_color(), line.get_marker()) == (colours()[style], MARKERS[shape])
    assert {f"band-other{n}" for n in range(N_OTHER_COLOURS)} < set(colours())
    assert {*SHAPE_OF_BAND.values(), *OTHER_SHAPES} == set(MARKERS)


def test_magnitudes_are_drawn_upside_down(rng):
    """Bright is up, and no line at zero; without the template's flux there are none, which is told."""
    table = forced_table(rng)
    with pytest.raises(InputError, match="object 1000003 has no magnitudes: the flux of its template was not measured"):
        light_curve_figure(light_curve(table, 1_000_003), in_magnitudes=True)
    table["dp_templateFlux"] = 5000.0
    curve = light_curve(table, 1_000_003)
    axes = light_curve_figure(curve, in_magnitudes=True).axes[0]
    assert axes.yaxis_inverted()
    assert "magnitude" in axes.get_ylabel()
    drawn = {bars.get_label(): bars.lines[0].get_xydata() for bars in axes.containers}
    own = curve.in_band("r").measured()
    np.testing.assert_allclose(drawn["r"][:, 1], 31.4 - 2.5 * np.log10(5000.0 + own.flux))


@pytest.mark.parametrize("ending", ["png", "pdf", "svg"])
def test_figures_are_written(rng, tmp_path: Path, ending):
    """A corrected curve is drawn into a file of its kind."""
    curve = corrected(
        light_curve(forced_table(rng, level=-300.0), 1_000_003),
        Baseline(event_start_mjd=EVENT_MJD[0], event_end_mjd=EVENT_MJD[1]),
    )
    path = tmp_path / f"curve.{ending}"
    write_light_curve(curve, path)
    start = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}[ending]
    assert path.read_bytes().startswith(start)


def test_an_unknown_kind_is_refused(rng, tmp_path: Path):
    """A name that says no kind of figure is refused, and nothing is left."""
    with pytest.raises(WriteError, match=r"ends in \.png, \.pdf or \.svg, not in xyz"):
        write_light_curve(light_curve(forced_table(rng), 1_000_003), tmp_path / "curve.xyz")
    assert list(tmp_path.iterdir()) == []
