"""Tables in a repository are the files that the Butler writes, and read back as they were."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.table import MaskedColumn
from lsst.daf.butler.formatters.parquet import arrow_to_astropy, astropy_to_arrow
from tests.tasks.small_repository import register

from diapipe.catalogs.dia_sources import dia_source_table
from diapipe.tasks.repository.formatters import _KnownTypes


def table():
    """Every column that a DIA source can have, of five rows."""
    found = dia_source_table({"x": np.arange(5.0)}, n=5, flux_unit="nJy")
    found.meta["seen"] = {"by": "nobody", "n": 3}
    return found


def test_the_file_is_the_butlers_own(small_repository):
    """The same schema with all its metadata, the same columns; units, descriptions and metadata read back."""
    with small_repository.opened(writeable=True) as butler:
        kind = register(butler, "dia_source", ("instrument", "visit"), "ArrowAstropy")
        ref = butler.put(table(), kind, instrument="TestCam", visit=11, run="visits")
        again = butler.get(ref)
        written = pq.read_table(butler.getURI(ref).ospath)
    expected = astropy_to_arrow(again)
    assert written.schema.equals(expected.schema, check_metadata=False)
    assert again.colnames == table().colnames
    for name in again.colnames:
        np.testing.assert_array_equal(np.asarray(again[name]), np.asarray(table()[name]))
        assert (again[name].unit, again[name].description) == (table()[name].unit, table()[name].description)


def test_tables_are_read_as_the_butler_reads_them(small_repository):
    """Numbers, flags, texts, arrays of numbers, missing entries, with types, units and descriptions."""
    before = table()
    before["corners"] = np.arange(30.0).reshape(5, 3, 2)
    before["n"] = MaskedColumn(np.arange(5, dtype=np.int32), mask=np.arange(5) == 2, unit="s")
    before["seen"] = MaskedColumn(np.ones(5, bool), mask=np.arange(5) > 2)
    with small_repository.opened(writeable=True) as butler:
        kind = register(butler, "dia_source", ("instrument", "visit"), "ArrowAstropy")
        ref = butler.put(before, kind, instrument="TestCam", visit=11, run="visits")
        ours = butler.get(ref)
        theirs = arrow_to_astropy(butler.get(ref, storageClass="ArrowTable"))
        some = butler.get(ref, parameters={"columns": ["psfFlux", "corners", "x"]})
        matching = butler.get(ref, parameters={"columns": ["psfFlux*"]})
        with pytest.raises(ValueError, match="ghost"):
            butler.get(ref, parameters={"columns": ["ghost"]})
    assert ours.colnames == theirs.colnames
    assert ours.meta == theirs.meta
    for name in theirs.colnames:
        mine, other = ours[name], theirs[name]
        assert (type(mine), mine.dtype, mine.shape) == (type(other), other.dtype, other.shape)
        assert (mine.unit, mine.description) == (other.unit, other.description)
        np.testing.assert_array_equal(np.ma.getmaskarray(mine), np.ma.getmaskarray(other))
        np.testing.assert_array_equal(np.ma.getdata(mine), np.ma.getdata(other))
        assert getattr(mine, "fill_value", 0) == getattr(other, "fill_value", 0)
    assert some.colnames == ["psfFlux", "corners", "x"]
    np.testing.assert_array_equal(some["corners"], before["corners"])
    assert matching.colnames == [name for name in before.colnames if name.startswith("psfFlux")]


def test_only_the_time_is_another():
    """With and without the types known: the same table for parquet, metadata included."""
    plain, known = (astropy_to_arrow(kind) for kind in (table(), _KnownTypes(table(), copy=False)))
    assert plain.schema.equals(known.schema, check_metadata=True)
    assert plain.num_rows == known.num_rows == 5
