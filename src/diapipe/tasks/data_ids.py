"""Data as the older drivers choose it, ``--id visit=1^2 detector=0..188``, in the query language of the Butler."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from diapipe.errors import UsageError

type OldDataId = dict[str, list[str]]
"""By key: values and ranges of them, any of which is meant."""

_NUMBER = re.compile(r"\d+(\.\.\d+(:[1-9]\d*)?)?")
_PATCH = re.compile(r"(\d+),(\d+)")

NUMBERS = {"visit": "visit", "expId": "visit", "exposure": "visit", "detector": "detector", "tract": "tract"}
WORDS = {
    "filter": "band",
    "band": "band",
    "physical_filter": "physical_filter",
    "raft": "detector.raft",
    "raftName": "detector.raft",
    "detectorName": "detector.name_in_raft",
    "instrument": "instrument",
    "skymap": "skymap",
}


def parsed(words: Sequence[str], *, ccd_key: str = "ccd") -> OldDataId:
    """The words after one ``--id``.

    Parameters
    ----------
    words
        Each ``key=value``; a value is a number, a range ``a..b`` with both its ends, ``a..b:step``, a name, a patch
        ``column,row``, or several of them joined by ``^``.
    ccd_key
        Another key that means the detector.

    Raises
    ------
    UsageError
        If a word cannot be understood; it is named, and what could be.
    """
    found: OldDataId = {}
    for word in words:
        key, equals, values = word.partition("=")
        key = "detector" if key in (ccd_key, "ccd") else key
        if not equals or not values:
            raise UsageError(f"--id takes key=value, such as visit=1^2 or detector=0..3, and not {word!r}")
        if key not in (*NUMBERS, *WORDS, "patch"):
            raise UsageError(f"--id knows {', '.join((*NUMBERS, ccd_key, *WORDS, 'patch'))}, and not {key!r}")
        found[key] = values.split("^")
        for value in found[key]:
            _check(key, value)
    return found


def _check(key: str, value: str) -> None:
    """Refuse a value that is none."""
    if key in NUMBERS and not _NUMBER.fullmatch(value):
        raise UsageError(f"--id {key} takes numbers and ranges such as 1^5..9 or 0..188:2, and not {value!r}")
    if key == "patch" and not (_PATCH.fullmatch(value) or _NUMBER.fullmatch(value)):
        raise UsageError(f"--id patch takes column,row such as 1,2, or a number, and not {value!r}")
    if key in WORDS and (not value or "'" in value):
        raise UsageError(f"--id {key} takes a name, and not {value!r}")


def condition(ids: Iterable[OldDataId], *, left_out: Iterable[int] = ()) -> str:
    """What any of these data IDs means, as a condition of the Butler; empty where nothing is restricted.

    Parameters
    ----------
    ids
        From `parsed`; one without keys means everything.
    left_out
        Detectors that are not meant.
    """
    each = [" AND ".join(_term(key, values) for key, values in found.items()) for found in ids]
    some = "" if "" in each or not each else " OR ".join(f"({one})" if len(each) > 1 else one for one in each)
    numbers = sorted(set(left_out))
    out = f"detector NOT IN ({', '.join(map(str, numbers))})" if numbers else ""
    if some and out:
        return f"({some}) AND {out}"
    return some or out


def _term(key: str, values: Sequence[str]) -> str:
    """One key."""
    if key == "patch":
        return _patches(values)
    if key in NUMBERS:
        return f"{NUMBERS[key]} IN ({', '.join(values)})"
    return "{} IN ({})".format(WORDS[key], ", ".join(f"'{value}'" for value in values))


def _patches(values: Sequence[str]) -> str:
    """Patches by column and row, or by number."""
    cells = [found.groups() for found in map(_PATCH.fullmatch, values) if found]
    terms = [f"(patch.cell_x = {column} AND patch.cell_y = {row})" for column, row in cells]
    numbers = [value for value in values if not _PATCH.fullmatch(value)]
    terms += [f"patch IN ({', '.join(numbers)})"] if numbers else []
    return terms[0] if len(terms) == 1 else f"({' OR '.join(terms)})"


def meant(ids: Iterable[OldDataId], numbers: Iterable[int]) -> list[int]:
    """Which of these detectors the data IDs mean; all, where one says nothing of detectors."""
    listed = [found["detector"] for found in ids if "detector" in found]
    every = len(listed) == 0 or any("detector" not in found for found in ids)
    return sorted(n for n in set(numbers) if every or any(_holds(value, n) for values in listed for value in values))


def _holds(value: str, number: int) -> bool:
    """Whether a number or a range of them has this one."""
    first, _, rest = value.partition("..")
    last, _, step = rest.partition(":")
    return number in range(int(first), int(last or first) + 1, int(step or 1))
