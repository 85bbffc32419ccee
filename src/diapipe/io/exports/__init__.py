"""exports: tables of a survey in the formats of others, by name."""

from __future__ import annotations

from pathlib import Path

from diapipe.errors import InputError
from diapipe.io.atomic import new_folder, replacing
from diapipe.io.exports.band_names import BandNames
from diapipe.io.exports.base import AbstractExport, SurveyTables
from diapipe.io.exports.ds9 import Ds9
from diapipe.io.exports.each_table import Csv
from diapipe.io.exports.hats import Hats
from diapipe.io.exports.snana import Snana
from diapipe.io.exports.sncosmo import Sncosmo
from diapipe.io.exports.votable import VoTable
from diapipe.steps.family import Family

__all__ = ["EXPORTS", "AbstractExport", "BandNames", "SurveyTables", "export_tables"]

EXPORTS: Family[AbstractExport] = Family(
    "export",
    {"csv": Csv, "votable": VoTable, "ds9": Ds9, "sncosmo": Sncosmo, "snana": Snana, "hats": Hats},
)
"""Formats by name."""


def export_tables(tables: SurveyTables, place: Path, *, export: AbstractExport) -> None:
    """Write tables in a format of others; the file or folder is there when it is whole.

    Parameters
    ----------
    tables
        What to write.
    place
        File, replaced if it is there, or folder, which must not be there or be empty.
    export
        The format.

    Raises
    ------
    InputError
        If a table that the format needs is missing, or cannot be written in it.
    WriteError
        If the place cannot be written.
    """
    missing = [name for name in export.needs if name not in tables.named()]
    if missing:
        raise InputError(
            f"this format needs {' and '.join(missing)}; given were {', '.join(tables.named()) or 'no tables'}",
            missing=missing,
        )
    with (new_folder if export.is_folder(tables) else replacing)(place) as aside:
        export.write(tables, aside)
