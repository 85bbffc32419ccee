"""The table of sources: which are listed, and what each cell says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy.table import Table

from diapipe.numerics.arrays import FloatArray, IntArray
from diapipe.report.numbers import fixed, with_error

AT_MOST_GOOD = 100
AT_MOST_BAD = 40
FLAG_WORDS = {
    "dp_residual": "residual of the subtraction",
    "dp_badPixel": "unusable pixel in the core",
    "pixelFlags_offimage": "beyond the border",
    "pixelFlags_saturated": "saturated",
    "pixelFlags_saturatedCenter": "saturated",
    "pixelFlags_cr": "cosmic ray",
    "pixelFlags_crCenter": "cosmic ray",
    "pixelFlags_bad": "bad pixel",
    "pixelFlags_edge": "edge",
    "pixelFlags_interpolated": "interpolated",
    "pixelFlags_suspect": "suspect",
    "pixelFlags_streak": "streak",
    "pixelFlags_injectedCenter": "injected",  # the footprint may be a long one, with somebody else's light in it
    "pixelFlags_injected_templateCenter": "injected",
}
"""What pages call the flags of a source."""


@dataclass(frozen=True, slots=True)
class Row:
    """One source as the page lists it: text of its cells, and the plain numbers to sort by."""

    index: int
    kind: str
    is_bad: bool
    x: float
    y: float
    ra: str
    dec: str
    flux: str
    snr: float
    reliability: float
    sort_flux: float
    remarks: str

    @property
    def snr_text(self) -> str:
        """Signal-to-noise with one decimal."""
        return fixed(self.snr, 1)


def detected(dia_sources: Table) -> Table:
    """The table without its sky sources, which stand where nothing was found."""
    return dia_sources[~(column(dia_sources, "sky_source") > 0)]


def listed(dia_sources: Table) -> IntArray:
    """Indices of the sources to list: the most significant good ones, then some of those with ``dp_bad``."""
    snr, bad = np.abs(column(dia_sources, "snr")), column(dia_sources, "dp_bad") > 0
    order = np.argsort(-np.nan_to_num(snr), kind="stable")
    good, poor = order[~bad[order]][:AT_MOST_GOOD], order[bad[order]][:AT_MOST_BAD]
    chosen = np.concatenate([good, poor])
    return chosen[np.argsort(-np.nan_to_num(snr[chosen]), kind="stable")].astype(np.int64)


def rows_of(dia_sources: Table, index: IntArray) -> list[Row]:
    """The listed sources, in the order of ``index``."""
    names = ("x", "y", "ra", "dec", "psfFlux", "psfFluxErr", "snr", "reliability", "dp_bad")
    chosen = dia_sources[index]
    columns = {name: column(chosen, name) for name in names}
    kind, remarks = kinds(chosen), [", ".join(words) for words in flag_words(chosen)]
    return [
        _row(int(i), {name: float(c[k]) for name, c in columns.items()}, kind[k], remarks[k])
        for k, i in enumerate(index)
    ]


def column(table: Table, name: str) -> FloatArray:
    """A column as numbers; NaN (0 for booleans' sake: not set) where the table has none."""
    if name not in table.colnames:
        return np.full(len(table), 0.0 if name.startswith(("is", "dp_")) else np.nan)
    values = np.ma.filled(np.ma.asarray(table[name], dtype=np.float64), np.nan)
    return np.asarray(values, dtype=np.float64)


def kinds(dia_sources: Table) -> list[str]:
    """What each source looks like: a dipole, negative or positive."""
    dipole, negative = column(dia_sources, "isDipole") > 0, column(dia_sources, "isNegative") > 0
    return [str(kind) for kind in np.where(dipole, "dipole", np.where(negative, "negative", "positive"))]


def _row(index: int, value: dict[str, float], kind: str, remarks: str) -> Row:
    """Cells of one source."""
    return Row(
        index=index,
        kind=kind,
        is_bad=bool(value["dp_bad"]),
        x=value["x"],
        y=value["y"],
        ra=fixed(value["ra"], 5),
        dec=fixed(value["dec"], 5),
        flux=with_error(value["psfFlux"], value["psfFluxErr"]),
        snr=value["snr"],
        reliability=value["reliability"],
        sort_flux=value["psfFlux"] if np.isfinite(value["psfFlux"]) else 0.0,
        remarks=remarks,
    )


def flag_words(dia_sources: Table) -> list[list[str]]:
    """What the pixel flags say of each source, in words, each once."""
    said: list[list[str]] = [[] for _ in range(len(dia_sources))]
    for name, word in FLAG_WORDS.items():
        for k in np.flatnonzero(column(dia_sources, name) > 0) if name in dia_sources.colnames else ():
            if word not in said[k]:
                said[k].append(word)
    return said
