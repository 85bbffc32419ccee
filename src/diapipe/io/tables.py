"""Tables as parquet: columns with units and descriptions, metadata kept; pyarrow, no pandas."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise
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
        with pq.ParquetFile(place) as file:  # `read_table` would import pandas
            found = file.read()
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
    if not array.null_count:
        return Column(_values(array), name=field.name, unit=unit, description=description)
    missing = nulls_of(array)
    filled = array.fill_null("" if _is_text(array.type) else _zero(array.type))
    return MaskedColumn(_values(filled), mask=missing, name=field.name, unit=unit, description=description)


def _zero(kind: pa.DataType) -> pa.Scalar:
    return pa.scalar(False if pa.types.is_boolean(kind) else 0, kind)


def _values(array: pa.Array) -> np.ndarray[Any, Any]:
    found = values_of(array)
    return array.to_numpy(zero_copy_only=False) if found is None else found


def values_of(array: pa.Array) -> np.ndarray[Any, Any] | None:
    """Numbers, flags or texts from the array's own memory, since `to_numpy` would import pandas; None of other kinds.

    What stands at a null is anything.
    """
    first, n, buffers = array.offset, len(array), array.buffers()
    if pa.types.is_boolean(array.type):
        return _flags(buffers[1], first, n)
    if _is_text(array.type):
        return _words(array)
    kind = _NUMBERS.get(array.type)
    if kind is None:
        return None
    return np.frombuffer(buffers[1], kind, n, first * np.dtype(kind).itemsize).copy() if n else np.zeros(0, kind)


def nulls_of(array: pa.Array) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Where nothing is."""
    if not array.null_count:
        return np.zeros(len(array), np.bool_)
    return ~_flags(array.buffers()[0], array.offset, len(array))


def _flags(bits: pa.Buffer | None, first: int, n: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """The flags that `_bits` packed, from one of them on."""
    packed = np.frombuffer(b"" if bits is None else bits, np.uint8)
    return np.unpackbits(packed, count=first + n, bitorder="little")[first:].astype(np.bool_)


def _words(array: pa.Array) -> np.ndarray[Any, Any]:
    kind = np.int64 if pa.types.is_large_string(array.type) else np.int32
    _, ends, letters = array.buffers()
    if not len(array) or ends is None:
        return np.zeros(len(array), "U1")
    at = np.frombuffer(ends, kind)[array.offset : array.offset + len(array) + 1].tolist()
    text = b"" if letters is None else letters.to_pybytes()
    return np.array([text[start:end].decode() for start, end in pairwise(at)])


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


_NUMBERS = {
    pa.from_numpy_dtype(kind): kind
    for kind in (*(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)), "float32", "float64")
}
