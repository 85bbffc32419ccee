"""Tables as parquet."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy import units as u
from astropy.table import MaskedColumn, Table

from diapipe.errors import ReadError, WriteError
from diapipe.io import read_parquet, write_parquet
from diapipe.io.tables import nulls_of, values_of


def table(n: int = 5) -> Table:
    rng = np.random.default_rng(1)
    result = Table(meta={"fluxUnit": "nJy"})
    result["diaSourceId"] = np.arange(n, dtype=np.int64) + 2**60
    result["psfFlux"] = rng.normal(0, 1, n).astype(np.float32)
    result["psfFlux"].unit = u.nJy
    result["psfFlux"].description = "difference flux"
    result["ra"] = rng.uniform(0, 360, n)
    result["ra"].unit = "deg"
    result["isDipole"] = np.arange(n) % 2 == 0
    result["band"] = np.array(["r", "i", "g", "σ", ""])[:n]
    result["parent"] = MaskedColumn(np.arange(n, dtype=np.int32), mask=np.arange(n) == 2)
    return result


@pytest.mark.parametrize("n", [5, 0])
def test_round_trip(tmp_path: Path, n: int) -> None:
    """Types, values, units, descriptions, missing entries and metadata come back, also for an empty table."""
    before = table(n)
    write_parquet(before, tmp_path / "t.parquet", metadata={"visit": 12, "config": {"a": [1, 2]}})
    after = read_parquet(tmp_path / "t.parquet")
    assert after.colnames == before.colnames
    assert after.meta == {"fluxUnit": "nJy", "visit": 12, "config": {"a": [1, 2]}}
    for name in before.colnames:
        np.testing.assert_array_equal(
            np.asarray(after[name])[: 2 if name == "parent" else n],
            np.asarray(before[name])[: 2 if name == "parent" else n],
        )
        assert after[name].unit == before[name].unit
        if before[name].dtype.kind not in "US":
            assert after[name].dtype == before[name].dtype
    assert after["psfFlux"].description == "difference flux"
    if n:
        np.testing.assert_array_equal(after["parent"].mask, before["parent"].mask)


def test_other_programs_read_it(tmp_path: Path) -> None:
    """The columns are plain parquet columns; NaN stays NaN and is no null."""
    before = table()
    before["ra"][1] = np.nan
    write_parquet(before, tmp_path / "t.parquet")
    found = pq.read_table(tmp_path / "t.parquet")
    assert found.schema.field("psfFlux").type == pa.float32()
    assert found.schema.field("psfFlux").metadata[b"unit"] == b"nJy"
    assert found["ra"].null_count == 0
    assert found["parent"].null_count == 1


def test_reads_what_others_wrote(tmp_path: Path) -> None:
    """A parquet file without our metadata, with nulls in strings and numbers."""
    pq.write_table(pa.table({"a": [1, None, 3], "b": ["x", None, "z"]}), tmp_path / "t.parquet")
    got = read_parquet(tmp_path / "t.parquet")
    assert list(got["a"].mask) == [False, True, False]
    assert list(got["b"].filled("-")) == ["x", "-", "z"]


def test_a_column_of_nulls_has_no_type(tmp_path: Path) -> None:
    """What others wrote as nothing but nulls is masked; null strings of either size are masked too."""
    words = pa.array(["x", None], pa.large_string())
    pq.write_table(pa.table({"a": pa.nulls(2), "b": words}), tmp_path / "t.parquet")
    got = read_parquet(tmp_path / "t.parquet")
    assert list(got["a"].mask) == [True, True]
    assert list(got["b"].filled("-")) == ["x", "-"]


def test_bad_files(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_text("not parquet, but long enough to hold a footer")
    with pytest.raises(ReadError, match=r"cannot read x\.parquet as parquet"):
        read_parquet(tmp_path / "x.parquet")
    with pytest.raises(ReadError, match="there is no such file"):
        read_parquet(tmp_path / "y.parquet")
    with pytest.raises(WriteError, match="does not exist"):
        write_parquet(table(), tmp_path / "no" / "t.parquet")
    assert os.listdir(tmp_path) == ["x.parquet"]


def test_values_come_from_arrows_memory() -> None:
    """As `to_numpy` gives them, also of a part of an array, without importing pandas."""
    arrays = [
        pa.array(values, kind)
        for values, kind in (
            *(([3, None, 5, 7], kind) for kind in (pa.int8(), pa.uint16(), pa.int32(), pa.int64())),
            ([1.5, None, -2.5, 0.0], pa.float32()),
            ([True, None, False, True] * 5, pa.bool_()),
            (["σ", None, "", "long one"], pa.string()),
            (["σ", None, "", "long one"], pa.large_string()),
        )
    ]
    for array in arrays:
        for some in (array, array[1:], array[2:], array[:0]):
            is_null = nulls_of(some)
            assert is_null.tolist() == some.is_null().to_pylist()
            found = values_of(some)
            assert found is not None
            assert found[~is_null].tolist() == [value for value in some.to_pylist() if value is not None]
    assert values_of(pa.array([[1], [2]])) is None


def test_reading_imports_no_pandas(tmp_path: Path) -> None:
    """A table without missing entries, in a fresh interpreter."""
    before = table()
    before.remove_column("parent")
    write_parquet(before, tmp_path / "t.parquet")
    words = (
        f"import sys; from diapipe.io import read_parquet; read_parquet({str(tmp_path / 't.parquet')!r}); "
        "sys.exit('pandas' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", words], check=False).returncode == 0
