"""Light curves as SVG, for pages and notebooks: forced fluxes by band, what was detected, what is known beside."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache
from importlib.resources import files

import numpy as np

from diapipe.catalogs.light_curve import LightCurve
from diapipe.numerics.arrays import BoolArray, FloatArray
from diapipe.report.axes import Axes, Scale
from diapipe.report.numbers import with_error
from diapipe.report.symbols import style_of_band
from diapipe.report.time_axis import Seasons

type Lines = Mapping[str, tuple[FloatArray, FloatArray]]
"""By band: times and fluxes of a line to compare with."""

LARGE, SMALL = (640, 320), (440, 270)
"""Sizes of the drawing: on its own page, and among others."""

DIFFERENCE, SCIENCE = "difference", "science"
"""Scales: more or less light than the template, or all of the light."""
_UNITS = ((2e5, 1.0, "nJy"), (2e8, 1e-3, "µJy"), (np.inf, 1e-6, "mJy"))
"""Up to which flux, factor, unit."""
_MARGIN = 0.08
_RADIUS, _RING_RADIUS = 3.4, 6.5


def curve_svg(
    curve: LightCurve,
    *,
    scale: str = DIFFERENCE,
    detected: Collection[int] = (),
    beside: Lines | None = None,
    addresses: Mapping[int, str] | None = None,
    size: tuple[int, int] = LARGE,
) -> str:
    """A light curve as an SVG element, styled by the page.

    Full symbols are epochs at which the object was detected, hollow ones forced fluxes alone, pale ones are flagged;
    a ring is about the epochs of the template. Gaps between seasons are left out.

    Parameters
    ----------
    curve
        Forced fluxes.
    scale
        ``"difference"`` or ``"science"``.
    detected
        Visits of the object's sources.
    beside
        Lines to compare with, such as the truth of a simulation, on the scale of the difference.
    addresses
        By visit: where its symbols lead.
    size
        Width and height of the drawing in its own units; the page scales it.
    """
    of_difference = scale == DIFFERENCE
    flux, error = (curve.flux, curve.flux_err) if of_difference else (curve.science_flux, curve.science_flux_err)
    factor, unit = _readable(flux, curve.flux_unit)
    flux, error = flux * factor, error * factor
    lines = {band: (mjd, line * factor) for band, (mjd, line) in (beside or {}).items()} if of_difference else {}
    axes = Axes(
        x=Seasons.of(curve.mjd),
        y=_range_of(flux, error, curve.is_measured, lines, with_zero=of_difference),
        x_label="MJD (TAI)",
        y_label=f"flux on the {scale}{'' if of_difference else ' image'}, {unit}",
        title=f"Forced fluxes of object {curve.dia_object_id} on the {scale}, in {', '.join(curve.bands)}",
        width=size[0],
        height=size[1],
        top_px=30,
        left_px=70,
    )
    _draw_seams(axes)
    if of_difference:
        axes.rule(0.0)
    was_detected = np.isin(curve.visit, list(detected))
    legend = []
    for band in curve.bands:
        style, shape = style_of_band(band, curve.bands)
        legend.append((style, shape, band))
        _draw_line(axes, lines.get(band), style)
        own = curve.band == band
        ring = own & curve.in_template
        axes.symbols(curve.mjd[ring], flux[ring], style="ring", radius=_RING_RADIUS)
        good = own & (curve.is_measured if of_difference else np.isfinite(error) & ~curve.flag)
        axes.error_bars(curve.mjd[good], flux[good], error[good], style=f"errorbar {style}")
        kinds = {"": good & was_detected, "hollow": good & ~was_detected, "hollow doubtful": own & ~good}
        for kind, chosen in kinds.items():
            _draw_symbols(axes, curve, flux, error, chosen, f"{style} {kind}".strip(), shape, addresses or {}, unit)
    axes.legend_above(legend)
    return axes.svg()


def _readable(flux: FloatArray, unit: str) -> tuple[float, str]:
    """By what fluxes are multiplied, and the unit they are in then, so that no tick needs a power of ten."""
    if unit != "nJy":
        return 1.0, unit or "counts"
    largest = float(np.nanmax(np.abs(flux), initial=0.0))
    return next((factor, name) for limit, factor, name in _UNITS if largest < limit)


def standalone(svg: str) -> str:
    """The same as a file of its own, or for a notebook: with the colours of the pages."""
    head = '<svg xmlns="http://www.w3.org/2000/svg" '
    return svg.replace("<svg ", head, 1).replace("><", f"><style>{figure_style()}</style><", 1)


@cache
def figure_style() -> str:
    """The rules of the pages' style sheet that figures need."""
    sheet = files("diapipe.report").joinpath("assets", "page.css").read_text(encoding="utf-8")
    first = sheet.index(":root {")
    rules = [line for line in sheet.splitlines() if line.startswith("svg ")]
    return sheet[first : sheet.index("}", first) + 1].replace("\n", "") + "".join(rules) + "svg{background:var(--card)}"


def _range_of(flux: FloatArray, error: FloatArray, good: BoolArray, lines: Lines, *, with_zero: bool) -> Scale:
    """The fluxes that are good with their errors, and the lines beside, with a margin."""
    known = good & np.isfinite(flux) & np.isfinite(error)
    if not known.any():
        known = np.isfinite(flux)
    spread = np.where(np.isfinite(error), error, 0.0)[known]
    values = np.concatenate(
        [flux[known] - spread, flux[known] + spread, [0.0] * with_zero, *(line for _, line in lines.values())]
    )
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    margin = _MARGIN * (high - low) or max(abs(low), 1.0)
    return Scale(low=low - margin, high=high + margin)


def _draw_seams(axes: Axes) -> None:
    """Where time was left out."""
    if isinstance(axes.x, Seasons):
        for at in axes.x.seams():
            axes.upright(at, style="seam")


def _draw_line(axes: Axes, line: tuple[FloatArray, FloatArray] | None, style: str) -> None:
    """A line beside the points; it breaks where its flux is not known."""
    if line is None:
        return
    mjd, flux = line
    for part in np.split(np.arange(len(mjd)), np.flatnonzero(~np.isfinite(mjd + flux))):
        axes.line(mjd[part], flux[part], style=f"beside {style}")


def _draw_symbols(
    axes: Axes,
    curve: LightCurve,
    flux: FloatArray,
    error: FloatArray,
    chosen: BoolArray,
    style: str,
    shape: str,
    addresses: Mapping[int, str],
    unit: str,
) -> None:
    """Points of one look, as links where their visits have pages."""
    index = np.flatnonzero(chosen)
    if not addresses:
        axes.symbols(curve.mjd[index], flux[index], style=style, shape=shape, radius=_RADIUS)
        return
    axes.links(
        curve.mjd[index],
        flux[index],
        style=style,
        shape=shape,
        radius=_RADIUS,
        addresses=[addresses.get(int(curve.visit[i]), "") for i in index],
        titles=[
            f"visit {curve.visit[i]}, {curve.band[i]}: {with_error(float(flux[i]), float(error[i]))} {unit}"
            for i in index
        ],
    )
