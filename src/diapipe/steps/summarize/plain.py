"""Plain values: what JSON can hold, and nothing it cannot."""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

SIGNIFICANT_DIGITS = 12
"""Of a single number: enough for a time in days."""
ARRAY_DIGITS = 6
"""Of the entries of an array: more than they are worth, and a third of the file."""


def plain(value: object) -> Any:
    """The value as dicts, lists, strings, numbers, booleans and None, of strict JSON: NaN and infinity become None.

    Parameters
    ----------
    value
        Any nesting of mappings, sequences, dataclasses, arrays, NumPy scalars, enums and paths; anything else is
        written as its string.
    """
    match value:
        case None | bool() | str():
            return value
        case enum.Enum():
            return value.name
        case np.generic():
            return plain(value.item())
        case np.ndarray() if value.ndim == 0:
            return plain(value.item())
        case np.ndarray():
            return [plain(entry) for entry in value] if value.ndim > 1 else [_of_array(v) for v in value.tolist()]
        case int():
            return value
        case float():
            return _rounded(value)
        case Path():
            return str(value)
        case Mapping():
            return {str(key): plain(entry) for key, entry in value.items()}
        case list() | tuple() | set() | frozenset():
            return [plain(entry) for entry in value]
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        case _:
            return str(value)


def _of_array(entry: object) -> Any:
    """An entry of an array, its last digits left out."""
    return _rounded(entry, ARRAY_DIGITS) if isinstance(entry, float) else plain(entry)


def _rounded(value: float, digits: int = SIGNIFICANT_DIGITS) -> float | None:
    """The number to so many significant digits; None if it is not finite."""
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None
