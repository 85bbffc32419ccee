"""Fields made of the core's parameters: type, default and meaning are those of the dataclass."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import pytest
from lsst.pex.config import ChoiceField, Config, FieldValidationError, ListField

from diapipe.errors import InternalError, UsageError
from diapipe.steps.limits import Limited
from diapipe.tasks.fields import OptionConfig, SettingsError, fixed, idle, option, options_of, parameters_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Base(Limited):
    """What all have.

    Attributes
    ----------
    half_px
        Half-size;
        of two lines.
    """

    half_px: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Options(Base):
    """An example.

    Attributes
    ----------
    low, high
        Ends of a range.
    way
        One of two.
    sides
        Several.

    Notes
    -----
    Not part of the attributes.
    """

    low: float = 1.0
    high: float = 2.0
    way: Literal["fast", "slow"] = "fast"
    sides: tuple[int, ...] = (1, 2)
    group: dict[str, int] = field(default_factory=dict)


class ExampleConfig(OptionConfig):
    """The example under older names."""

    size = option(Options, "half_px", into=lambda side: side // 2, shown=lambda half: 2 * half + 1)
    low_end = option(Options, "low")
    high_end = option(Options, "high", default=5.0, doc="Own words.")
    kind = option(Options, "way", choices={"QUICK": "fast", "THOROUGH": "slow"})
    sides = option(Options, "sides")
    never = fixed(False, "What it was.", "it makes no sense")
    nothing = idle(7.0, "What it did.", "something else does it")


def test_type_default_and_meaning_come_from_the_dataclass():
    fields = ExampleConfig._fields
    assert (fields["low_end"].dtype, fields["low_end"].default) == (float, 1.0)
    assert fields["low_end"].doc == "Ends of a range."
    assert fields["size"].doc == "Half-size; of two lines."
    assert (fields["size"].dtype, fields["size"].optional, fields["size"].default) == (int, True, None)
    assert fields["high_end"].doc == "Own words."
    assert isinstance(fields["sides"], ListField)
    assert isinstance(fields["kind"], ChoiceField)


def test_a_config_becomes_the_options():
    """Conversions are applied, None stays None, a tuple is one again, and what is given comes on top."""
    config = ExampleConfig()
    assert options_of(config, Options) == Options(high=5.0)
    config.size, config.kind, config.sides = 21, "THOROUGH", [3]
    assert options_of(config, Options, low=0.5) == Options(half_px=10, way="slow", sides=(3,), low=0.5, high=5.0)
    assert parameters_of(config, Base) == {}


def test_values_out_of_range_are_told_by_the_older_name():
    config = ExampleConfig()
    config.low_end = -1.0
    with pytest.raises(SettingsError, match=r"^low_end: low of Options must be positive, not -1$") as told:
        config.validate()
    assert isinstance(told.value, FieldValidationError)
    assert isinstance(told.value, UsageError)


def test_what_is_fixed_is_refused_and_what_is_idle_is_not():
    config = ExampleConfig()
    config.nothing = 3.0
    config.validate()
    config.never = True
    with pytest.raises(SettingsError, match=r"^never can only be False, not True: it makes no sense$"):
        config.validate()
    assert "Without effect, because something else does it." in ExampleConfig._fields["nothing"].doc


@pytest.mark.parametrize("parameter", ["group", "unknown"])
def test_what_is_no_plain_parameter_makes_no_field(parameter):
    with pytest.raises(InternalError, match=f"Options has no parameter {parameter} with a plain default"):
        option(Options, parameter)


def test_a_field_survives_inheritance():
    """pex_config copies fields for every class; the parameter stays with them."""

    class Derived(ExampleConfig):
        """One more."""

    config = Derived()
    config.low_end = 1.5
    assert options_of(config, Options).low == 1.5
    assert issubclass(Derived, Config)
