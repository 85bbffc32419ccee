"""The grade on a terminal."""

import pytest

from diapipe.cli.grade_table import show_grade, show_table
from diapipe.report.validation import GradeRow

GREEN, RED = "\x1b[32m", "\x1b[31m"


@pytest.fixture
def rows():
    """A bar that is met, one that is not, one that nobody knows."""
    return [
        GradeRow(name, "Rubin DP1", "at least 1", "2", word, is_met)
        for name, word, is_met in (("a", "fulfilled", True), ("b", "missed", False), ("c", "open", None))
    ]


def test_what_is_met_is_green_and_what_is_not_is_red(rows, capsys, monkeypatch):
    """The last word of each line alone has a colour, and only where the terminal has colours."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    show_grade(rows)
    told = capsys.readouterr().out
    assert f"{GREEN}fulfilled" in told
    assert f"{RED}missed" in told
    assert told.count(GREEN) == told.count(RED) == 1


def test_a_file_has_no_colours(rows, capsys, monkeypatch):
    """Nothing but the words goes into a pipe."""
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    show_grade(rows)
    told = capsys.readouterr().out
    assert "\x1b" not in told
    assert all(word in told for word in ("fulfilled", "missed", "open"))


def test_words_of_a_table_are_told_as_they_are(capsys):
    """Neither brackets nor words between colons mean anything to the terminal."""
    show_table("missed", ("name", "why"), [("[red]a", "masked: SAT, :star: 2")])
    told = capsys.readouterr().out
    assert "[red]a" in told
    assert ":star:" in told
