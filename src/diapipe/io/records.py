"""Record: an object of diapipe as FITS holds it: a kind with a version, scalar cards, one array, named parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from astropy.io import fits

from diapipe.errors import ReadError
from diapipe.io.fits_file import FitsFile

KIND, VERSION = "DPKIND", "DPVERS"
_OWN = ("DPKIND", "DPVERS")


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


def hdus_of(name: str, record: Record) -> list[fits.ImageHDU]:
    """The HDU of a record and those of its parts."""
    hdu = fits.ImageHDU(data=None if record.array is None else np.asarray(record.array, dtype=np.float64), name=name)
    hdu.header[KIND] = (record.kind, "class of diapipe")
    hdu.header[VERSION] = (record.version, "version of its layout")
    for key, value in record.cards.items():
        hdu.header[key] = value
    below = [hdu for part, child in record.parts.items() for hdu in hdus_of(f"{name}.{part.upper()}", child)]
    return [hdu, *below]


def read_record(file: FitsFile, name: str) -> Record | None:
    """The record called ``name`` with its parts, or None if the file has none."""
    names = file.names
    if name not in names:
        return None
    number = names.index(name)
    header = file.header(number)
    if KIND not in header:
        return None
    below = [other for other in names if other.startswith(f"{name}.") and "." not in other[len(name) + 1 :]]
    parts = {other[len(name) + 1 :].lower(): read_record(file, other) for other in below}
    return Record(
        kind=str(header[KIND]),
        version=int(header.get(VERSION, 0)),
        cards={card.keyword: card.value for card in header.cards},
        array=_array(file, number),
        parts={part: child for part, child in parts.items() if child is not None},
    )


def _array(file: FitsFile, number: int) -> np.ndarray[Any, Any] | None:
    data = file.data(number)
    return None if data is None else np.ascontiguousarray(data, dtype=data.dtype.newbyteorder("="))


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
