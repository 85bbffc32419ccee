"""Tables for the documentation: every field of `ImageDifferenceConfig`, its subtasks, the rules between the fields."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lsst.pex.config import ConfigChoiceField, ConfigField, ConfigurableField

from diapipe.tasks.image_difference_config import ImageDifferenceConfig
from diapipe.tasks.rules import IDLE, RULES

_SUBTASK = (ConfigurableField, ConfigChoiceField)


def plain_fields() -> dict[str, Any]:
    """The fields that hold values, by name, in alphabetical order."""
    return {
        name: field for name, field in sorted(ImageDifferenceConfig._fields.items()) if not isinstance(field, _SUBTASK)
    }


def subtask_fields() -> dict[str, Any]:
    """The fields that hold subtasks, by name, in alphabetical order."""
    return {name: field for name, field in sorted(ImageDifferenceConfig._fields.items()) if isinstance(field, _SUBTASK)}


def field_table() -> str:
    """Field, type, default, meaning, and the test that shows its effect."""
    rows = []
    for name, field in plain_fields().items():
        kind, default = (
            ("config", "") if isinstance(field, ConfigField) else (field.dtype.__name__, repr(field.default))
        )
        rows.append((f"`{name}`", kind, f"`{default}`" if default else "", _one_line(field.doc), f"`test_{name}`"))
    return _table(("field", "type", "default", "meaning", "test"), rows)


def subtask_table() -> str:
    """Subtask, what it can be, what it does."""
    rows = []
    for name, field in subtask_fields().items():
        if isinstance(field, ConfigurableField):
            kind = f"`{field.target.__module__}.{field.target.__name__}`"
        else:
            kind = ", ".join(
                f"`'{choice}'`{' (default)' if choice == field.default else ''}" for choice in field.typemap
            )
        rows.append((f"`{name}`", kind, _one_line(field.doc)))
    return _table(("subtask", "default, or choices", "what it does"), rows)


def rule_table() -> str:
    """The sentences with which a configuration is refused, and those that say that a setting does nothing."""
    rows = [("refused", rule.sentence) for rule in RULES] + [("told", sentence) for _, _, sentence in IDLE]
    return _table(("", "sentence"), rows)


TABLES = {"fields": field_table, "subtasks": subtask_table, "rules": rule_table}


def with_tables(page: str) -> str:
    """A page of Markdown with its tables as they are now: each between ``<!-- name -->`` and ``<!-- end -->``."""
    for name, make in TABLES.items():
        before, start, rest = page.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition("<!-- end -->")
        page = f"{before}{start}{make()}{end}{after}" if end else page
    return page


def rewrite(path: Path) -> None:
    """Bring the tables of a page up to date."""
    path.write_text(with_tables(path.read_text(encoding="utf-8")), encoding="utf-8")


def _one_line(doc: str) -> str:
    return " ".join(doc.split()).replace("|", "\\|")


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
