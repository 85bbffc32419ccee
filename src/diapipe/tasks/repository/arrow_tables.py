"""Tables of a repository out of arrow's memory, as the Butler makes them, without pandas and in less time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.table import Table

from diapipe.io.tables import nulls_of, values_of

_OF_INDEX = (b"pandas", b"lsst::arrow::astropy_pandas_index")
_YAML, _ROWS = b"table_meta_yaml", b"lsst::arrow::rowcount"
_FILL = {"f": np.nan, "i": -1, "u": 0, "b": True}
"""What stands at a null, by the kind of the column."""

type _Notes = Mapping[bytes, bytes]


def read_plainly(path: str, columns: str | Iterable[str] | None = None) -> Table | None:
    """A table of a parquet file, or some of its columns; None as of `astropy_of`, or if it has no such column."""
    with pq.ParquetFile(path) as file:
        if not columns:
            return astropy_of(file.read(use_threads=False))
        wanted = [columns] if isinstance(columns, str) else [*dict.fromkeys(columns)]
        if not set(wanted) <= set(file.schema_arrow.names):
            return None
        return astropy_of(file.read(columns=wanted, use_threads=False).select(wanted))


def astropy_of(arrow: pa.Table) -> Table | None:
    """What `lsst.daf.butler.formatters.parquet.arrow_to_astropy` makes of a table that the Butler wrote.

    Returns
    -------
    astropy.table.Table or None
        None of any other table, of one with an index, or with columns beside numbers, flags, texts and their arrays.
    """
    notes: _Notes = arrow.schema.metadata or {}
    if any(key in notes for key in _OF_INDEX) or (_YAML in notes and _ROWS not in notes):
        return None
    columns: dict[str, np.ndarray[Any, Any]] = {}
    for field, chunks in zip(arrow.schema, arrow.columns, strict=True):
        values = _values(field, chunks.combine_chunks(), notes)
        if values is None:
            return None
        columns[field.name] = values
    table = Table(columns, copy=False)
    for field, column in zip(arrow.schema, table.columns.values(), strict=True):
        said = {key: text.decode() for key, text in (field.metadata or {}).items() if text}
        if b"unit" in said:
            column.unit = said[b"unit"]
        if b"description" in said:
            column.description = said[b"description"]
    return table


def _values(field: pa.Field, array: pa.Array, notes: _Notes) -> np.ndarray[Any, Any] | None:
    """Values in the shape that the notes tell, masked where there are nulls."""
    if pa.types.is_fixed_size_list(array.type):
        inner = array.flatten()
        values = None if array.null_count or inner.null_count else values_of(inner)
        return None if values is None or values.dtype.kind == "U" else values.reshape(_shape(field, array, notes))
    values = values_of(array)
    if values is None:
        return None
    if values.dtype.kind == "U":
        length = notes.get(f"lsst::arrow::len::{field.name}".encode())
        return None if length is None or array.null_count else values.astype(f"U{int(length)}")
    if not array.null_count:
        return values
    missing, fill = nulls_of(array), _FILL[values.dtype.kind]
    values[missing] = fill
    return np.ma.MaskedArray(values, mask=missing, fill_value=fill)


def _shape(field: pa.Field, array: pa.Array, notes: _Notes) -> tuple[int, ...]:
    """Of a column of arrays."""
    said = notes.get(f"lsst::arrow::shape::{field.name}".encode())
    inner = [array.type.list_size] if said is None else map(int, re.findall(r"\d+", said.decode()))
    return len(array), *inner
