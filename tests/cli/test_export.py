"""``diapipe export``: files in, files of other programs out."""

from __future__ import annotations

from pathlib import Path

import pytest
from astropy.table import Table
from tests.forced_tables import forced_table, object_table

from diapipe.cli.export import FORMATS
from diapipe.cli.main import main
from diapipe.io import write_parquet
from diapipe.io.exports import EXPORTS


@pytest.fixture
def files(rng, tmp_path: Path) -> tuple[str, str]:
    """Parquet files of objects and forced sources."""
    forced = forced_table(rng)
    places = tmp_path / "objects.parquet", tmp_path / "forced.parquet"
    for table, place in zip((object_table(forced), forced), places, strict=True):
        write_parquet(table, place)
    return str(places[0]), str(places[1])


def test_the_command_knows_every_format():
    """The choices of the option are the family's."""
    assert tuple(EXPORTS) == FORMATS


@pytest.mark.parametrize("kind", FORMATS)
def test_files_are_exported(files, tmp_path, kind, capsys):
    """Every format is written from parquet files, and the command says what it wrote."""
    out = tmp_path / "out"
    assert main(["export", *files, "--format", kind, "--out", str(out)]) == 0
    assert out.exists()
    assert "dia_object with 3 rows, dia_object_forced_source with 120 rows" in capsys.readouterr().out


def test_chosen_objects_and_tables(files, tmp_path):
    """Only the named table, and in it the named object."""
    out = tmp_path / "one.csv"
    options = ["--tables", "dia_object_forced_source", "--objects", "1000003", "--quiet"]
    assert main(["export", *files, "--format", "csv", "--out", str(out), *options]) == 0
    table = Table.read(out, format="ascii.csv")
    assert set(table["diaObjectId"]) == {1000003}
    assert len(table) == 40


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (["--format", "sncosmo", "--tables", "dia_object"], 1, "needs dia_object_forced_source; given were dia_object"),
        (["--format", "csv", "--tables", "dia_star"], 1, "there is no table dia_star"),
        (["--format", "csv", "--objects", "5"], 1, "the tables have no diaObjectId 5"),
        (["--format", "csv", "--objects", "x"], 2, "not 'x'"),
        (["--format", "csv", "--survey", "DES"], 2, "--survey is an option of --format snana, not of csv"),
        (["--format", "hats", "--band-names", "g=G"], 2, "--band-names is an option of --format sncosmo and snana"),
        (["--format", "sncosmo", "--radius", "3"], 2, "--radius is an option of --format ds9, not of sncosmo"),
        (["--format", "sncosmo", "--band-names", "lsst"], 2, "not as 'lsst'"),
        (["--format", "fits"], 2, "fits"),
    ],
)
def test_what_cannot_be_exported_is_told(files, tmp_path, options, status, message, capsys):
    """One sentence and the exit status of its kind; nothing is written."""
    out = tmp_path / "out"
    assert main(["export", *files, "--out", str(out), *options]) == status
    assert message in capsys.readouterr().err
    assert not out.exists()
