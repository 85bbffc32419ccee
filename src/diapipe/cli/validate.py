"""``diapipe validate``: how complete, how pure and how accurate a result is, by a table of what is true."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from diapipe.cli.options import FILE, talk

if TYPE_CHECKING:
    from diapipe.report.validation import GradeRow
    from diapipe.steps.validate import Validation

FILES = ("validation.json", "completeness.parquet", "accuracy.parquet")
"""What the command adds to a result."""
_WIDE = 130
"""Columns of a table that goes into a file or a pipe."""


@click.command(short_help="Judge a result by what is true.")
@click.argument("folder", type=FILE)
@click.option("--truth", type=FILE, help="Table of what is true; injected.parquet in FOLDER unless given.")
@click.option("--truth-is-all", is_flag=True, help="Nothing else changed, as in a simulation: the rest is false.")
@talk
def validate(folder: Path, truth: Path | None, truth_is_all: bool, quiet: bool, verbose: bool) -> None:
    """Judge the result in FOLDER, of diapipe subtract, by what is true.

    The table needs the columns x and y (pixels of the science image) and flux (science minus template, in the unit of
    its pixels); kind, trail_length and trail_angle if it has them. Writes validation.json, completeness.parquet and
    accuracy.parquet into FOLDER, and the grade beside what others published on the terminal.
    """
    from diapipe.io import read_difference, read_parquet, write_parquet, write_text
    from diapipe.report.folder import read_summary
    from diapipe.report.validation import grade_rows, validation_sentence
    from diapipe.steps.summarize import plain
    from diapipe.steps.validate import judge, truth_table
    from diapipe.steps.validate import validate as add_up

    summary = read_summary(folder / "summary.json")
    path = folder / "injected.parquet" if truth is None else truth
    difference, sources = read_difference(folder / "difference.fits"), read_parquet(folder / "dia_sources.parquet")
    table = truth_table(read_parquet(path), difference, name=str(path))
    threshold = float(summary["counts"]["threshold_sigma"])
    found = add_up([judge(difference, sources, table, threshold_sigma=threshold)], truth_is_all=truth_is_all)
    write_text(folder / FILES[0], json.dumps(plain(found.plain), indent=1, allow_nan=False) + "\n")
    write_parquet(found.completeness, folder / FILES[1])
    write_parquet(found.accuracy, folder / FILES[2])
    if not quiet:
        click.echo(validation_sentence(found.numbers))
        _show(grade_rows(found.numbers))
        if verbose:
            _show_causes(found)
        click.echo(f"Numbers: {folder / FILES[0]}")


def _show(rows: list[GradeRow]) -> None:
    """The grade as a table."""
    from rich.console import Console
    from rich.table import Table

    console = Console() if sys.stdout.isatty() else Console(width=_WIDE)
    table = Table(title="The grade: what was reached beside published figures", title_justify="left")
    for heading in ("", "whose figure", "wanted", "here", "met"):
        table.add_column(heading)
    for row in rows:
        table.add_row(row.name, row.source, row.limit, row.value, row.verdict)
    console.print(table)


def _show_causes(found: Validation) -> None:
    """What the truth does not explain, by cause."""
    counts = found.numbers["n_unexplained"]
    click.echo("Sources that the truth does not explain: " + ", ".join(f"{cause} {n}" for cause, n in counts.items()))
