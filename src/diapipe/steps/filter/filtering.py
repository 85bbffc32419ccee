"""The DIA sources that pass the cuts, and the others with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from astropy.table import Column, Table
from numpy.typing import NDArray

from diapipe.catalogs.columns import ColumnReader
from diapipe.catalogs.flag_names import flag_name
from diapipe.catalogs.schema import DIA_SOURCE
from diapipe.errors import InputError, UsageError
from diapipe.numerics.arrays import BoolArray, FloatArray
from diapipe.steps.filter.cuts import DiaSourceFilter

type Reasons = NDArray[np.str_]
type Cut = tuple[BoolArray, Reasons | str]
"""Which rows are rejected, and why: a text for each row, or one for all."""

REASON_LENGTH = 96

CENTROID = "centroid_flag"
"""Says that a PSF could not be centred, as on most trails it cannot: where a trail was fitted it accuses nobody."""

BAD_FOR = ("dp_residual", "dp_badPixel", "psfFlux_flag", "dp_trailOf")
"""What ``dp_bad`` is set for, the first to be named first."""

_LOOKED_AT = (
    *("ra", "dec", "ssObjectId", "scienceFlux", "scienceFluxErr", "reliability", "trailLength", "trail_flag"),
    *("trail_flag_edge", "dp_trail_flag_offImage", "dp_trail_flag_suspectLongTrail", "exposureTime"),
)


class Filtered(NamedTuple):
    """A table in two parts: every row is in one of them.

    Attributes
    ----------
    kept
        The rows that passed.
    rejected
        The others, with a column ``reason``: the first that there is against each.
    """

    kept: Table
    rejected: Table


def filter_dia_sources(
    table: Table,
    options: DiaSourceFilter | None = None,
    *,
    exposure_time_s: float | FloatArray | None = None,
    name: str = "the table of DIA sources",
) -> Filtered:
    """Take out the sources that should make no objects.

    Parameters
    ----------
    table
        DIA sources, in our columns or Rubin's.
    options
        The cuts; the defaults where none are given.
    exposure_time_s
        Of the image, or of that of each row, where the column ``exposureTime`` does not tell. Trails of an unknown
        exposure time are not judged by their speed.
    name
        What messages call the table.

    Raises
    ------
    UsageError
        If a flag is in neither the table nor the data model.
    InputError
        If the table lacks positions, or a reliability or trails that are asked for.
    """
    reader, options = ColumnReader(table, name), options or DiaSourceFilter()
    reasons = np.full(len(table), "", dtype=f"U{REASON_LENGTH}")
    for rejected, reason in _cuts(reader, options, exposure_time_s):
        fresh = rejected & (reasons == "")
        reasons[fresh] = reason if isinstance(reason, str) else reason[fresh]
    bad = reasons != ""
    rejected_rows = table[bad]
    rejected_rows["reason"] = Column(reasons[bad], description="Why the source makes no object")
    return Filtered(table[~bad], rejected_rows)


def columns_read(options: DiaSourceFilter) -> frozenset[str]:
    """Columns of DIA sources that the cuts look at, where there are such: a table without the others gives the same."""
    flags = {name for flag in options.bad_flags for name in (flag, flag_name(flag))}
    causes = BAD_FOR if "dp_bad" in options.bad_flags else ()
    return frozenset({*flags, *causes, *_LOOKED_AT})


def _cuts(reader: ColumnReader, options: DiaSourceFilter, exposure_time_s: float | FloatArray | None) -> Iterator[Cut]:
    """All cuts, the first to be named first."""
    places = [reader.numbers((column,), unit="deg") for column in ("ra", "dec")]
    yield ~np.isfinite(places).all(axis=0), "its position is not known"
    for flag in options.bad_flags:
        is_set = _flagged(reader, flag)
        if flag_name(flag) == CENTROID:
            is_set &= ~_is_trailed(reader)
        yield is_set, _of_flag(reader, flag_name(flag))
    if "solar_system" in options.set_aside:
        known = reader.numbers_or(("ssObjectId",), 0.0)
        yield np.isfinite(known) & (known != 0), "a known object of the solar system"
    yield from _trails(reader, options, exposure_time_s)
    if options.min_science_snr is not None:
        flux, error = (reader.numbers_or((column,), np.nan) for column in ("scienceFlux", "scienceFluxErr"))
        with np.errstate(divide="ignore", invalid="ignore"):
            snr = flux / error
        yield _below(snr, options.min_science_snr, "S/N on the science image")
    if options.min_reliability is not None:
        _need(reader, "reliability", f"at least {options.min_reliability:g} of it is asked")
        yield _below(reader.numbers(("reliability",)), options.min_reliability, "reliability")


def _need(reader: ColumnReader, column: str, why: str) -> None:
    """Refuse a table without a column that was asked for."""
    if reader.name_of((column,)) is None:
        raise InputError(f"{reader.name} has no column {column}, though {why}", missing=column)


def _flagged(reader: ColumnReader, flag: str) -> BoolArray:
    """The rows with a flag; of one that the table lacks none, if it is known at all."""
    name = flag_name(flag)
    if reader.name_of((flag, name)) is None and name not in {
        column.name for column in DIA_SOURCE if column.dtype == "?"
    }:
        raise UsageError(f"{reader.name} has no flag {flag!r}, and the data model has none", field=flag)
    return reader.truths_or((flag, name), False)


def _of_flag(reader: ColumnReader, flag: str) -> Reasons:
    """The reason of a flag; of our default cut with what it was set for, as far as the table tells."""
    said = np.full(len(reader.table), f"flag {flag}", dtype=f"U{REASON_LENGTH}")
    if flag != "dp_bad":
        return said
    for cause in BAD_FOR:
        said[reader.truths_or((cause,), False) & (said == "flag dp_bad")] = f"flag dp_bad: {cause}"
    return said


def _trail_lengths(reader: ColumnReader) -> FloatArray:
    """Lengths of trails, arcsec; NaN where the table has none."""
    return reader.numbers_or(("trailLength",), np.nan, unit="arcsec")


def _is_trailed(reader: ColumnReader) -> BoolArray:
    """The rows in which a trail was fitted."""
    return np.isfinite(_trail_lengths(reader)) & ~reader.truths_or(("trail_flag",), False)


def _trails(
    reader: ColumnReader, options: DiaSourceFilter, exposure_time_s: float | FloatArray | None
) -> Iterator[Cut]:
    """Trails that are set aside as such, that leave the image, or that are too fast."""
    length, trailed = _trail_lengths(reader), _is_trailed(reader)
    if "trailed" in options.set_aside:
        _need(reader, "trail_flag", "trails are to be set aside")
        yield trailed, "trailed"
    if options.max_trail_arcsec_per_s is None:
        return
    yield trailed & reader.truths_or(("dp_trail_flag_offImage",), False), "its trail leaves the image"
    at_edge = reader.truths_or(("trail_flag_edge",), False)
    long = reader.truths_or(("dp_trail_flag_suspectLongTrail",), False)
    yield trailed & at_edge & long, "a long trail at the edge of the image"
    most = options.max_trail_arcsec_per_s * _exposure_times(reader, exposure_time_s)
    said = np.char.mod("trail of %.1f arcsec, too fast", np.where(trailed, length, 0.0))
    yield trailed & (length >= most), said


def _exposure_times(reader: ColumnReader, given: float | FloatArray | None) -> FloatArray:
    """Seconds of each row: what the table says, else what was given, else NaN."""
    told = reader.numbers_or(("exposureTime",), np.nan, unit="s")
    return np.where(np.isfinite(told), told, np.nan if given is None else given)


def _below(values: FloatArray, least: float, what: str) -> Cut:
    """The rows whose value is known and below a limit."""
    known = np.isfinite(values)
    return known & (values < least), np.char.mod(f"{what} %.3g, below {least:g}", np.where(known, values, 0.0))
