"""The page of acceptance bars names tests that there are, and every test of bars is named by it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
PAGE = TESTS.parent / "docs" / "reference" / "acceptance.md"
ROWS = [row for row in PAGE.read_text(encoding="utf-8").splitlines() if row.startswith("| ") and "::" in row]
NAMED = sorted(set(re.findall(r"`([\w/]+\.py)::(\w+)`", "\n".join(ROWS))))


def functions_of(file: str) -> dict[str, ast.FunctionDef]:
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    return {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize(("file", "name"), NAMED, ids=lambda value: value)
def test_a_named_test_exists_and_asserts(file, name):
    """A function of that file that says what it holds to, and asserts something or expects an error."""
    function = functions_of(file)[name]
    assert ast.get_docstring(function)
    called = {n.attr for n in ast.walk(function) if isinstance(n, ast.Attribute)}
    named = {n.id for n in ast.walk(function) if isinstance(n, ast.Name)}
    asserts = any(isinstance(n, ast.Assert) for n in ast.walk(function))
    assert asserts or "raises" in called or any("assert" in word for word in called | named)


def test_no_row_is_without_its_numbers():
    """Four columns, none empty: what, theirs, ours, test."""
    assert len(ROWS) > 50
    for row in ROWS:
        assert len([cell for cell in row.strip("|").split(" | ") if cell.strip()]) == 4, row


def test_every_file_of_bars_is_on_the_page():
    assert {path.name for path in TESTS.glob("test_bars_*.py")} <= {file for file, _ in NAMED}
