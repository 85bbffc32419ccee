"""Quality over the visits of a survey: plots against time, and which detectors of which visits stand out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from astropy.table import Table

from diapipe.catalogs.dia_objects import ordered_bands
from diapipe.catalogs.survey_units import Unit, unit_of
from diapipe.numerics.arrays import BoolArray, FloatArray, IntArray
from diapipe.numerics.stats import median, robust_sigma
from diapipe.report.axes import Axes, Scale
from diapipe.report.numbers import number
from diapipe.report.rows import column
from diapipe.report.survey.places import Places
from diapipe.report.symbols import style_of_band
from diapipe.report.time_axis import Seasons

MAX_POINTS = 600
"""Points of a plot; of more detectors than that each visit has its median and its worst."""
_LEAST_SCATTER = 0.005
"""Of a quantity, as a fraction of its median: less is no reason to stand out."""
LIMIT_SIGMA = 5.0
"""What is so far from the others stands out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """A quantity that is followed over the visits.

    Attributes
    ----------
    column
        Of `SURVEY_UNITS`.
    name, unit
        What it is called.
    note
        What it means.
    wanted
        The value at best, drawn as a line.
    worse
        Which way it is worse: 1 where more is worse, -1 where less is, 0 for either.
    by_band
        Whether bands are compared each with itself.
    can_stand_out
        Whether a unit is named for it.
    """

    column: str
    name: str
    unit: str = ""
    note: str = ""
    wanted: float | None = None
    worse: int = 1
    by_band: bool = True
    can_stand_out: bool = True


TRENDS = (
    Trend(column="psfFwhm", name="FWHM of the science image", unit="″"),
    Trend(column="templateFwhm", name="FWHM of the template", unit="″"),
    Trend(column="differenceFwhm", name="FWHM of the difference", unit="″"),
    Trend(
        column="kernelScale", name="kernel sum against scale", wanted=1.0, worse=0, by_band=False,
        note="flux scale by the matching kernel over that by the stars",
    ),
    Trend(
        column="starReducedChi2", name="reduced χ² at bright stars", wanted=1.0, by_band=False,
        note="median in their footprints on the difference",
    ),
    Trend(
        column="noiseRatio", name="noise over its claim", wanted=1.0, worse=0, by_band=False,
        note="scatter of the difference's pixels over what the variance says",
    ),
    Trend(
        column="registrationRms", name="astrometric residual", unit="″", by_band=False,
        note="scatter per axis between stars of science image and template",
    ),
    Trend(column="nSources", name="sources on the difference", note="all that were detected"),
    Trend(column="differenceMagLim", name="depth of the difference", unit="mag", worse=-1, note="5σ for a star"),
    Trend(column="templateMagLim", name="depth of the template", unit="mag", worse=-1, note="5σ for a star"),
    Trend(column="zeroPoint", name="zero point", unit="mag", worse=-1, note="AB magnitude of one count"),
    Trend(
        column="seconds", name="CPU time", unit="s", by_band=False, can_stand_out=False,
        note="characterize and imageDifference; of the first, functions may have been compiled meanwhile",
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class StandsOut:
    """A unit that is unlike the others in some quantity."""

    unit: Unit
    trend: Trend
    value: float
    usual: float
    sigma: float

    @property
    def words(self) -> tuple[str, str, str]:
        """Its value, the usual one, and by how much they differ."""
        unit = {"": "", "″": "″"}.get(self.trend.unit, f" {self.trend.unit}")
        return f"{number(self.value)}{unit}", f"{number(self.usual)}{unit}", f"{self.sigma:.0f} σ"


def trend_plot(units: Table, trend: Trend, places: Places) -> str:
    """A quantity against time, each point a link to its page; empty where nothing is known."""
    values = column(units, trend.column)
    mjd = column(units, "mjd")
    known = np.isfinite(values) & np.isfinite(mjd)
    if not known.any():
        return ""
    chosen = _thinned(units, values, known)
    bands = ordered_bands(units["band"][chosen])
    axes = Axes(
        x=Seasons.of(mjd[chosen]),
        y=_range_of(values[chosen], trend.wanted),
        x_label="MJD (TAI)",
        y_label=trend.name + (f", {trend.unit}" if trend.unit else ""),
        title=f"{trend.name} of {len(chosen)} detectors of visits: median {number(median(values[known]))} {trend.unit}",
        top_px=28,
        height=250,
    )
    if isinstance(axes.x, Seasons):
        for at in axes.x.seams():
            axes.upright(at, style="seam")
    if trend.wanted is not None:
        axes.rule(trend.wanted)
    for band in bands:
        style, shape = style_of_band(band, bands)
        own = chosen[np.asarray(units["band"])[chosen] == band]
        listed = [unit_of(units[int(i)]) for i in own]
        axes.links(
            mjd[own],
            values[own],
            style=style,
            shape=shape,
            radius=3.0,
            addresses=[places.address(unit) for unit in listed],
            titles=[
                f"{places.words(unit)}: {number(float(values[i]))} {trend.unit}".strip()
                for unit, i in zip(listed, own, strict=True)
            ],
        )
    axes.legend_above([(*style_of_band(band, bands), band) for band in bands])
    return axes.svg()


def standing_out(units: Table, trends: Sequence[Trend] = TRENDS) -> list[StandsOut]:
    """Units that are unlike the others of their band, each for what is oddest about it, the oddest first."""
    oddest: dict[Unit, StandsOut] = {}
    bands = np.asarray(units["band"]).astype(np.str_)
    for trend in filter(lambda one: one.can_stand_out, trends):
        values = column(units, trend.column)
        for band in np.unique(bands) if trend.by_band else (None,):
            own = np.flatnonzero(np.isfinite(values) & ((bands == band) if band is not None else True))
            if len(own) < 5:
                continue
            usual, sigma = _deviations(values[own], trend.worse)
            for i in own[sigma > LIMIT_SIGMA]:
                found = StandsOut(
                    unit=unit_of(units[int(i)]), trend=trend, value=float(values[i]), usual=usual,
                    sigma=float(sigma[own == i][0]),
                )  # fmt: skip
                if found.unit not in oddest or oddest[found.unit].sigma < found.sigma:
                    oddest[found.unit] = found
    return sorted(oddest.values(), key=lambda found: -found.sigma)


def _deviations(values: FloatArray, worse: int) -> tuple[float, FloatArray]:
    """The median, and how many robust sigma each value is on the worse side of it."""
    usual = median(values)
    scatter = max(robust_sigma(values), _LEAST_SCATTER * abs(usual), 1e-12)
    off = (values - usual) / scatter
    return usual, np.abs(off) if worse == 0 else worse * off


def _thinned(units: Table, values: FloatArray, known: BoolArray) -> IntArray:
    """Rows to draw: all, or of each visit the middle one and the two at the ends."""
    index = np.flatnonzero(known)
    if len(index) <= MAX_POINTS:
        return index
    visits = np.asarray(units["visit"])[index]
    chosen = set()
    for visit in np.unique(visits):
        own = index[visits == visit]
        own = own[np.argsort(values[own], kind="stable")]
        chosen |= {int(own[0]), int(own[len(own) // 2]), int(own[-1])}
    return np.array(sorted(chosen))


def _range_of(values: FloatArray, wanted: float | None) -> Scale:
    """From the least to the most, what is wanted included."""
    ends = [float(values.min()), float(values.max())] + ([] if wanted is None else [wanted])
    low, high = min(ends), max(ends)
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    return Scale(low=low - margin, high=high + margin)
