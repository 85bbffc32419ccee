"""The grade and other tables of a validation, on the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from diapipe.report.validation import GradeRow

_COLOURS = {True: "green", False: "red", None: ""}
"""By whether a bar is met."""
_WIDE = 130
"""Columns of a table that goes into a file or a pipe."""


def show_grade(rows: Iterable[GradeRow]) -> None:
    """Print what was reached beside what others published, green where it is met and red where it is not."""
    from diapipe.report.validation import GRADE_HEADINGS

    grade = list(rows)
    show_table(
        "The grade: what was reached beside published figures",
        ("", *GRADE_HEADINGS[1:]),
        [row.cells for row in grade],
        colours=[_COLOURS[row.is_met] for row in grade],
    )


def show_table(
    title: str, headings: Sequence[str], rows: Iterable[Sequence[str]], *, colours: Sequence[str] | None = None
) -> None:
    """Print a table; of each row the last cell in its colour, where colours are given and the terminal has them."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console() if sys.stdout.isatty() else Console(width=_WIDE)
    table = Table(title=title, title_justify="left")
    for heading in headings:
        table.add_column(heading)
    for number, row in enumerate(rows):
        colour = "" if colours is None else colours[number]
        table.add_row(*row[:-1], Text(row[-1], style=colour))
    console.print(table)
