"""From the parameters of the core to fields of pex_config and back: default and meaning are written once, there."""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
from lsst.pex.config import ChoiceField, Config, Field, FieldValidationError, ListField

from diapipe.errors import InternalError, UsageError

_TARGET = "core_parameter"
"""Attribute under which a field of pex_config keeps its `Target`; it survives the copies that pex_config makes."""


def same(value: Any) -> Any:
    """The value as it is."""
    return value


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """Where the value of a field goes.

    Attributes
    ----------
    owner, parameter
        Dataclass of the core and its field.
    into
        From the value of the config to that of the parameter; None is passed on as None.
    """

    owner: type
    parameter: str
    into: Callable[[Any], Any]


class SettingsError(FieldValidationError, UsageError):
    """A configuration that cannot work, in one sentence: the fields, and the cure."""

    def __init__(self, field: Field[Any], config: Config, sentence: str) -> None:
        FieldValidationError.__init__(self, field, config, sentence)
        self.args = (sentence,)
        self.context = {"field": self.fullname}

    def __reduce__(self) -> tuple[object, ...]:
        return UsageError, self.args


def option(
    owner: type,
    parameter: str,
    *,
    into: Callable[[Any], Any] = same,
    shown: Callable[[Any], Any] = same,
    doc: str | None = None,
    default: Any = dataclasses.MISSING,
    choices: dict[Any, Any] | None = None,
) -> Any:
    """A field for one parameter of the core: its type, default and meaning are those of the dataclass.

    Parameters
    ----------
    owner, parameter
        Dataclass of the core and the name of its field.
    into, shown
        Conversions from the value of the field to that of the parameter and back, where the older name stands for
        another unit (a side for a half-size).
    doc
        Meaning, where the older field has another than the parameter.
    default
        Where the older default is part of what the name promises.
    choices
        Older names of the values that the parameter can have.

    Returns
    -------
    Field
        Optional where the parameter may be None (chosen from the data), a ChoiceField for a Literal, a ListField for
        a tuple.
    """
    value = _default_of(owner, parameter) if default is dataclasses.MISSING else default
    if choices is not None:
        into, shown = choices.__getitem__, {own: name for name, own in choices.items()}.__getitem__
    hint, optional = _without_none(typing.get_type_hints(owner)[parameter])
    shown_value = None if value is None else shown(value)
    if isinstance(shown_value, np.generic):
        shown_value = shown_value.item()
    meaning = doc or _meaning(owner, parameter)
    origin = typing.get_origin(hint)
    field: Any
    if origin is typing.Literal:
        names = choices or typing.get_args(hint)
        allowed = dict.fromkeys(names, f"see {owner.__name__}.{parameter}")
        kind = type(next(iter(allowed)))
        field = ChoiceField(doc=meaning, dtype=kind, allowed=allowed, default=shown_value, optional=optional)
    elif origin is tuple or isinstance(shown_value, list):
        element = typing.get_args(hint)[0] if origin is tuple else str
        chosen = None if shown_value is None else list(shown_value)
        field = ListField(doc=meaning, dtype=element, default=chosen, optional=optional)
    else:
        kind = hint if shown_value is None else type(shown_value)
        field = Field(doc=meaning, dtype=kind, default=shown_value, optional=optional)
    setattr(field, _TARGET, Target(owner, parameter, into))
    return field


def fixed(default: Any, doc: str, why: str) -> Any:
    """A field of the older tasks of which one value alone makes sense here: any other is refused with the reason.

    Parameters
    ----------
    default
        The value that it has.
    doc
        What it meant.
    why
        End of the sentence that refuses another value, after "because".
    """
    meaning = f"{doc} Only {default!r} is possible, because {why}."
    element = type(default[0]) if isinstance(default, list) and default else str
    field: Any = (
        ListField(doc=meaning, dtype=element, default=default)
        if isinstance(default, list)
        else Field(doc=meaning, dtype=type(default), default=default)
    )
    field.why_fixed = why
    return field


def idle(default: Any, doc: str, why: str) -> Any:
    """A field of the older tasks that takes any value and changes nothing, for what it did has another answer here.

    Parameters
    ----------
    default
        Its older default.
    doc
        What it meant.
    why
        End of the sentence that says so, after "because".
    """
    meaning = f"{doc} Without effect, because {why}."
    if isinstance(default, list):
        return ListField(doc=meaning, dtype=type(default[0]), default=default)
    return Field(doc=meaning, dtype=type(default), default=default)


class OptionConfig(Config):
    """Config of a subtask: some of its fields are parameters of the core, some are fixed."""

    def validate(self) -> None:
        """Refuse what is fixed, and what the core refuses.

        Raises
        ------
        SettingsError
            With one sentence.
        """
        Config.validate(self)
        for name, field in self._fields.items():
            why = getattr(field, "why_fixed", None)
            value = getattr(self, name)
            if why is not None and (list(value) if isinstance(field, ListField) else value) != field.default:
                raise self.refusal(name, f"{name} can only be {field.default!r}, not {value!r}: {why}")
        for owner in dict.fromkeys(target.owner for target in map(target_of, self._fields.values()) if target):
            if not inspect.isabstract(owner):
                field = next(field for field, _ in _fields_for(self, owner))
                self.require(field.name, partial(options_of, self, owner))

    def refusal(self, name: str, sentence: str) -> SettingsError:
        """The error that refuses the value of a field."""
        return SettingsError(self._fields[name], self, sentence)

    def require(self, name: str, make: Callable[[], object]) -> None:
        """Try to make options, so that a value out of range is told of when the configuration is read.

        Parameters
        ----------
        name
            Field that the error is about, unless it is about a parameter that a field stands for.
        make
            Makes them.

        Raises
        ------
        SettingsError
            If they cannot be made.
        """
        try:
            make()
        except UsageError as error:
            parameter = error.context.get("field")
            own = [f.name for f in self._fields.values() if (t := target_of(f)) and t.parameter == parameter]
            field = own[0] if own else name
            raise self.refusal(field, f"{field}: {error}") from error


def options_of[T](config: Config, owner: type[T], **given: Any) -> T:
    """The options of the core that a config asks for.

    Parameters
    ----------
    config
        Has fields made by `option` for ``owner``.
    owner
        Dataclass to make.
    **given
        Parameters that do not come from the config.

    Raises
    ------
    UsageError
        If a value is out of range.
    """
    return owner(**(parameters_of(config, owner) | given))


def parameters_of(config: Config, owner: type) -> dict[str, Any]:
    """Parameters of a dataclass of the core, by name, as the fields of a config that stand for them say."""
    values = {}
    for field, target in _fields_for(config, owner):
        value = getattr(config, field.name)
        value = tuple(value) if isinstance(field, ListField) and value is not None else value
        values[target.parameter] = None if value is None else target.into(value)
    return values


def target_of(field: Any) -> Target | None:
    """Where the value of a field goes, or None if it is no parameter of the core."""
    found = getattr(field, _TARGET, None)
    return found if isinstance(found, Target) else None


def _fields_for(config: Config, owner: type) -> list[tuple[Field[Any], Target]]:
    """The fields that make the options of one dataclass."""
    found = [(field, target_of(field)) for field in config._fields.values()]
    return [(field, target) for field, target in found if target is not None and target.owner is owner]


def _default_of(owner: type, parameter: str) -> Any:
    """Default of a dataclass field."""
    found = next((f for f in dataclasses.fields(owner) if f.name == parameter), None)
    if found is None or found.default is dataclasses.MISSING:
        raise InternalError(f"{owner.__name__} has no parameter {parameter} with a plain default")
    return found.default


def _without_none(hint: Any) -> tuple[Any, bool]:
    """A type without its None, and whether it had one."""
    if isinstance(hint, types.UnionType):
        others = [kind for kind in typing.get_args(hint) if kind is not type(None)]
        return others[0], True
    return hint, False


def _meaning(owner: type, parameter: str) -> str:
    """What the docstring of a dataclass, or of one that it is made from, says of a parameter."""
    for kind in owner.__mro__:
        found = _documented(kind).get(parameter)
        if found is not None:
            return found
    raise InternalError(f"{owner.__name__} does not explain its parameter {parameter}")


@cache
def _documented(kind: type) -> dict[str, str]:
    """The Attributes section of a class by name; names that share an entry share its text."""
    text = inspect.cleandoc(kind.__dict__.get("__doc__") or "")
    section = re.search(r"^Attributes\n-+\n(.*?)(?=^\w[^\n]*\n-+\n|\Z)", text, re.MULTILINE | re.DOTALL)
    meanings = {}
    for names, body in re.findall(
        r"^(\w[^\n]*)\n((?:(?: +[^\n]*)?(?:\n|\Z))+)", section[1] if section else "", re.MULTILINE
    ):
        meanings.update(dict.fromkeys((name.strip() for name in names.split(",")), " ".join(body.split())))
    return meanings
