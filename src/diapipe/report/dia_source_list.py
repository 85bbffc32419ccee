"""The list of the DIA sources of a difference: what is told of each, and the worst first."""

from __future__ import annotations

import numpy as np
from astropy.table import Table

from diapipe.numerics.arrays import BoolArray, FloatArray, IntArray
from diapipe.report.cutouts import DrawnCutouts
from diapipe.report.rows import FLAG_WORDS, column, flag_words, kinds
from diapipe.report.source_list import FlagColumn, ListColumn, Listing, NumberColumn, WordColumn

_SKY = {"ra": "RA", "dec": "Dec"}
_DETAILS = {
    "scienceFlux": "science flux",
    "templateFlux": "template flux",
    "apFlux": "aperture flux",
}
"""Fluxes shown beside the enlarged cut-out, with what they are called."""
LISTED = frozenset(
    (
        *("diaSourceId", "sky_source", "x", "y", "ra", "dec", "snr", "psfFlux", "psfFluxErr", "dp_bad", "reliability"),
        *("isDipole", "isNegative", "extendedness", *FLAG_WORDS),
        *(name + suffix for name in _DETAILS for suffix in ("", "Err")),
    )
)
"""Columns that the list tells of, and by which it is ordered."""


def worst_first(dia_sources: Table) -> IntArray:
    """Order in which what is most likely false stands first, the most significant of it before the rest.

    By ``reliability`` where the table has it; else rows with ``dp_bad`` before those without.
    """
    size = -np.nan_to_num(np.abs(column(dia_sources, "snr")))
    if "reliability" in dia_sources.colnames:
        doubt = np.nan_to_num(column(dia_sources, "reliability"), nan=1.0)
    else:
        doubt = np.where(column(dia_sources, "dp_bad") > 0, 0.0, 1.0)
    return np.lexsort((size, doubt)).astype(np.int64)


def dia_source_list(dia_sources: Table, *, cutouts: DrawnCutouts | None, caption: str, flux_unit: str) -> Listing:
    """The list of a table of DIA sources, in the order of its rows (take `worst_first` before).

    Parameters
    ----------
    dia_sources
        Without sky sources.
    cutouts
        Of the same rows.
    caption
        What the list is.
    flux_unit
        Of its fluxes.
    """
    return Listing(
        caption=caption,
        order="the worst first",
        ids=[str(i) for i in dia_sources["diaSourceId"]],
        columns=[*_main(dia_sources, flux_unit), *_details(dia_sources, flux_unit)],
        cutouts=cutouts,
    )


def _main(table: Table, flux_unit: str) -> list[ListColumn]:
    """The columns of the table; places on the image are among the details where the sky's are known."""
    flux, error = column(table, "psfFlux"), column(table, "psfFluxErr")
    on_sky = bool(np.isfinite(column(table, "ra")).any())
    return [
        NumberColumn(
            name="snr", label="S/N", values=column(table, "snr"), decimals=1, limits="least most", is_signed=False
        ),
        *_reliability(table),
        NumberColumn(
            name="flux", label="flux", unit=flux_unit, values=flux, errors=error, decimals=_decimals_of(error),
            note="PSF flux on the difference",
        ),
        WordColumn(name="kind", label="kind", values=kinds(table)),
        WordColumn(
            name="cut", label="default cut", values=_verdicts(column(table, "dp_bad") > 0),
            note="dp_bad: not to be trusted, by the flags",
        ),
        FlagColumn(name="flags", label="flags", values=flag_words(table)),
        *(_number(table, name, label, unit="°", decimals=5) for name, label in _SKY.items() if on_sky),
        *(_number(table, name, name, decimals=2, is_detail=on_sky) for name in ("x", "y")),
    ]  # fmt: skip


def _reliability(table: Table) -> list[ListColumn]:
    """How likely each is real, where that was told."""
    if "reliability" not in table.colnames:
        return []
    values = column(table, "reliability")
    note = "Probability that it is real, by its pixels and numbers"
    return [NumberColumn(name="reliability", label="reliability", values=values, limits="least most", note=note)]


def _details(table: Table, flux_unit: str) -> list[ListColumn]:
    """What is told of the selected one alone."""
    fluxes: list[ListColumn] = [
        NumberColumn(
            name=name, label=label, unit=flux_unit, values=column(table, name), errors=column(table, f"{name}Err"),
            decimals=_decimals_of(column(table, f"{name}Err")), is_detail=True,
        )
        for name, label in _DETAILS.items()
        if name in table.colnames
    ]  # fmt: skip
    return [
        *fluxes,
        *(_number(table, n, n, decimals=2, is_detail=True) for n in ("extendedness",) if n in table.colnames),
    ]


def _number(
    table: Table, name: str, label: str, *, unit: str = "", decimals: int, is_detail: bool = False
) -> ListColumn:
    return NumberColumn(
        name=name, label=label, unit=unit, values=column(table, name), decimals=decimals, is_detail=is_detail
    )


def _verdicts(is_bad: BoolArray) -> list[str]:
    return ["dp_bad" if bad else "passed" for bad in is_bad]


def _decimals_of(errors: FloatArray) -> int:
    """Digits that show two of the smaller errors' own."""
    known = errors[np.isfinite(errors) & (errors > 0)]
    return int(np.clip(1 - np.floor(np.log10(np.percentile(known, 10))), 0, 9)) if len(known) else 3
