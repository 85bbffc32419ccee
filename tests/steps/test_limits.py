"""Limited: parameters that can mean nothing are refused where they are given, by every step alike."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest

from diapipe.errors import UsageError
from diapipe.io import ReadOptions
from diapipe.recipe import Recipe
from diapipe.steps.associate import ASSOCIATORS
from diapipe.steps.characterize import ScaleVariance
from diapipe.steps.coadd import COADDERS
from diapipe.steps.decorrelate import DECORRELATORS
from diapipe.steps.detect import DETECTORS
from diapipe.steps.filter import DiaSourceFilter
from diapipe.steps.force import Force, LocalBackground
from diapipe.steps.limits import Limited
from diapipe.steps.match import CANDIDATES, MATCHERS, REDUCTIONS, ROUGHNESSES, STRENGTHS
from diapipe.steps.select import SELECTORS, KernelSources
from diapipe.steps.subtract import PRECONVOLUTIONS, SUBTRACTORS
from diapipe.steps.template import REGISTERS, WARPS


def groups(options: Any) -> Iterator[Any]:
    """The dataclass and all that it holds."""
    yield options
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if dataclasses.is_dataclass(value):
            yield from groups(value)


KERNEL_PARTS = (CANDIDATES, REDUCTIONS, ROUGHNESSES, STRENGTHS)
FAMILIES = (
    MATCHERS,
    *KERNEL_PARTS,
    SUBTRACTORS,
    DECORRELATORS,
    PRECONVOLUTIONS,
    DETECTORS,
    WARPS,
    REGISTERS,
    SELECTORS,
    COADDERS,
    ASSOCIATORS,
)
MEMBERS = [family.make(name) for family in FAMILIES for name in family]
GROUPS = (
    Recipe(),
    ReadOptions(),
    ScaleVariance(),
    KernelSources(),
    Force(),
    LocalBackground(),
    DiaSourceFilter(),
    *MEMBERS,
)
OPTIONS = {type(group): group for whole in GROUPS for group in groups(whole)}


def numbers(options: Any) -> list[tuple[str, bool]]:
    """Names of the numeric fields, and whether they are tuples."""
    hints = {field.name: str(field.type) for field in dataclasses.fields(options)}
    return [(name, "tuple" in hint) for name, hint in hints.items() if "int" in hint or "float" in hint]


FIELDS = [(kind, name, is_tuple) for kind, options in OPTIONS.items() for name, is_tuple in numbers(options)]
IDS = [f"{kind.__name__}.{name}" for kind, name, _ in FIELDS]


@pytest.mark.parametrize(("kind", "name", "is_tuple"), FIELDS, ids=IDS)
def test_no_step_takes_a_number_without_meaning(kind, name, is_tuple):
    """NaN never, negative numbers and zero only where the class says what they mean."""

    def with_value(number: float) -> Any:
        return dataclasses.replace(OPTIONS[kind], **{name: (1, number) if is_tuple else number})

    with pytest.raises(UsageError, match=rf"{name} of {kind.__name__} must be a number, not nan"):
        with_value(float("nan"))
    if name not in kind.any_sign:
        with pytest.raises(UsageError, match=rf"{name} of {kind.__name__} must be .*positive, not -1"):
            with_value(-1)
        if name not in kind.may_be_zero:
            with pytest.raises(UsageError, match=rf"{name} of {kind.__name__} must be positive, not 0"):
                with_value(0)
    if name in kind.shares:
        with pytest.raises(UsageError, match=r"must be at most 1, not 1\.5"):
            with_value(1.5)


@pytest.mark.parametrize("kind", sorted({kind for kind, *_ in FIELDS}, key=str), ids=lambda kind: kind.__name__)
def test_every_group_of_numbers_is_limited_and_names_fields_that_it_has(kind):
    assert issubclass(kind, Limited)
    names = {field.name for field in dataclasses.fields(kind)}
    assert {*kind.may_be_zero, *kind.any_sign, *kind.shares} <= names


def test_what_has_a_meaning_is_taken():
    """Zero and negative numbers where the class allows them, infinity as a limit never reached, None as unknown."""
    ReadOptions(zero_point_mag=-2.5, hdu=0, read_noise_e=0.0)
    dataclasses.replace(Recipe().detector, threshold_sigma=float("inf"), grow_sigma=0.0)
