"""What injected or simulated truth tells, for a page: the grade, completeness, errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from diapipe.report.axes import Axes, Scale
from diapipe.report.numbers import MISSING, counted, fixed, number, percent
from diapipe.report.plots import array_of
from diapipe.steps.validate import Graded, grade

type Numbers = Mapping[str, Any]

_SNR_LIMITS = (2.5, 150.0)
_BESIDE = 1.02
"""Two values of one bin stand this far to either side of its middle, so that none hides the other."""
GRADE_HEADINGS = ("what", "whose figure", "wanted", "here", "met")
"""Of the columns of a grade."""


@dataclass(frozen=True, slots=True)
class GradeRow:
    """A bar for a reader: what, whose, the limit, the value, and whether it is met, in a word and as a fact."""

    name: str
    source: str
    limit: str
    value: str
    verdict: str
    is_met: bool | None

    @property
    def cells(self) -> tuple[str, ...]:
        """In the order of `GRADE_HEADINGS`."""
        return self.name, self.source, self.limit, self.value, self.verdict


def grade_rows(numbers: Numbers) -> list[GradeRow]:
    """The grade of a validation."""
    return [_row(one) for one in grade(numbers)]


def validation_sentence(numbers: Numbers) -> str:
    """What was put in and what came back, in words."""
    found = numbers["completeness"]["all"]
    half = numbers["half_complete"]["value"]
    usable = f"{counted(numbers['n_true'], 'source')} of known truth on usable pixels"
    sentence = (
        f"{usable}, none of them above S/N 6."
        if not found["n"]
        else (
            f"{usable}; of the {found['n']} above S/N 6, {found['n_of']} were found ({percent(found['value'])}; "
            f"{percent(found['low'])} to {percent(found['high'])} within one sigma)."
        )
    )
    told = "" if half is None else f"Half of the points are found at S/N {number(half)}."
    return " ".join(filter(None, (sentence, told, _score_sentence(numbers.get("with_score")))))


def _score_sentence(found: Numbers | None) -> str:
    """What the reliability would keep; "" where sources have none."""
    if found is None or not found["of_detected"]["all"]["n"]:
        return ""
    kinds = [
        f"{kind} {percent(one['value'])}" for kind, one in found["of_detected"].items() if kind != "all" and one["n"]
    ]
    said = f"A reliability of {found['threshold']:g} in place of the plain cut keeps "
    said += f"{percent(found['of_detected']['all']['value'])} of what was detected above S/N 6"
    said += f" ({', '.join(kinds)})" if len(kinds) > 1 else ""
    purity = found.get("purity")
    return f"{said}." if purity is None or not purity["n"] else f"{said}; {percent(purity['value'])} of it are real."


def completeness_against_snr(bins: Sequence[Numbers]) -> str:
    """The share found in bins of signal-to-noise, with its interval, as SVG; "" where there are none."""
    rows = [row for row in bins if row["by"] == "snr" and row["kind"] == "all"]
    if not rows:
        return ""
    middle = _middles(rows)
    axes = _axes("share that was found", Scale(low=0.0, high=1.05), "Completeness against signal-to-noise")
    for at, row in zip(middle, rows, strict=True):
        axes.line(np.array([at, at]), array_of([row["low"], row["high"]]), style="science")
    values = array_of([row["completeness"] for row in rows])
    axes.line(middle, values, style="science")
    axes.points(middle, values, style="dots strong", radius=3.0)
    axes.rule(0.5)
    return axes.svg()


def pulls_against_snr(bins: Sequence[Numbers]) -> str:
    """Median and width of (flux - truth) / error in bins of signal-to-noise, as SVG; "" where there are none."""
    rows = [row for row in bins if row["by"] == "snr" and row["pull_sigma"] is not None]
    if not rows:
        return ""
    middle = _middles(rows)
    axes = _axes("(flux − truth) / error", Scale(low=-1.0, high=2.0), "Pulls of fluxes against signal-to-noise")
    axes.band(0.95, 1.08, style="wanted")
    axes.rule(0.0)
    for style, name, at_x in (("science", "pull_sigma", middle / _BESIDE), ("template", "pull_mean", middle * _BESIDE)):
        values, errors = (array_of([row[key] for row in rows]) for key in (name, f"{name}_err"))
        axes.points(at_x, values, style=style, radius=3.0)
        for at, value, error in zip(at_x, values, errors, strict=True):
            axes.line(np.array([at, at]), np.array([value - error, value + error]), style=style)
    axes.legend([("science", "width"), ("template", "median")])
    return axes.svg()


def _axes(label: str, scale: Scale, title: str) -> Axes:
    low, high = _SNR_LIMITS
    return Axes(x=Scale(low=low, high=high, is_log=True), y=scale, x_label="true S/N", y_label=label, title=title)


def _middles(rows: Sequence[Numbers]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Where the bins are drawn."""
    low, high = (array_of([row[end] for row in rows]) for end in ("from", "to"))
    return np.sqrt(low * np.minimum(high, 2.0 * low))


def _row(one: Graded) -> GradeRow:
    bar = one.bar
    factor, unit = (100.0, "%") if bar.unit == "%" else (1.0, f" {bar.unit}" if bar.unit else "")
    told = partial(fixed, decimals=0) if bar.is_count else number
    value = MISSING
    if one.value is not None:
        value = told(factor * one.value) + unit
        if one.low is not None and one.high is not None:
            value += f" ({told(factor * one.low)} to {told(factor * one.high)})"
        if one.by_noise is not None:
            value += f"; {told(factor * one.by_noise)}{unit} by noise alone"
    limit = f"{bar.side} {round(factor * bar.limit, 3):g}{unit}"
    return GradeRow(bar.name, bar.source, limit, value, _verdict(one), one.is_met)


def _verdict(one: Graded) -> str:
    """Whether the bar is met, and whether that is certain."""
    if one.is_met is None:
        return "not known"
    return ("yes" if one.is_met else "no") + (", within its error" if one.is_close else "")
