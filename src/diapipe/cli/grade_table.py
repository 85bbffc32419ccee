"""The grade and other tables of a validation, on the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from diapipe.report.validation import GradeRow

_WIDE = 130
"""Columns of a table that goes into a file or a pipe."""


def show_grade(rows: Iterable[GradeRow]) -> None:
    """Print what was reached beside what others published."""
    from diapipe.report.validation import GRADE_HEADINGS

    show_table(
        "The grade: what was reached beside published figures",
        ("", *GRADE_HEADINGS[1:]),
        [row.cells for row in rows],
    )


def show_table(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table."""
    from rich.console import Console
    from rich.table import Table

    console = Console() if sys.stdout.isatty() else Console(width=_WIDE)
    table = Table(title=title, title_justify="left")
    for heading in headings:
        table.add_column(heading)
    for row in rows:
        table.add_row(*row)
    console.print(table)
