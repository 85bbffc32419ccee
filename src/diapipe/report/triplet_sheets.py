"""Sprite sheets: the cut-outs of many sources in files of fifty, which a page loads where it shows them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from diapipe.report.cutouts import DrawnCutouts
from diapipe.report.png import ByteArray, encode_png
from diapipe.report.stretch import grey_palette, in_fewer_greys

PER_SHEET = 50
"""Sources in a file: as many as a page of the list has rows, so that in its own order a page needs one file."""
MAX_LISTED_SIDE_PX = 41
"""Side of a cut-out of a list, at most: 10,000 sources then take 25 MB."""


def sheet_file(name: str, number: int) -> str:
    """Where sheet ``number`` of a list lies, from the folder of the report."""
    return f"cutouts/{name}-{number}.png"


def write_sheets(folder: Path, name: str, cutouts: DrawnCutouts) -> dict[str, Any]:
    """Write the sheets of a list; what the page needs to know to find a source on them.

    Parameters
    ----------
    folder
        Of the report.
    name
        Of the list.
    cutouts
        In the order of the list's rows.
    """
    (folder / "cutouts").mkdir(parents=True, exist_ok=True)
    palette = grey_palette()
    for number, sheet in enumerate(_sheets(cutouts)):
        (folder / sheet_file(name, number)).write_bytes(encode_png(in_fewer_greys(sheet), palette))
    return {"planes": list(cutouts.planes), "side": cutouts.side, "per_sheet": PER_SHEET, "n": len(cutouts)}


def _sheets(cutouts: DrawnCutouts) -> Iterator[ByteArray]:
    for first in range(0, len(cutouts), PER_SHEET):
        yield DrawnCutouts(cutouts.planes, cutouts.entries[first : first + PER_SHEET]).stacked()
