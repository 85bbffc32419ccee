"""The content of a page from the files of an earlier result."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table

from diapipe.catalogs.dia_objects import need_columns
from diapipe.errors import DiapipeError, ReadError
from diapipe.images import Difference
from diapipe.io import read_difference, read_exposure, read_parquet
from diapipe.numerics.arrays import Float32Array
from diapipe.report.content import PageContent

SCHEMA = "diapipe-summary/1"
_SECTIONS = (
    *("science", "flux_unit", "convolved", "alignment", "psf", "kernel", "background", "candidates", "noise", "stars"),
    *("pixels", "counts", "steps", "seconds", "warnings"),
)
"""What pages and `diapipe validate` take from a summary."""
_COLUMNS = ("diaSourceId", "x", "y", "psfFlux", "psfFluxErr", "snr", "dp_bad")
"""What they take from the sources, at the least."""


def is_repository(source: str | Path) -> bool:
    """Whether a word names a Butler repository: a folder with a butler.yaml, a file of configuration, or an address."""
    place = Path(source)
    return place.suffix in (".yaml", ".yml") or (place / "butler.yaml").is_file() or "://" in str(source)


def content_of_folder(folder: Path) -> PageContent:
    """Read what ``diapipe subtract`` left in a folder.

    The science image is read again from where it was; if it is gone, the page has the difference alone. The matched
    template is `matched_template.fits` where it was written, else science minus difference, which whitening leaves a
    little rough.

    Raises
    ------
    ReadError
        If one of the three files of a result is missing or damaged.
    InputError
        If the catalogue lacks a column.
    """
    summary = read_summary(folder / "summary.json")
    difference = read_difference(folder / "difference.fits")
    science = _science_pixels(summary, difference)
    return PageContent(
        summary=summary,
        dia_sources=read_sources(folder / "dia_sources.parquet"),
        difference=difference,
        science=science,
        matched_template=_template_pixels(folder, science, difference),
    )


def read_summary(path: Path) -> dict[str, Any]:
    """The summary of a result; ReadError if it is missing, no JSON, or not of this layout, whole."""
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        folder, wanted = path.parent, "a folder of diapipe subtract or, with butler.yaml, a repository is needed"
        if not folder.exists():
            raise ReadError(f"there is no {folder}; {wanted}") from error
        if not folder.is_dir():
            raise ReadError(f"{folder} is a file; {wanted}") from error
        raise ReadError(f"cannot read {path}: {error.strerror}; {wanted}") from error
    except ValueError as error:
        raise ReadError(f"{path} is damaged: {error}") from error
    found = summary.get("schema") if isinstance(summary, dict) else None
    if found != SCHEMA:
        raise ReadError(f"{path} has the layout {found!r}; {SCHEMA!r} is needed, so run diapipe subtract again")
    if lost := [name for name in _SECTIONS if name not in summary]:
        raise ReadError(f"{path} is damaged: it has no {', '.join(lost)}; run diapipe subtract again")
    return dict(summary)


def read_sources(path: Path) -> Table:
    """The sources of a result.

    Raises
    ------
    ReadError
        If the file is missing or no parquet file.
    InputError
        If it lacks a column.
    """
    table = read_parquet(path)
    need_columns(table, _COLUMNS, name=str(path))
    return table


def _science_pixels(summary: Mapping[str, Any], difference: Difference) -> Float32Array | None:
    """The science image on the grid of the difference, if it is still where it was."""
    path = summary.get("inputs", {}).get("science", {}).get("path")
    if path is None:
        return None
    try:
        exposure = read_exposure(path)
    except DiapipeError:
        return None
    box = difference.exposure.box
    return exposure[box].masked_image.image if exposure.box.contains(box) else None


def _template_pixels(folder: Path, science: Float32Array | None, difference: Difference) -> Float32Array | None:
    """The matched template as it was written, or as it follows from the rest."""
    written = folder / "matched_template.fits"
    if written.is_file():
        return read_exposure(written).masked_image.image
    if science is None:
        return None
    planes = difference.exposure.masked_image
    background = difference.background.over(planes.box)
    return np.asarray(science - planes.image - background, dtype=np.float32)
