"""A catalogue of sources to be put into images: where, how bright, when; in one form, whatever form it was given in."""

from __future__ import annotations

import numpy as np
from astropy import units
from astropy.table import Table
from numpy.typing import NDArray

from diapipe.catalogs.columns import ColumnReader, refuse_rows
from diapipe.catalogs.injections import KINDS
from diapipe.catalogs.schema import Column
from diapipe.catalogs.tables import table_of
from diapipe.errors import InputError
from diapipe.images.photo_calib import ZERO_POINT_NJY
from diapipe.numerics.arrays import BoolArray, FloatArray

ANY_VISIT = -1
"""Visit of a source that is on all of them."""

CATALOG = (
    Column("injectionId", "i8", "", "Number of the source; rows with the same are its light curve"),
    Column("kind", "U8", "", 'hostless, hosted, variable or trailed; "" for what its motion makes of it'),
    Column("band", "U32", "", 'Band in which it is so bright; "" for all'),
    Column("visit", "i8", "", "Visit on which it is so bright; -1 for all"),
    Column("mjd", "f8", "d", "Time at which it is so bright; NaN for always"),
    Column("ra", "f8", "deg", "Right ascension (ICRS), at epoch where it moves"),
    Column("dec", "f8", "deg", "Declination"),
    Column("x", "f8", "pix", "Column on the science image, where there is no ra"),
    Column("y", "f8", "pix", "Row on the science image"),
    Column("flux", "f8", "nJy", "How bright; NaN where that is told in counts"),
    Column("counts", "f8", "", "The same in the unit of the science image"),
    Column("is_faded", "?", "", "Whether it is put into the template, not into the science image"),
    Column("ra_rate", "f8", "arcsec / h", "Motion to the east, on the sky: with the cosine of the declination"),
    Column("dec_rate", "f8", "arcsec / h", "Motion to the north"),
    Column("epoch", "f8", "d", "MJD at which a moving source is at ra, dec"),
    Column("trail_length", "f8", "pix", "Length of its path on the image; 0 of a point"),
    Column("trail_angle", "f8", "deg", "Direction of its path, from x towards y"),
)
"""Columns of the catalogue, in order."""


def injection_catalog(table: Table, *, name: str) -> Table:
    """A catalogue from a user's table.

    Parameters
    ----------
    table
        Positions ``ra`` and ``dec`` (degrees without a unit), or ``x`` and ``y`` (pixels of the science image);
        ``flux`` (nJy without a unit; a unit of flux density, or counts of the image) or ``mag`` (AB), negative fluxes
        being put into the template. As wanted: ``injectionId`` or ``id``, ``kind``, ``band``, ``visit``, ``mjd``,
        ``is_faded``, ``ra_rate`` and ``dec_rate`` (arcsec/h without a unit) with ``epoch`` (MJD), ``trail_length`` and
        ``trail_angle`` (pixels, degrees).
    name
        What messages call it.

    Returns
    -------
    Table
        Columns of `CATALOG`; fluxes are positive.

    Raises
    ------
    InputError
        If there are no rows, a column is missing or in another unit, a row has no position or brightness, a kind is
        unknown, something moves without an epoch, or a light curve has no ``id``.
    """
    read = ColumnReader(table, name)
    if not len(table):
        raise InputError(f"{name} has no rows: there is nothing to put in")
    place, bright = _positions(read), _brightness(read)
    faded = read.truths_or(("is_faded",), False) | (bright["flux"] < 0) | (bright["counts"] < 0)
    columns: dict[str, NDArray[np.generic]] = {
        "injectionId": read.identifiers(("injectionId", "id")),
        "kind": _words(read, "kind"),
        "band": _words(read, "band"),
        "visit": np.nan_to_num(read.numbers_or(("visit",), ANY_VISIT), nan=ANY_VISIT).astype(np.int64),
        "mjd": read.numbers_or(("mjd",), np.nan, unit="d"),
        **place,
        **{key: np.abs(values) for key, values in bright.items()},
        "is_faded": faded,
        **_motion(read),
        "trail_length": read.numbers_or(("trail_length",), 0.0, unit="pix"),
        "trail_angle": read.numbers_or(("trail_angle",), 0.0, unit="deg"),
    }
    _refuse_unknown_kinds(columns["kind"], name)
    if np.isfinite(columns["mjd"]).any() and read.name_of(("injectionId", "id")) is None:
        raise InputError(f"{name} has brightnesses by mjd and no column id; rows of one source need the same number")
    return table_of(CATALOG, columns, n=len(table))


def moves(catalog: Table) -> BoolArray:
    """Which rows of a catalogue are of something that moves."""
    return np.asarray((np.asarray(catalog["ra_rate"]) != 0) | (np.asarray(catalog["dec_rate"]) != 0), dtype=np.bool_)


def _positions(read: ColumnReader) -> dict[str, FloatArray]:
    """On the sky where there are such columns, else on pixels."""
    nowhere = np.full(len(read.table), np.nan)
    if read.name_of(("ra",)) is None and read.name_of(("x",)) is None:
        read.numbers(("ra", "x"))  # says what is missing, and what there is
    if read.name_of(("ra",)) is None:
        found = {"ra": nowhere, "dec": nowhere, "x": read.numbers(("x",)), "y": read.numbers(("y",))}
        known = np.isfinite(found["x"]) & np.isfinite(found["y"])
    else:
        found = {axis: read.numbers((axis,), unit="deg") for axis in ("ra", "dec")} | {"x": nowhere, "y": nowhere}
        known = np.isfinite(found["ra"]) & (np.abs(found["dec"]) <= 90.0)
    refuse_rows(~known, f"{read.name} has no position in")
    return found


def _brightness(read: ColumnReader) -> dict[str, FloatArray]:
    """Fluxes in nJy, or in counts where the table says so; magnitudes where it has no flux."""
    unknown = np.full(len(read.table), np.nan)
    name = read.name_of(("flux",))
    if name is None:
        mag = read.numbers(("mag",)) if read.name_of(("mag",)) else read.numbers(("flux", "mag"))
        found = {"flux": ZERO_POINT_NJY * 10.0 ** (-0.4 * mag), "counts": unknown}
    elif _is_count(read.table[name].unit):
        found = {"flux": unknown, "counts": read.numbers(("flux",))}
    else:
        found = {"flux": read.numbers(("flux",), unit="nJy"), "counts": unknown}
    refuse_rows(~np.isfinite(found["flux"]) & ~np.isfinite(found["counts"]), f"{read.name} has no brightness in")
    return found


def _is_count(unit: units.UnitBase | None) -> bool:
    """Whether a unit is one of pixels that are not calibrated."""
    return str(unit) in ("adu", "count", "counts", "ct", "electron", "DN")


def _motion(read: ColumnReader) -> dict[str, FloatArray]:
    """Rates and the time of the position."""
    rates = {axis: read.numbers_or((axis,), 0.0, unit="arcsec / h") for axis in ("ra_rate", "dec_rate")}
    rates = {axis: np.nan_to_num(values) for axis, values in rates.items()}
    epoch = read.numbers_or(("epoch",), np.nan, unit="d")
    moving = (rates["ra_rate"] != 0) | (rates["dec_rate"] != 0)
    refuse_rows(moving & ~np.isfinite(epoch), f"{read.name} has motion without an epoch (MJD) in")
    if moving.any() and read.name_of(("ra",)) is None:
        raise InputError(f"{read.name} has motion on the sky and no column ra, dec; pixels do not tell where that goes")
    return rates | {"epoch": epoch}


def _words(read: ColumnReader, name: str) -> NDArray[np.str_]:
    """A column of words; "" where there is none."""
    own = read.name_of((name,))
    if own is None:
        return np.full(len(read.table), "")
    filled = np.ma.filled(np.ma.asarray(read.table[own]).astype(str), "")
    return np.char.strip(np.asarray(filled, dtype=np.str_))


def _refuse_unknown_kinds(kinds: NDArray[np.generic], name: str) -> None:
    unknown = sorted(set(kinds.tolist()) - {*KINDS, ""})
    if unknown:
        raise InputError(f"{name} has sources of the kind {unknown[0]!r}; there are {', '.join(KINDS)}")
