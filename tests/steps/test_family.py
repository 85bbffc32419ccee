"""Family: names to algorithms."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import EntryPoint, EntryPoints

import pytest

from diapipe.errors import UsageError
from diapipe.steps import family as family_module
from diapipe.steps.family import Family


@dataclass(frozen=True, kw_only=True)
class Nearest:
    radius_arcsec: float = 0.5


@dataclass(frozen=True, kw_only=True)
class Brightest:
    flux_njy: float = 1.0


FAMILY: Family[object] = Family("associate", {"nearest": Nearest, "brightest": Brightest})


def test_a_family_is_a_mapping_in_the_order_given():
    assert list(FAMILY) == ["nearest", "brightest"]
    assert len(FAMILY) == 2
    assert FAMILY["brightest"] is Brightest


def test_the_first_member_is_the_default():
    assert FAMILY.default == "nearest"


def test_make_passes_the_parameters_on():
    assert FAMILY.make("nearest", radius_arcsec=1.5) == Nearest(radius_arcsec=1.5)


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(UsageError, match="no way to associate is called 'farthest'; choose one of nearest, brightest"):
        FAMILY.make("farthest")


def test_an_unknown_parameter_is_wrong_use():
    with pytest.raises(UsageError, match=r"cannot associate by 'nearest': .*radius_px"):
        FAMILY.make("nearest", radius_px=3)


def test_the_members_cannot_be_changed_from_outside():
    """The dictionary handed in is copied: what a caller does to it later changes no family."""
    members = {"nearest": Nearest}
    family = Family("associate", members)
    members["brightest"] = Brightest
    assert list(family) == ["nearest"]


def with_entry_points(monkeypatch, **values):
    """A family to which another package adds members."""
    points = EntryPoints(EntryPoint(name, value, "some.group") for name, value in values.items())
    monkeypatch.setattr(family_module, "entry_points", lambda *, group: points.select(group=group))
    return Family("associate", {"nearest": Nearest}, group="some.group")


def test_another_package_adds_a_member(monkeypatch):
    """It is listed after ours, imported when asked for, and cannot take the place of one of ours."""
    family = with_entry_points(monkeypatch, farthest="collections:OrderedDict", nearest="collections:Counter")
    assert list(family) == ["nearest", "farthest"]
    assert family.default == "nearest"
    assert family["nearest"] is Nearest
    assert family.make("farthest") == {}


@pytest.mark.parametrize("value", ["no.such.module:Thing", "collections:no_such_name"])
def test_a_member_that_cannot_be_imported_is_named(monkeypatch, value):
    family = with_entry_points(monkeypatch, farthest=value)
    assert "farthest" in family
    with pytest.raises(UsageError, match=f"to associate called 'farthest' cannot be loaded from {value}: "):
        family.make("farthest")
