"""Limited: parameters that refuse a number that can mean nothing, before any work is done with it."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, ClassVar

from diapipe.errors import UsageError


class Limited:
    """Base of the dataclasses of parameters: every number in them is positive unless the class says otherwise.

    None, texts, switches and nested groups are left alone; of a tuple every entry is looked at. Infinity is a number
    (a limit that nothing reaches), NaN is none.

    Raises
    ------
    UsageError
        If a number is out of its range; the message names class, field and value.
    """

    __slots__ = ()

    may_be_zero: ClassVar[tuple[str, ...]] = ()
    """Fields for which 0 has a meaning."""

    any_sign: ClassVar[tuple[str, ...]] = ()
    """Fields of which negative values have a meaning too."""

    shares: ClassVar[tuple[str, ...]] = ()
    """Fields that are parts of a whole: at most 1."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            for number in value if isinstance(value, tuple) else (value,):
                self._check(field.name, number)

    def _check(self, name: str, number: Any) -> None:
        """Refuse one value that is a number out of range."""
        if isinstance(number, bool) or not isinstance(number, int | float):
            return
        if math.isnan(number):
            needed = "a number"
        elif number < 0 and name not in self.any_sign:
            needed = "0 or positive" if name in self.may_be_zero else "positive"
        elif number == 0 and name not in self.may_be_zero + self.any_sign:
            needed = "positive"
        elif number > 1 and name in self.shares:
            needed = "at most 1"
        else:
            return
        raise UsageError(f"{name} of {type(self).__name__} must be {needed}, not {number:g}", field=name, value=number)
