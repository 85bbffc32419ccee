"""Record: an object of diapipe as FITS holds it: a kind with a version, scalar cards, one array, named parts.

A small record is an HDU, and one for each of its parts. A deep one is packed in two HDUs: all its numbers in a row, and
its tree as text. The PSF of a stack of a hundred images is three hundred records, and every look at the file, for its
WCS say, would read so many headers. What is one object in memory is written once and one object again when read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from astropy.io import fits

from diapipe.errors import ReadError
from diapipe.io.exact_values import card_holds, read_text, text_hdu
from diapipe.io.fits_file import FitsFile

KIND, VERSION = "DPKIND", "DPVERS"
_PACKED, _TREE = "Packed", "TREE"
_MOST_HDUS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What one HDU (and those below it) says of an object.

    Attributes
    ----------
    kind
        Name of the object's class.
    version
        Of its layout; a reader refuses one that it does not know.
    cards
        Scalars by card name (8 capitals at most).
    array
        Numbers of any shape, or None.
    parts
        Records of the objects that it holds, by name; their HDUs are called ``<NAME>.<PART>``.
    """

    kind: str
    version: int = 1
    cards: Mapping[str, Any] = field(default_factory=dict)
    array: np.ndarray[Any, Any] | None = None
    parts: Mapping[str, Record] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """How many records it is, its parts and theirs counted."""
        return 1 + sum(part.size for part in self.parts.values())

    @property
    def is_plain(self) -> bool:
        """Whether cards hold all its scalars exactly."""
        return all(card_holds(key, value) for key, value in self.cards.items()) and all(
            part.is_plain for part in self.parts.values()
        )


def hdus_of(name: str, record: Record) -> list[fits.ImageHDU]:
    """The HDUs of a record and its parts: one each, or two where they are many or cards would round their scalars."""
    return _plain_hdus(name, record) if record.size <= _MOST_HDUS and record.is_plain else _packed_hdus(name, record)


def read_record(file: FitsFile, name: str) -> Record | None:
    """The record called ``name`` with its parts, or None if the file has none."""
    number = file.find(name)
    if number is None or KIND not in file.header(number):
        return None
    if file.header(number)[KIND] == _PACKED:
        return _unpacked(file, name)
    header, prefix = file.header(number), f"{name}."
    below = [other for other in file.names if other.startswith(prefix) and "." not in other.removeprefix(prefix)]
    parts = {other.removeprefix(prefix).lower(): read_record(file, other) for other in below}
    return Record(
        kind=str(header[KIND]),
        version=int(header.get(VERSION, 0)),
        cards=dict(header.items()),
        array=_array(file, number),
        parts={part: child for part, child in parts.items() if child is not None},
    )


def required(record: Record, *, versions: int = 1) -> np.ndarray[Any, Any]:
    """The array of a record; ReadError if it has none, or if the layout is newer than this program."""
    check_version(record, versions)
    if record.array is None:
        raise ReadError(f"the {record.kind} has no array")
    return record.array


def check_version(record: Record, newest: int = 1) -> None:
    """Refuse a layout that a later version of diapipe wrote."""
    if not 1 <= record.version <= newest:
        raise ReadError(
            f"the {record.kind} has layout version {record.version}; this diapipe reads versions up to {newest}"
        )


def _plain_hdus(name: str, record: Record) -> list[fits.ImageHDU]:
    hdu = fits.ImageHDU(data=None if record.array is None else _widened(record.array), name=name)
    hdu.header[KIND] = (record.kind, "class of diapipe")
    hdu.header[VERSION] = (record.version, "version of its layout")
    for key, value in record.cards.items():
        hdu.header[key] = value
    below = [hdu for part, child in record.parts.items() for hdu in _plain_hdus(f"{name}.{part.upper()}", child)]
    return [hdu, *below]


def _widened(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Whole numbers as int64, others as float64."""
    return np.asarray(array, dtype=np.int64 if array.dtype.kind in "iu" else np.float64)


def _array(file: FitsFile, number: int) -> np.ndarray[Any, Any] | None:
    data = file.data(number)
    return None if data is None else np.ascontiguousarray(data, dtype=data.dtype.newbyteorder("="))


@dataclass(slots=True)
class _Packing:
    """Numbers and nodes as they gather."""

    arrays: list[np.ndarray[Any, Any]] = field(default_factory=list)
    places: dict[int, list[Any]] = field(default_factory=dict)
    nodes: dict[str, int] = field(default_factory=dict)
    length: int = 0

    def place_of(self, array: np.ndarray[Any, Any]) -> list[Any]:
        """Start and shape of an array in the row of numbers, at the end of which it is put if it is not there."""
        if id(array) not in self.places:
            self.places[id(array)] = [self.length, list(array.shape)]
            self.arrays.append(array)  # keeps it, and so its id, alive
            self.length += array.size
        return self.places[id(array)]

    def node_of(self, record: Record) -> int:
        """Number of a record's node; equal records have one."""
        node = {
            "kind": record.kind,
            "version": record.version,
            "cards": {
                key: value.item() if isinstance(value, np.generic) else value for key, value in record.cards.items()
            },
            "array": None if record.array is None else self.place_of(record.array),
            "parts": {name: self.node_of(part) for name, part in record.parts.items()},
        }
        return self.nodes.setdefault(json.dumps(node), len(self.nodes))


def _packed_hdus(name: str, record: Record) -> list[fits.ImageHDU]:
    packing = _Packing()
    packing.node_of(record)  # parts come before what they belong to, so the record itself is the last
    numbers = np.concatenate([np.zeros(0), *(np.ravel(array) for array in packing.arrays)], dtype=np.float64)
    hdu = fits.ImageHDU(data=numbers, name=name)
    hdu.header[KIND] = (_PACKED, "the numbers of a tree of objects")
    hdu.header[VERSION] = (1, "version of its layout")
    return [hdu, text_hdu(f"{name}.{_TREE}", [json.loads(node) for node in packing.nodes])]


def _unpacked(file: FitsFile, name: str) -> Record:
    """The record that `_packed_hdus` wrote; parts that were one object are one again."""
    number = file.find(name)
    data = None if number is None else _array(file, number)
    numbers = np.zeros(0) if data is None else data
    found: list[Record] = []
    try:
        for node in read_text(file, f"{name}.{_TREE}"):
            array = None if node["array"] is None else _taken(numbers, *node["array"])
            parts = {part: found[at] for part, at in node["parts"].items()}
            found.append(Record(**{**node, "array": array, "parts": parts}))
        return found[-1]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise ReadError(f"{file.name}: the record {name} is damaged ({error})") from error


def _taken(numbers: np.ndarray[Any, Any], start: int, shape: list[int]) -> np.ndarray[Any, Any]:
    return numbers[start : start + math.prod(shape)].reshape(shape)
