"""A table that a user gives: parquet, FITS, VOTable, ECSV or CSV, by the ending of its name."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from astropy.table import Table

from diapipe.errors import ReadError
from diapipe.io.fits_file import PathLike
from diapipe.io.tables import read_parquet

_FORMATS = {
    ".fits": "fits",
    ".fit": "fits",
    ".vot": "votable",
    ".xml": "votable",
    ".votable": "votable",
    ".ecsv": "ascii.ecsv",
    ".csv": "ascii.csv",
}
_PARQUET = (".parquet", ".parq", ".pq")


def read_table(path: PathLike) -> Table:
    """Read a table with the units that it has; CSV has none.

    Parameters
    ----------
    path
        Its ending says of which kind it is.

    Returns
    -------
    Table
        Columns of nothing but the words true and false, as CSV has them, are truth values.

    Raises
    ------
    ReadError
        If the file is missing, of no known ending, or not what its ending says.
    """
    place = Path(path)
    ending = place.suffix.lower()
    if ending in _PARQUET:
        return read_parquet(place)
    if ending not in _FORMATS:
        known = ", ".join([_PARQUET[0], *_FORMATS])
        raise ReadError(f"cannot read {place.name} as a table: its name ends in none of {known}")
    if not place.is_file():
        raise ReadError(f"cannot read {place}: there is no such file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of units and headers that astropy would have written otherwise
            return _with_truths(Table.read(place, format=_FORMATS[ending]))
    except Exception as error:  # each of astropy's readers fails in ways of its own
        reason = (str(error).splitlines() or [type(error).__name__])[0].partition(". ")[0]  # then come hints at its API
        raise ReadError(f"cannot read {place.name} as {ending[1:]}: {reason}") from error


def _with_truths(table: Table) -> Table:
    """The table with words for truth values as what they mean."""
    for name in table.colnames:
        if table[name].dtype.kind == "U":
            words = np.char.lower(np.ma.filled(np.ma.asarray(table[name]), "false"))
            if np.isin(words, ("true", "false")).all():
                table[name] = words == "true"
    return table
