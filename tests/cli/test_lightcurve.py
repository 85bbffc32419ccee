"""``diapipe lightcurve``: one object, by place or by number, as a picture."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.forced_tables import forced_table

from diapipe.cli.main import main
from diapipe.io import write_parquet


@pytest.fixture
def forced(rng, tmp_path: Path) -> str:
    """A file of forced sources of three objects with the template's fluxes."""
    table = forced_table(rng)
    table["dp_templateFlux"] = 5000.0
    write_parquet(table, tmp_path / "forced.parquet")
    return str(tmp_path / "forced.parquet")


def at(number: int, arcsec_north: float = 0.0) -> str:
    """Where the tables have an object."""
    return f"{10.0 + number / 1e7},{-30.0 - number / 1e7 + arcsec_north / 3600.0}"


@pytest.mark.parametrize("words", [["--object", "2000006"], ["--at", at(2000006, 1.0)], ["--at", at(2000006, -1.9)]])
def test_the_object_is_drawn(forced, tmp_path, words, capsys):
    """By its number, or as the nearest to a place; one flux is missing and one is flagged of its forty."""
    out = tmp_path / "curve.png"
    assert main(["lightcurve", forced, *words, "--magnitudes", "--out", str(out)]) == 0
    assert out.read_bytes().startswith(b"\x89PNG")
    assert "object 2000006, 38 good of 40 fluxes in g, r, i" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["--at", at(2000006, 2.1)], 1, "2 arcsec of RA 10.20000, Dec -30.19942; the nearest is 2.1 arcsec away"),
        (["--at", at(2000006, 2.1), "--within", "1e9", "--object", "3"], 2, "either --at RA,DEC or --object ID"),
        ([], 2, "either --at RA,DEC or --object ID"),
        (["--at", "10"], 2, "such as 273.8708,-25.2850, not '10'"),
        (["--object", "3"], 1, "no diaObjectId 3"),
    ],
)
def test_what_cannot_be_drawn_is_told(forced, tmp_path, words, status, message, capsys):
    """One sentence, and no file."""
    out = tmp_path / "curve.png"
    assert main(["lightcurve", forced, *words, "--out", str(out)]) == status
    assert message in capsys.readouterr().err
    assert not out.exists()
