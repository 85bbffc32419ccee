"""Which part of what is true was found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from astropy.table import Table

from diapipe.catalogs.injections import TRAILED
from diapipe.numerics.arrays import BoolArray, FloatArray
from diapipe.numerics.proportions import Rise, Share, binned_shares, fit_rise, share
from diapipe.steps.validate.bins import GOOD_SNR, bins_of, number


def completeness_numbers(truth: Table, snr: FloatArray, mag: FloatArray | None, found: BoolArray) -> dict[str, Any]:
    """Shares above the S/N that counts, and where half of the points is found: of trails a PSF sees less than all."""
    above, points = snr > GOOD_SNR, np.asarray(truth["kind"]) != TRAILED
    shares, half = shares_by_kind(truth, above, found), fit_rise(np.log(snr[points]), found[points])
    numbers: dict[str, Any] = {"completeness": shares, "half_complete": _rise(half, np.exp)}
    if mag is not None:
        numbers["half_complete_mag"] = _rise(fit_rise(-mag[points], found[points]), np.negative)
    return numbers


def shares_by_kind(truth: Table, counted: BoolArray, found: BoolArray) -> dict[str, Any]:
    """Which part of the rows that count was found, of all and of each kind; for JSON."""
    return {
        name: plain(share(int(np.count_nonzero(rows & counted & found)), int(np.count_nonzero(rows & counted))))
        for name, rows in _kinds(truth).items()
    }


def completeness_table(truth: Table, snr: FloatArray, mag: FloatArray | None, found: BoolArray) -> Table:
    """Shares by kind and bin."""
    rows = []
    for by, values, edges in bins_of(snr, mag):
        for kind, chosen in _kinds(truth).items():
            shares = binned_shares(values[chosen], found[chosen], edges)
            rows += [
                (by, kind, low, high, one.n, one.n_of, one.value, one.low, one.high)
                for low, high, one in zip(edges[:-1], edges[1:], shares, strict=True)
                if one.n
            ]
    names = ("by", "kind", "from", "to", "n", "n_found", "completeness", "low", "high")
    return Table(rows=rows, names=names, dtype=("U8", "U16", "f8", "f8", "i8", "i8", "f8", "f8", "f8"))


def _kinds(truth: Table) -> dict[str, BoolArray]:
    """All rows, then those of each kind that there is."""
    kind = np.asarray(truth["kind"])
    every: dict[str, BoolArray] = {"all": np.ones(len(truth), np.bool_)}
    return every | {str(name): np.asarray(kind == name, dtype=np.bool_) for name in np.unique(kind)}


def _rise(found: Rise, of: Callable[[float], float]) -> dict[str, float | None]:
    """Where half is reached, and its interval of one sigma, through a monotonic function."""
    ends = sorted(float(of(found.half + sign * found.half_err)) for sign in (-1.0, 1.0))
    return {"value": number(float(of(found.half))), "low": number(ends[0]), "high": number(ends[1])}


def plain(found: Share) -> dict[str, float | int | None]:
    """For JSON."""
    return {name: number(value) for name, value in found._asdict().items()}
