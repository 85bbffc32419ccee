"""Tables as parquet: columns with units and descriptions, metadata kept; pyarrow, no pandas."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.table import Column, MaskedColumn, Table

from diapipe.errors import ReadError
from diapipe.io.atomic import replacing
from diapipe.io.fits_file import PathLike

_TABLE_KEY = b"diapipe"


def write_parquet(table: Table, path: PathLike, *, metadata: Mapping[str, Any] | None = None) -> None:
    """Write a table with its units, descriptions and metadata.

    Parameters
    ----------
    table
        Columns of one dimension: numbers, booleans or strings; masked entries become nulls.
    path
        Parquet file, replaced only when the new one is whole.
    metadata
        Added to ``table.meta``; anything that JSON can say.

    Raises
    ------
    WriteError
        If the file cannot be written.
    """
    columns = [table[name] for name in table.colnames]
    arrays = [arrow_array(column) for column in columns]
    schema = pa.schema(
        [arrow_field(column, array) for column, array in zip(columns, arrays, strict=True)],
        metadata={_TABLE_KEY: json.dumps({**dict(table.meta), **(metadata or {})}, default=str).encode()},
    )
    with replacing(path) as aside:
        pq.write_table(pa.Table.from_arrays(arrays, schema=schema), aside, compression="zstd")


def read_parquet(path: PathLike) -> Table:
    """Read a parquet file: one of `write_parquet` with units, descriptions and metadata, any other with its columns.

    Parameters
    ----------
    path
        Parquet file.

    Returns
    -------
    astropy.table.Table
        One column for each of the file.

    Raises
    ------
    ReadError
        If the file is missing or not parquet.
    """
    place = Path(path)
    if not place.is_file():
        raise ReadError(f"cannot read {place}: there is no such file")
    try:
        found = pq.read_table(place)
    except (pa.ArrowException, OSError) as error:
        raise ReadError(f"cannot read {place.name} as parquet: {str(error).splitlines()[0]}") from error
    raw = (found.schema.metadata or {}).get(_TABLE_KEY)
    table = Table(meta=json.loads(raw) if raw else {})
    for field, column in zip(found.schema, found.columns, strict=True):
        table[field.name] = _column(field, column.combine_chunks())
    return table


def arrow_array(column: Column) -> pa.Array:
    """The column from its own memory: `pyarrow.array` would import pandas first, wherever that is installed."""
    values = np.asarray(column)
    missing = np.asarray(column.mask) if isinstance(column, MaskedColumn) else np.zeros(len(values), np.bool_)
    valid = _bits(~missing) if missing.any() else None
    if values.dtype.kind in "US":
        words = [str(word).encode() for word in values]
        ends = np.cumsum([0, *(len(word) for word in words)], dtype=np.int32)
        return pa.Array.from_buffers(
            pa.string(), len(values), [valid, pa.py_buffer(ends), pa.py_buffer(b"".join(words))], int(missing.sum())
        )
    if values.dtype.kind == "b":
        kind, data = pa.bool_(), _bits(values)
    else:
        native = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("="))
        kind, data = pa.from_numpy_dtype(native.dtype), pa.py_buffer(native)
    return pa.Array.from_buffers(kind, len(values), [valid, data], int(missing.sum()))


def _bits(flags: np.ndarray[Any, np.dtype[np.bool_]]) -> pa.Buffer:
    """One bit for each flag, as arrow packs them."""
    return pa.py_buffer(np.packbits(flags, bitorder="little"))


def arrow_field(column: Column, array: pa.Array) -> pa.Field:
    """Its name and type, with unit and description."""
    notes = {"unit": str(column.unit) if column.unit else "", "description": column.description or ""}
    return pa.field(column.name, array.type, metadata={key: text for key, text in notes.items() if text})


def _column(field: pa.Field, array: pa.Array) -> Column:
    notes = {key.decode(): text.decode() for key, text in (field.metadata or {}).items()}
    unit, description = notes.get("unit"), notes.get("description")
    if pa.types.is_null(array.type):  # nothing but nulls, as pandas writes them, has no type
        array = array.cast(pa.float64())
    missing = np.asarray(array.is_null())
    if not missing.any():
        return Column(_values(array), name=field.name, unit=unit, description=description)
    filled = array.fill_null("" if _is_text(array.type) else _zero(array.type))
    return MaskedColumn(_values(filled), mask=missing, name=field.name, unit=unit, description=description)


def _zero(kind: pa.DataType) -> pa.Scalar:
    return pa.scalar(False if pa.types.is_boolean(kind) else 0, kind)


def _values(array: pa.Array) -> np.ndarray[Any, Any]:
    values: np.ndarray[Any, Any] = array.to_numpy(zero_copy_only=False)
    return values.astype(str) if _is_text(array.type) else values


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
