"""The table that says how the truth was recovered."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from diapipe.cli.truth import Recovery

AT_BEST = ("97%", "99%", "0%", "1")
"""What a perfect difference of such images would reach."""


def show(found: Mapping[str, Recovery]) -> None:
    """Print one column for each part of the truth, and what it would be at best."""
    table = Table(title="How the truth was recovered", title_justify="left")
    for heading in ("", *found, "at best"):
        table.add_column(heading, justify="left" if not heading else "right")
    for row in rows(found):
        table.add_row(*row)
    Console().print(table)


def rows(found: Mapping[str, Recovery]) -> list[tuple[str, ...]]:
    """The cells, row by row."""
    parts = list(found.values())
    bright = " + ".join(str(part.n_bright) for part in parts)
    cells = (
        ("changes above 5 sigma that were found", *(_share(p.n_found, p.n_true) for p in parts)),
        ("sources that are real, without dp_bad", *(_share(p.n_real, p.n_sources) for p in parts)),
        (f"mean flux error of the {bright} brightest", *(_bias(p) for p in parts)),
        ("scatter of (flux - truth) / error", *(_number(p.pull_sigma, ".2f") for p in parts)),
    )
    return [(*row, best) for row, best in zip(cells, AT_BEST, strict=True)]


def _share(part: int, whole: int) -> str:
    """A count of a count, with the percentage."""
    return f"{part} of {whole}" + (f" = {100 * part / whole:.0f}%" if whole else "")


def _bias(part: Recovery) -> str:
    """What fluxes are too large by, with its error."""
    bias = _number(100 * part.flux_bias, "+.2f")
    return bias if bias == "-" else f"{bias} ± {100 * part.flux_bias_err:.2f}%"


def _number(value: float, form: str, unit: str = "") -> str:
    """A number, or a dash for NaN."""
    return "-" if value != value else f"{value:{form}}{unit}"
