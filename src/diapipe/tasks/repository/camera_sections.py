"""Parts of a camera description: keys that are known or not, and rules for single values."""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from diapipe.errors import UsageError
from diapipe.tasks.repository import camera_rules as rules

SOURCES = ("card", "filename", "path", "time", "text", "compute", "value")
"""Where a value can come from: exactly one of them."""
CHANGES = ("match", "map", "times", "plus")
"""What can be done to it."""


class Section:
    """What every part of a description needs: complaints that name the file and the key."""

    def __init__(self, name: str, folder: Path) -> None:
        self._file = name
        self._folder = folder

    def _wrong(self, key: str, problem: str) -> UsageError:
        return UsageError(f"{self._file}: {key} {problem}", file=self._file, key=key)

    def _known(self, where: str, given: Iterable[Any], known: Iterable[str]) -> None:
        """Refuse the first key that nobody knows, and say which may be meant."""
        names = tuple(known)
        for key in given:
            if key not in names:
                near = difflib.get_close_matches(str(key), names, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(names)}"
                prefix = f"{where} has " if where else ""
                raise UsageError(f"{self._file}: {prefix}unknown key {key!r}{hint}", file=self._file, key=key)

    def _mapping(self, content: Mapping[str, Any], key: str) -> dict[Any, Any]:
        value = content.get(key, {})
        if not isinstance(value, dict):
            raise self._wrong(key, f"is {value!r}; a mapping is needed")
        return value

    def _pattern(self, key: str, text: Any) -> re.Pattern[str]:
        try:
            return re.compile(str(text))
        except re.error as error:
            raise self._wrong(key, f"has {text!r}, which is no regular expression ({error})") from error


class RuleSection(Section):
    """Turns what a description says of a value into the rule that finds it."""

    def _rule(self, key: str, spec: Any) -> rules.Rule:
        """A card's name, a number, a list of alternatives, or a mapping."""
        if isinstance(spec, bool) or spec is None or spec in ("", []):
            raise self._wrong(key, f"is {spec!r}; a card, a number, a list of them or a mapping is needed")
        if isinstance(spec, int | float):
            return rules.Constant(spec)
        if isinstance(spec, str):
            return rules.Card(spec.strip().upper())
        if isinstance(spec, list):
            return rules.FirstOf(tuple(self._rule(key, each) for each in spec))
        self._known(key, spec, (*SOURCES, *CHANGES))
        used = [name for name in SOURCES if name in spec]
        if len(used) != 1:
            raise self._wrong(key, f"needs one of {', '.join(SOURCES)}, and has {' and '.join(used) or 'none'}")
        return self._changed(key, self._source(key, used[0], spec[used[0]]), spec)

    def _source(self, key: str, kind: str, spec: Any) -> rules.Rule:
        if kind == "card":
            return self._rule(key, spec)
        if not isinstance(spec, str) and kind != "value":
            raise self._wrong(key, f"has {kind}: {spec!r}; a text is needed")
        if kind == "compute":
            try:
                rules.check_arithmetic(spec)
            except ValueError as error:
                raise self._wrong(key, f"cannot be computed: {error}") from error
        makers: dict[str, Callable[[Any], rules.Rule]] = {
            "filename": lambda text: rules.FileName(self._pattern(key, text)),
            "path": lambda text: rules.FileName(self._pattern(key, text), whole_path=True),
            "time": rules.BeginTime,
            "text": rules.Text,
            "compute": rules.Computed,
            "value": rules.Constant,
        }
        return makers[kind](spec)

    def _changed(self, key: str, rule: rules.Rule, spec: Mapping[str, Any]) -> rules.Rule:
        if not any(name in spec for name in CHANGES):
            return rule
        for name in ("times", "plus"):
            if isinstance(spec.get(name, 0), bool) or not isinstance(spec.get(name, 0), int | float):
                raise self._wrong(key, f"has {name}: {spec[name]!r}; a number is needed")
        return rules.Changed(
            rule,
            match=self._pattern(key, spec["match"]) if "match" in spec else None,
            translations={str(word): value for word, value in self._mapping(spec, "map").items()},
            times=spec.get("times", 1),
            plus=spec.get("plus", 0),
        )

    def _with_tables(self, content: Any) -> Any:
        """The description with every ``map`` from a table spelled out, so that the repository needs no other file."""
        if isinstance(content, list):
            return [self._with_tables(each) for each in content]
        if not isinstance(content, dict):
            return content
        return {
            key: self._table(value) if key == "map" and isinstance(value, dict) and "csv" in value
            else self._with_tables(value)
            for key, value in content.items()
        }  # fmt: skip

    def _table(self, spec: Mapping[str, Any]) -> dict[str, str]:
        """One column of a CSV file by another."""
        self._known("map", spec, ("csv", "key", "column"))
        path = self._folder / str(spec["csv"])
        try:
            with path.open(newline="") as file:
                rows = list(csv.DictReader(file))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise self._wrong("map", f"names the table {path}, which cannot be read ({error})") from error
        for name in ("key", "column"):
            if not rows or spec.get(name) not in rows[0]:
                found = ", ".join(rows[0]) if rows else "no row"
                raise self._wrong("map", f"wants the {name} {spec.get(name)!r} of {path.name}, which has {found}")
        return {row[spec["key"]]: row[spec["column"]] for row in rows}
