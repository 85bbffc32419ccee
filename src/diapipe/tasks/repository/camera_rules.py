"""Rules of a camera description: how one value (visit, gain, ...) is found from cards, the file name or the time."""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

type Value = str | int | float


@dataclass(frozen=True, slots=True)
class Source:
    """What a rule may look at.

    Attributes
    ----------
    cards
        By name, in capitals: those of the image, then those of the primary header.
    path
        Of the file, as it was given.
    begin
        When the exposure began (UTC), once it is known.
    """

    cards: Mapping[str, Any]
    path: str
    begin: datetime | None = None


class Rule:
    """A way to find a value; None where it is not there."""

    def value(self, source: Source) -> Value | None:
        """The value for this image."""
        raise NotImplementedError

    @property
    def words(self) -> str:
        """Where it looks, for messages."""
        raise NotImplementedError

    @property
    def needs_the_name(self) -> bool:
        """Whether it looks at the file's name, which a copy does not keep."""
        return False


@dataclass(frozen=True, slots=True)
class Card(Rule):
    """A header card."""

    name: str

    def value(self, source: Source) -> Value | None:
        """What it says; nothing for a blank one or a switch."""
        found = source.cards.get(self.name)
        if isinstance(found, str):
            found = found.strip() or None
        return None if isinstance(found, bool) or not isinstance(found, str | int | float) else found

    @property
    def words(self) -> str:
        """As a person would say it."""
        return f"card {self.name}"


@dataclass(frozen=True, slots=True)
class Constant(Rule):
    """The same for every image."""

    constant: Value

    def value(self, source: Source) -> Value | None:
        """The constant."""
        return self.constant

    @property
    def words(self) -> str:
        """As a person would say it."""
        return repr(self.constant)


@dataclass(frozen=True, slots=True)
class FileName(Rule):
    """What a regular expression catches in the name of the file, or in its whole path."""

    pattern: re.Pattern[str]
    whole_path: bool = False

    def value(self, source: Source) -> Value | None:
        """The text caught."""
        return caught(self.pattern, source.path if self.whole_path else source.path.rpartition("/")[2])

    @property
    def words(self) -> str:
        """As a person would say it."""
        return f"{'path' if self.whole_path else 'file name'} matching {self.pattern.pattern!r}"

    @property
    def needs_the_name(self) -> bool:
        """It does."""
        return True


@dataclass(frozen=True, slots=True)
class BeginTime(Rule):
    """The begin of the exposure (UTC), written by a pattern of strftime that may hold cards in braces."""

    pattern: str

    def value(self, source: Source) -> Value | None:
        """The text, as for `Text`."""
        return None if source.begin is None else Text(source.begin.strftime(self.pattern)).value(source)

    @property
    def words(self) -> str:
        """As a person would say it."""
        return "time of the exposure"


_FIELD = re.compile(r"\{([^{}:]+)(?::([^{}]*))?\}")


@dataclass(frozen=True, slots=True)
class Text(Rule):
    """A text with cards in braces, each with a format if wanted: ``{NIGHT}{RUN:05d}``."""

    template: str

    def value(self, source: Source) -> Value | None:
        """The text; None if a card is missing or does not fit its format."""
        try:
            return _FIELD.sub(lambda found: self._filled(found, source), self.template)
        except (LookupError, ValueError):
            return None

    @staticmethod
    def _filled(found: re.Match[str], source: Source) -> str:
        value = Card(found.group(1).strip().upper()).value(source)
        if value is None:
            raise LookupError(found.group(1))
        form = found.group(2) or ""
        if isinstance(value, str) and form.endswith("d"):
            value = int(value)
        return format(value, form)

    @property
    def words(self) -> str:
        """As a person would say it."""
        return f"text {self.template!r}"


_OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {"min": min, "max": max, "int": int, "round": round, "abs": abs}


@dataclass(frozen=True, slots=True)
class Computed(Rule):
    """Arithmetic with cards in braces: ``({CCDID} - 1) * 4 + {QID} - 1``; also min, max, int, round and abs."""

    template: str

    def value(self, source: Source) -> Value | None:
        """The number; None if a card is missing or no number, or it cannot be computed."""
        text = Text(re.sub(r"\{([^{}:]+)\}", r"({\1})", self.template)).value(source)
        try:
            result = None if text is None else _number(ast.parse(str(text), mode="eval").body)
        except (ArithmeticError, SyntaxError, TypeError, ValueError):
            return None
        return result if result is not None and math.isfinite(result) else None

    @property
    def words(self) -> str:
        """As a person would say it."""
        return self.template


def _number(node: ast.AST) -> int | float:
    """Value of an expression of numbers; ValueError for anything else."""
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return value
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _OPERATORS:
            result: int | float = _OPERATORS[type(sign)](_number(left), _number(right))
            return result
        case ast.UnaryOp(op=sign, operand=operand) if type(sign) in _OPERATORS:
            return _OPERATORS[type(sign)](_number(operand))  # type: ignore[no-any-return]
        case ast.Call(func=ast.Name(id=name), args=values, keywords=[]) if name in _FUNCTIONS:
            return _FUNCTIONS[name](*(_number(value) for value in values))  # type: ignore[no-any-return]
    raise ValueError(f"{type(node).__name__} is not arithmetic")


def check_arithmetic(template: str) -> None:
    """Refuse, before any file is read, what no card could make a number of; ValueError says why."""
    try:
        _number(ast.parse(_FIELD.sub("(2)", template), mode="eval").body)
    except SyntaxError as error:
        raise ValueError(f"{template!r} is not arithmetic") from error
    except ArithmeticError:
        return


@dataclass(frozen=True, slots=True)
class Changed(Rule):
    """A value of another rule, matched, translated and scaled, in this order.

    Attributes
    ----------
    rule
        Where it comes from.
    match
        What of its text counts; None for all.
    translations
        Value for each text; a text that is not among them gives no value. Empty for no translation.
    times, plus
        Applied to the number that it must then be.
    """

    rule: Rule
    match: re.Pattern[str] | None = None
    translations: Mapping[str, Value] = field(default_factory=dict)
    times: float = 1
    plus: float = 0

    def value(self, source: Source) -> Value | None:
        """The value, None if a step finds nothing."""
        found = self.rule.value(source)
        if found is not None and self.match is not None:
            found = caught(self.match, str(found))
        if found is not None and self.translations:
            found = self.translations.get(str(found))
        if found is None or (self.times, self.plus) == (1, 0):
            return found
        value = number_of(found)
        return None if value is None else value * self.times + self.plus

    @property
    def words(self) -> str:
        """As a person would say it."""
        return self.rule.words if self.match is None else f"{self.rule.words} matching {self.match.pattern!r}"

    @property
    def needs_the_name(self) -> bool:
        """As the rule that it changes."""
        return self.rule.needs_the_name


@dataclass(frozen=True, slots=True)
class FirstOf(Rule):
    """The first of several rules that finds something."""

    rules: tuple[Rule, ...]

    def value(self, source: Source) -> Value | None:
        """Of the first that has one."""
        return next((found for rule in self.rules if (found := rule.value(source)) is not None), None)

    @property
    def words(self) -> str:
        """As a person would say it."""
        return " or ".join(rule.words for rule in self.rules)

    @property
    def needs_the_name(self) -> bool:
        """Whether one of them does."""
        return any(rule.needs_the_name for rule in self.rules)


def caught(pattern: re.Pattern[str], text: str) -> str | None:
    """What the groups of a pattern catch, one behind the other, or the whole match if it has none; None without."""
    found = pattern.search(text)
    if found is None:
        return None
    return "".join(group or "" for group in found.groups()) if pattern.groups else found.group()


def number_of(value: Value | None) -> float | int | None:
    """The number that a value is or spells; None if it is none."""
    if value is None or isinstance(value, int | float):
        return value
    try:
        return int(value)
    except ValueError:
        pass
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
