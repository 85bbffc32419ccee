"""From a configuration file and options to a `Recipe`: a nested mapping with sections named as the recipe's fields."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diapipe.errors import ReadError, UsageError

if TYPE_CHECKING:
    from diapipe.recipe import Recipe
    from diapipe.steps.family import Family

type Settings = Mapping[str, Any]

NONE = "none"
"""As a method of a section that may be None: leave the step out."""


def read_settings(path: Path) -> dict[str, Any]:
    """The content of a TOML file; ReadError if there is none or it is not TOML."""
    import tomllib

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ReadError(f"cannot read the configuration {path}: {error.strerror}", path=str(path)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ReadError(f"the configuration {path} is not TOML: {error}", path=str(path)) from error


def merged(base: Settings, over: Settings) -> dict[str, Any]:
    """``base`` with the values of ``over`` on top, section by section; None in ``over`` leaves what is there."""
    result = dict(base)
    for key, value in over.items():
        if isinstance(value, Mapping):
            below = result.get(key, {})
            if not isinstance(below, Mapping):
                raise UsageError(f"[{key}] of the configuration must be a section, not {below!r}")
            result[key] = merged(below, value)
        elif value is not None:
            result[key] = value
    return result


def families() -> dict[str, Family[Any]]:
    """The sections in which ``method`` chooses an algorithm."""
    from diapipe.steps.classify import CLASSIFIERS
    from diapipe.steps.decorrelate import DECORRELATORS
    from diapipe.steps.detect import DETECTORS
    from diapipe.steps.match import CANDIDATES, MATCHERS, REDUCTIONS, ROUGHNESSES, STRENGTHS
    from diapipe.steps.subtract import PRECONVOLUTIONS, SUBTRACTORS
    from diapipe.steps.template import REGISTERS, WARPS

    return {
        "register": REGISTERS,
        "warp": WARPS,
        "matcher": MATCHERS,
        "matcher.candidates": CANDIDATES,
        "matcher.reduction": REDUCTIONS,
        "matcher.roughness": ROUGHNESSES,
        "matcher.strength": STRENGTHS,
        "subtractor": SUBTRACTORS,
        "decorrelator": DECORRELATORS,
        "preconvolution": PRECONVOLUTIONS,
        "detector": DETECTORS,
        "classifier": CLASSIFIERS,
    }


def by_method(method: str | None) -> dict[str, dict[str, str]]:
    """The settings that ``--method`` stands for: a matcher, whose kernel is applied to one image, or a subtractor of
    its own.

    Raises
    ------
    UsageError
        If there is none of that name; the message names those that there are.
    """
    if method is None:
        return {}
    from diapipe.steps.match import MATCHERS
    from diapipe.steps.subtract import SUBTRACTORS

    if method in MATCHERS:
        return {"matcher": {"method": method}, "subtractor": {"method": SUBTRACTORS.default}}
    others = [name for name in SUBTRACTORS if name != SUBTRACTORS.default]
    if method not in others:
        known = ", ".join([*MATCHERS, *others])
        raise UsageError(f"no way to subtract is called {method!r}; choose one of {known}")
    return {"subtractor": {"method": method}}


def by_searched(image: str | None) -> dict[str, dict[str, str]]:
    """The settings that ``--detect-on`` stands for: the first detector that searches that image."""
    if image is None:
        return {}
    from diapipe.steps.detect import DETECTORS

    return {"detector": {"method": next(name for name, member in DETECTORS.items() if member.searches == image)}}


def read_recipe(path: Path) -> Recipe:
    """The recipe of a configuration file in the Python syntax of LSST's tasks.

    Raises
    ------
    UsageError
        If the extra that reads it is not installed, or it asks for what two images do not bring.
    ReadError
        If it cannot be read.
    """
    try:
        from diapipe.tasks.recipes import recipe_of_file
    except ImportError as error:
        raise UsageError(
            f"the configuration {path} is one of LSST's tasks, for which the extra is needed: "
            "pip install 'diapipe[pipeline]'; or write the settings as TOML"
        ) from error
    return recipe_of_file(path)


def recipe_of(settings: Settings, *, base: Recipe | None = None) -> Recipe:
    """The recipe that settings ask for; what they do not name stays as in ``base``, the defaults where left out.

    Raises
    ------
    UsageError
        If a section or key does not exist (the message names those that do), or a value is of the wrong type.
    """
    from diapipe.recipe import Recipe

    default = base or Recipe()
    known = [f.name for f in dataclasses.fields(default)]
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise UsageError(f"no setting is called {unknown[0]!r}; there are {', '.join(known)}")
    hints = typing.get_type_hints(Recipe)
    values = {name: _value(name, getattr(default, name), given, hints[name]) for name, given in settings.items()}
    return dataclasses.replace(default, **values)


def _value(name: str, default: Any, given: Any, hint: Any) -> Any:
    """A field of the recipe: a section made into its algorithm, or a plain value.

    A field that may be None is so by ``method = "none"``, and by any other section begins as its type's default.
    """
    choices = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    optional = type(None) in choices
    if default is None and optional:
        default = next(choice for choice in choices if choice is not type(None))()
    if not isinstance(given, Mapping):
        if dataclasses.is_dataclass(default):
            raise UsageError(f"{name} must be a section ([{name}]), not {given!r}")
        return _typed(name, type(default), given)
    section = dict(given)
    method = section.pop("method", None)
    if method == NONE and optional:
        return None
    algorithm = default if method is None else _chosen(name, str(method), default)
    if not dataclasses.is_dataclass(algorithm) or isinstance(algorithm, type):
        raise UsageError(f"{name} is a single value, not a section")
    return dataclasses.replace(algorithm, **_fields(name, algorithm, section))


def _fields(name: str, algorithm: Any, section: Settings) -> dict[str, Any]:
    """The fields of an algorithm that a section sets, each of the right type; sections in it are its groups."""
    hints = typing.get_type_hints(type(algorithm))
    known = [f.name for f in dataclasses.fields(algorithm)]
    values = {}
    for key, given in section.items():
        if key not in known:
            raise UsageError(f"[{name}] has no setting {key!r}; there are {', '.join(known)}")
        is_group = dataclasses.is_dataclass(getattr(algorithm, key)) or isinstance(given, Mapping)
        values[key] = (
            _value(f"{name}.{key}", getattr(algorithm, key), given, hints[key])
            if is_group
            else _typed(f"{name}.{key}", hints[key], given)
        )
    return values


def _chosen(name: str, method: str, default: Any) -> Any:
    """The algorithm by name, with its own defaults."""
    family = families().get(name)
    if family is None:
        raise UsageError(f"[{name}] has one method only; leave out method = {method!r}")
    return default if type(default) is family.get(method) else family.make(method)


def _typed(name: str, hint: Any, value: Any) -> Any:
    """The value as the field's type: whole numbers serve as real ones, lists as tuples."""
    choices = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    for choice in choices:
        origin = typing.get_origin(choice) or choice
        if origin is typing.Literal and value in typing.get_args(choice):
            return value
        if origin is tuple and isinstance(value, list):
            return tuple(_typed(name, typing.get_args(choice)[0], entry) for entry in value)
        if origin is float and isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        if isinstance(origin, type) and type(value) is origin:
            return value
    wanted = " or ".join(_named(choice) for choice in choices if choice is not type(None))
    raise UsageError(f"{name} must be {wanted}, not {value!r}")


def _named(hint: Any) -> str:
    """A type as a person calls it."""
    if typing.get_origin(hint) is typing.Literal:
        return " or ".join(map(str, typing.get_args(hint)))
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", tuple: "a list"}
    return names.get(typing.get_origin(hint) or hint, str(hint))
