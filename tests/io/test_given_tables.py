"""Tables of every kind that a user may give."""

import numpy as np
import pytest
from astropy import units
from astropy.table import Table

from diapipe.errors import ReadError
from diapipe.io import read_table, write_parquet

TABLE = Table({"ra": np.array([1.5, 2.5]) * units.deg, "flux": np.array([3.0, 4.0]) * units.nJy, "kind": ["a", "b"]})


@pytest.mark.parametrize("name", ["t.parquet", "t.fits", "t.vot", "t.xml", "t.ecsv", "t.csv", "T.CSV"])
def test_each_kind_is_read_by_its_ending(tmp_path, name):
    """The same numbers and words; units where the kind has them: CSV has none."""
    path = tmp_path / name
    if name.endswith("parquet"):
        write_parquet(TABLE, path)
    else:
        TABLE.write(path, format={"vot": "votable", "xml": "votable", "csv": "csv"}.get(name.lower()[2:]))
    found = read_table(path)
    assert found["flux"].tolist() == [3.0, 4.0]
    assert [str(word) for word in found["kind"]] == ["a", "b"]
    if not name.lower().endswith("csv") or name.endswith("ecsv"):
        assert found["ra"].unit == units.deg


def test_words_of_truth_are_truth(tmp_path):
    """CSV knows no truth values; a column of these words alone is one, one with others stays words."""
    (tmp_path / "t.csv").write_text("a,b\nFalse,true\nTrue,maybe\n")
    found = read_table(tmp_path / "t.csv")
    assert found["a"].tolist() == [False, True]
    assert found["b"].tolist() == ["true", "maybe"]


def test_what_is_no_table_is_said(tmp_path):
    """Missing, of no known ending, or not what the ending says: one sentence that names the file."""
    (tmp_path / "broken.fits").write_text("no table")
    (tmp_path / "broken.vot").write_text("no table")
    for name, said in (("none.csv", "there is no such file"), ("a.txt", "ends in none of"), ("broken.fits", "as fits")):
        with pytest.raises(ReadError, match=said) as refused:
            read_table(tmp_path / name)
        assert name in str(refused.value)
        assert "\n" not in str(refused.value)
    with pytest.raises(ReadError, match="as vot"):
        read_table(tmp_path / "broken.vot")
