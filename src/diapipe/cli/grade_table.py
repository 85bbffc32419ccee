"""The grade and other tables of a validation, on the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.text import Text

    from diapipe.report.validation import GradeRow

_COLOURS = {True: "green", False: "red", None: ""}
"""By whether a bar is met."""
_WIDE = 130
"""Columns of a table that goes into a file or a pipe."""


def show_grade(rows: Iterable[GradeRow]) -> None:
    """Print what was reached beside what others published, green where it is met and red where it is not."""
    from rich.text import Text

    from diapipe.report.validation import GRADE_HEADINGS

    show_table(
        "The grade: what was reached beside published figures",
        ("", *GRADE_HEADINGS[1:]),
        ((*row.cells[:-1], Text(row.verdict, style=_COLOURS[row.is_met])) for row in rows),
    )


def show_table(title: str, headings: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> None:
    """Print a table; a `Text` has its colour where the terminal has colours."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else _WIDE, markup=False, emoji=False)
    table = Table(title=title, title_justify="left")
    for heading in headings:
        table.add_column(heading)
    for row in rows:
        table.add_row(*row)
    console.print(table)
