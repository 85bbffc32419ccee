"""Figures of light curves: flux against time, band by band, with errors; made by matplotlib for a page or a paper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from diapipe.catalogs.light_curve import LightCurve
from diapipe.errors import InputError, WriteError
from diapipe.io.atomic import replacing
from diapipe.numerics.arrays import FloatArray
from diapipe.report.symbols import MARKERS, colours, style_of_band
from diapipe.report.time_axis import Seasons

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def light_curve_figure(
    curve: LightCurve,
    *,
    title: str | None = None,
    zero_mjd: float = 0.0,
    expected: Mapping[str, tuple[FloatArray, FloatArray]] | None = None,
    longest_gap_days: float = np.inf,
    in_magnitudes: bool = False,
) -> Figure:
    """Draw a light curve: a panel for all bands, fluxes on the difference with their errors.

    Fluxes that are flagged are drawn hollow and pale. An epoch without a flux is not drawn: no limit is made up for it.
    Epochs of the template have a ring, those of the baseline a tick at the bottom; a level that was subtracted is told
    in the legend.

    Parameters
    ----------
    curve
        What to draw.
    title
        Above it; the object and its place unless given.
    zero_mjd
        Subtracted from the times on the axis.
    expected
        By band: times and fluxes of a line to compare with, such as a model or the truth of a simulation.
    longest_gap_days
        Where nobody looked for longer, a new panel begins.
    in_magnitudes
        Draw AB magnitudes of the whole flux instead, template and difference together.

    Raises
    ------
    InputError
        If there are no magnitudes: the template's flux was not measured, or fluxes are not in nJy.
    """
    from matplotlib.figure import Figure

    if in_magnitudes:
        curve = _as_magnitudes(curve)
    figure = Figure(figsize=(7.5, 4.2), layout="constrained")
    seasons = Seasons.of(curve.mjd, longest_gap_days=longest_gap_days).parts
    widths = [end - start for start, end in seasons]
    panels = figure.subplots(1, len(seasons), sharey=True, squeeze=False, width_ratios=widths)[0]
    for axes, (start, end) in zip(panels, seasons, strict=True):
        if not in_magnitudes:
            axes.axhline(0.0, color="0.7", linewidth=0.8, zorder=0)
        for band in curve.bands:
            style, shape = style_of_band(band, curve.bands)
            colour = colours()[style]
            _draw_band(axes, curve.in_band(band), band, colour, MARKERS[shape], zero_mjd=zero_mjd)
            if expected and band in expected:
                mjd, flux = expected[band]
                axes.plot(mjd - zero_mjd, flux, color=colour, linewidth=1.0, alpha=0.7)
        _mark_epochs(axes, curve, zero_mjd)
        axes.ticklabel_format(useOffset=False, axis="x")
        axes.ticklabel_format(useMathText=True, useOffset=False, axis="y")
        if len(seasons) > 1:
            axes.set_xlim(start - zero_mjd, end - zero_mjd)
    figure.supxlabel("MJD (TAI)" + (f" \N{MINUS SIGN} {zero_mjd:.10g}" if zero_mjd else ""), fontsize="medium")
    panels[0].set_ylabel(_quantity(curve))
    if in_magnitudes:
        panels[0].invert_yaxis()
    figure.suptitle(title if title is not None else _title(curve), fontsize="medium")
    _legend(panels[-1])
    return figure


def write_light_curve(
    curve: LightCurve, path: str | Path, *, dpi: int = 150, zero_mjd: float = 0.0, in_magnitudes: bool = False
) -> None:
    """Draw a light curve into a file, whose name says the format: .png, .pdf or .svg.

    Raises
    ------
    InputError
        As `light_curve_figure`.
    WriteError
        If the format is not known or the file cannot be written.
    """
    kind = Path(path).suffix.lstrip(".").lower()
    figure = light_curve_figure(curve, zero_mjd=zero_mjd, in_magnitudes=in_magnitudes)
    if kind not in figure.canvas.get_supported_filetypes():
        ending = kind or "nothing"
        raise WriteError(f"cannot draw {path}: the name of a figure ends in .png, .pdf or .svg, not in {ending}")
    with replacing(path) as aside:
        figure.savefig(aside, format=kind, dpi=dpi)


def _as_magnitudes(curve: LightCurve) -> LightCurve:
    """The same curve with magnitudes for fluxes."""
    values, errors = curve.magnitudes()
    if not np.isfinite(values).any():
        raise InputError(
            f"object {curve.dia_object_id} has no magnitudes: the flux of its template was not measured, "
            "which `diapipe run` does in the step objects"
        )
    return replace(curve, flux=values, flux_err=errors, levels={}, flux_unit="mag")


def _quantity(curve: LightCurve) -> str:
    """What is drawn."""
    if curve.flux_unit == "mag":
        return "AB magnitude of template and difference"
    less = " less its baseline" if curve.levels else ""
    return f"flux on the difference{less}" + (f" [{curve.flux_unit}]" if curve.flux_unit else "")


def _title(curve: LightCurve) -> str:
    """The object and where it is."""
    return f"DIA object {curve.dia_object_id}   RA {curve.ra:.5f}°  Dec {curve.dec:+.5f}°"


def _draw_band(axes: Axes, curve: LightCurve, band: str, colour: str, symbol: str, *, zero_mjd: float) -> None:
    """Points with error bars: full where measured, hollow where flagged."""
    level = curve.levels.get(band)
    label = band if level is None else f"{band}, baseline {level.flux:.4g} ± {level.flux_err:.2g}"
    good = curve.is_measured
    style: dict[str, Any] = {"fmt": symbol, "color": colour, "markersize": 4.5, "elinewidth": 0.9, "linestyle": "none"}
    axes.errorbar(curve.mjd[good] - zero_mjd, curve.flux[good], curve.flux_err[good], label=label, **style)
    doubtful = ~good & np.isfinite(curve.flux)
    if doubtful.any():
        error = np.where(np.isfinite(curve.flux_err), curve.flux_err, 0.0)
        axes.errorbar(
            curve.mjd[doubtful] - zero_mjd, curve.flux[doubtful], error[doubtful], mfc="none", alpha=0.4, **style
        )


def _legend(axes: Axes) -> None:
    """Bands first, then what the marks mean, beside the panel."""
    handles, labels = axes.get_legend_handles_labels()
    bands = {bars.get_label() for bars in axes.containers}
    order = sorted(range(len(labels)), key=lambda index: labels[index] not in bands)
    if order:
        axes.legend(
            [handles[index] for index in order],
            [labels[index] for index in order],
            fontsize="small",
            frameon=False,
            loc="center left",
            bbox_to_anchor=(1.0, 0.5),
        )


def _mark_epochs(axes: Axes, curve: LightCurve, zero_mjd: float) -> None:
    """A ring about what is in the template, a tick at the bottom for what made the baseline."""
    template = curve.in_template & np.isfinite(curve.flux)
    if template.any():
        axes.plot(
            curve.mjd[template] - zero_mjd,
            curve.flux[template],
            linestyle="none",
            marker="o",
            markersize=9,
            markerfacecolor="none",
            markeredgecolor="0.35",
            markeredgewidth=0.8,
            label="in the template",
        )
    if curve.is_baseline.any():
        quiet = curve.mjd[curve.is_baseline] - zero_mjd
        axes.plot(
            quiet,
            np.full(len(quiet), 0.015),
            linestyle="none",
            marker="|",
            markersize=8,
            color="0.35",
            label="baseline",
            transform=axes.get_xaxis_transform(),
        )
