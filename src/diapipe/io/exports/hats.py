"""HATS: objects in parquet files by HEALPix pixel, their light curves nested in them; what LSDB opens.

The layout is that of the IVOA note on HATS: a file of properties, a list of partitions, and below ``dataset`` one file
for each pixel, ``Norder=k/Dir=d/Npix=n.parquet``, sorted by the column ``_healpix_29``. pyarrow alone writes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.table import Table

from diapipe.catalogs.dia_objects import check_dia_objects, need_columns
from diapipe.errors import UsageError
from diapipe.io.exports.base import DIA_OBJECT, AbstractExport, SurveyTables
from diapipe.io.tables import arrow_array, arrow_field
from diapipe.numerics.arrays import IntArray
from diapipe.numerics.healpix import LARGEST_ORDER, nested_pixels
from diapipe.steps.limits import Limited

INDEX = "_healpix_29"
NESTED = {"dia_sources": "diaSource", "forced_sources": "diaObjectForcedSource"}
"""Column that holds the rows of an object in another table, by the attribute of `SurveyTables`; Rubin's names."""

FILES_PER_FOLDER = 10_000
"""Pixels below one ``Dir``, by the layout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hats(AbstractExport):
    """A HATS catalogue of DIA objects, with their sources and forced sources as nested columns where these are given.

    Rows of other tables whose object is not in the table of objects are left out.

    Attributes
    ----------
    catalog_name
        Told in the properties.
    rows_per_file
        A pixel with more rows, nested ones included, is divided.
    largest_order
        Of the pixels of the partition.

    Raises
    ------
    UsageError
        If a number is out of range.
    """

    catalog_name: str = "dia_object"
    rows_per_file: int = 1_000_000
    largest_order: int = 10

    needs: ClassVar[tuple[str, ...]] = (DIA_OBJECT,)
    may_be_zero: ClassVar[tuple[str, ...]] = ("largest_order",)

    def __post_init__(self) -> None:
        Limited.__post_init__(self)
        if self.largest_order > LARGEST_ORDER:
            raise UsageError(f"largest_order of Hats must be at most {LARGEST_ORDER}, not {self.largest_order}")

    def is_folder(self, tables: SurveyTables) -> bool:
        """Always."""
        return True

    def write(self, tables: SurveyTables, place: Path) -> None:
        """Write the catalogue.

        Raises
        ------
        InputError
            If an object is there twice or has no position.
        """
        assert tables.dia_objects is not None
        check_dia_objects(tables.dia_objects)
        whole, weight = _arrow_table(tables)
        pixels = whole[INDEX].to_numpy()
        dataset = place / "dataset"
        dataset.mkdir()
        partitions: list[tuple[int, int]] = []
        footers: list[pq.FileMetaData] = []
        for order, pixel, start, end in self._partitions(pixels, weight):
            name = f"Norder={order}/Dir={pixel // FILES_PER_FOLDER * FILES_PER_FOLDER}/Npix={pixel}.parquet"
            (dataset / name).parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(
                whole.slice(start, end - start), dataset / name, compression="zstd", metadata_collector=footers
            )
            footers[-1].set_file_path(name)
            partitions.append((order, pixel))
        pq.write_metadata(whole.schema, dataset / "_common_metadata")
        pq.write_metadata(whole.schema, dataset / "_metadata", metadata_collector=footers)
        rows = "".join(f"{order},{pixel}\n" for order, pixel in partitions)
        (place / "partition_info.csv").write_text(f"Norder,Npix\n{rows}", encoding="utf-8")
        for name in ("hats.properties", "properties"):  # the second is the older name
            (place / name).write_text(self._properties(whole, partitions, dataset), encoding="utf-8")

    def _partitions(self, pixels: IntArray, weight: IntArray) -> Iterator[tuple[int, int, int, int]]:
        """Order, number, first row and end of each pixel that has rows, along the sky."""
        before = np.concatenate([[0], np.cumsum(weight)])

        def divide(order: int, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
            numbers = pixels[start:end] >> 2 * (LARGEST_ORDER - order)
            for first in np.flatnonzero(np.diff(numbers, prepend=-1)):
                low = start + int(first)
                high = start + int(np.searchsorted(numbers, numbers[first], side="right"))
                if before[high] - before[low] > self.rows_per_file and order < self.largest_order and high - low > 1:
                    yield from divide(order + 1, low, high)
                else:
                    yield order, int(numbers[first]), low, high

        return divide(0, 0, len(pixels))

    def _properties(self, table: pa.Table, partitions: list[tuple[int, int]], dataset: Path) -> str:
        """The file of properties; colons are escaped as Java does."""
        size = sum(file.stat().st_size for file in dataset.rglob("*") if file.is_file())
        properties = {
            "obs_collection": self.catalog_name,
            "dataproduct_type": "object",
            "hats_nrows": table.num_rows,
            "hats_col_ra": "ra",
            "hats_col_dec": "dec",
            "hats_col_healpix": INDEX,
            "hats_col_healpix_order": LARGEST_ORDER,
            "hats_npix_suffix": ".parquet",
            "hats_order": max((order for order, _ in partitions), default=0),
            "hats_max_rows": self.rows_per_file,
            "hats_builder": "diapipe",
            "hats_creation_date": datetime.now(UTC).strftime("%Y-%m-%dT%H\\:%MUTC"),
            "hats_estsize": max(1, size // 1024),
            "hats_release_date": "2025-08-22",
            "hats_version": "v1.0",
        }
        return "#HATS catalog\n" + "".join(f"{name}={value}\n" for name, value in properties.items())


def _arrow_table(tables: SurveyTables) -> tuple[pa.Table, IntArray]:
    """Objects in order of their pixels with nested rows, and how many rows each stands for."""
    assert tables.dia_objects is not None
    pixels = nested_pixels(np.asarray(tables.dia_objects["ra"]), np.asarray(tables.dia_objects["dec"]))
    order = np.lexsort((np.asarray(tables.dia_objects["diaObjectId"]), pixels))
    objects, weight = tables.dia_objects[order], np.ones(len(order), np.int64)
    arrays, fields = [pa.array(pixels[order])], [pa.field(INDEX, pa.int64())]
    for name in objects.colnames:
        arrays.append(arrow_array(objects[name]))
        fields.append(arrow_field(objects[name], arrays[-1]))
    for attribute, column in NESTED.items():
        nested = getattr(tables, attribute)
        if nested is not None:
            array, counts = _nested(nested, np.asarray(objects["diaObjectId"]))
            arrays.append(array)
            fields.append(pa.field(column, array.type))
            weight += counts
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields)), weight


def _nested(table: Table, ids: IntArray) -> tuple[pa.StructArray, IntArray]:
    """The rows of each object, in order of time, as one struct of lists; and how many each has."""
    need_columns(table, ("diaObjectId",), name="the table to be nested")
    sorted_ids = np.sort(ids)
    place = np.minimum(np.searchsorted(sorted_ids, table["diaObjectId"]), max(len(ids) - 1, 0))
    known = np.flatnonzero(sorted_ids[place] == table["diaObjectId"]) if len(ids) else np.zeros(0, np.int64)
    at = np.argsort(ids)[place[known]]
    key = table["midpointMjdTai"] if "midpointMjdTai" in table.colnames else np.zeros(len(table))
    rows = known[np.lexsort((np.asarray(key)[known], at))]
    counts = np.bincount(at, minlength=len(ids))
    ends = pa.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))
    chosen = table[rows]
    names = [name for name in chosen.colnames if name != "diaObjectId"]
    lists = [pa.ListArray.from_arrays(ends, arrow_array(chosen[name])) for name in names]
    return pa.StructArray.from_arrays(lists, names=names), counts
