"""How well the DIA objects of a simulated survey, and their light curves, recover its truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from astropy.table import Table, join, vstack

from diapipe.catalogs.matching import match_sky
from diapipe.numerics.arrays import FloatArray, IntArray
from diapipe.numerics.stats import median, robust_sigma

MATCH_ARCSEC = 0.6
"""An object and a true place closer than this are one: three pixels of the simulated camera."""

_SEEN = 2
"""Differences on which something is to be found before it counts as an object."""


class Places(NamedTuple):
    """Positions, degrees."""

    ra: FloatArray
    dec: FloatArray

    @classmethod
    def of(cls, table: Table) -> Places:
        """Those of the rows of a table."""
        return cls(np.asarray(table["ra"], np.float64), np.asarray(table["dec"], np.float64))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ObjectRecovery:
    """The objects of a survey against its truth.

    Attributes
    ----------
    n_true, n_found
        Transients and variables whose change was found on two differences or more, and those that are an object.
    n_seen, n_real
        Objects of two sources or more, and those of them at the place of something that truly changes.
    n_double
        Objects beyond the first at one true place.
    pairs
        diaObjectId, object_id and kind of each object that is a transient or a variable, one to one.
    epochs
        Forced fluxes of these on the differences compared, beside the truth: object_id, kind, visit, band, flux (the
        true one), psfFlux, psfFluxErr, pull; only where both can be trusted.
    """

    n_true: int
    n_found: int
    n_seen: int
    n_real: int
    n_double: int
    pairs: Table
    epochs: Table

    def pulls(self, band: str | None = None) -> FloatArray:
        """(forced flux - truth) / error, of one band or of all."""
        chosen = slice(None) if band is None else np.asarray(self.epochs["band"]) == band
        return np.asarray(self.epochs["pull"], np.float64)[chosen]

    @property
    def sentence(self) -> str:
        """All of it in a line."""
        pulls = self.pulls()
        return (
            f"Objects: {self.n_found} of the {self.n_true} changes that were found twice; {self.n_real} of the "
            f"{self.n_seen} objects seen twice are real. Light curves: (flux - truth) / error of {len(pulls)} fluxes "
            f"has median {median(pulls):+.2f} and scatter {robust_sigma(pulls):.2f}."
        )


def object_recovery(
    *, dia_objects: Table, forced_sources: Table, expected: Sequence[Table], found: Mapping[int, int], fluxes: Table
) -> ObjectRecovery:
    """Compare objects and light curves with the truth.

    Parameters
    ----------
    dia_objects, forced_sources
        Of all patches.
    expected
        True fluxes on each difference compared, as `SurveyTruth.expected` has them.
    found
        On how many differences the change of each true object was found.
    fluxes
        Truth table of all that changes, on all exposures; moving objects have their places there.
    """
    stays = _first_of_each(fluxes[np.asarray(fluxes["kind"]) != "moving"])
    objects, places = Places.of(dia_objects), Places.of(stays)
    near = match_sky(objects, places, radius_arcsec=MATCH_ARCSEC)
    pairs = match_sky(objects, places, radius_arcsec=MATCH_ARCSEC, keep="one_to_one")
    matched = Table(
        {
            "diaObjectId": np.asarray(dia_objects["diaObjectId"])[pairs.first],
            "object_id": np.asarray(stays["object_id"])[pairs.second],
            "kind": np.asarray(stays["kind"])[pairs.second],
        }
    )
    wanted = [number for number, n in found.items() if n >= _SEEN and number in set(stays["object_id"].tolist())]
    seen = np.asarray(dia_objects["nDiaSources"]) >= _SEEN
    real = match_sky(objects, Places.of(fluxes), radius_arcsec=MATCH_ARCSEC, keep="nearest").first
    return ObjectRecovery(
        n_true=len(wanted),
        n_found=len(set(wanted) & set(matched["object_id"].tolist())),
        n_seen=int(seen.sum()),
        n_real=int(seen[real].sum()),
        n_double=int(np.maximum(np.bincount(near.second) - 1, 0).sum()) if len(near.second) else 0,
        pairs=matched,
        epochs=_epochs(forced_sources, matched, vstack(list(expected), metadata_conflicts="silent")),
    )


def _epochs(forced_sources: Table, pairs: Table, expected: Table) -> Table:
    """Forced fluxes beside true ones, where both can be trusted."""
    true = expected[np.asarray(expected["is_known"])]
    good = ~np.asarray(forced_sources["psfFlux_flag"]) & ~np.asarray(forced_sources["dp_badPixel"])
    forced = forced_sources["diaObjectId", "visit", "detector", "band", "x", "y", "psfFlux", "psfFluxErr"][good]
    of_objects = join(forced, pairs, "diaObjectId")
    keys = ["object_id", "visit", "detector"]
    rows = join(of_objects, true[*keys, "flux"], keys)
    rows["pull"] = (np.asarray(rows["psfFlux"], np.float64) - rows["flux"]) / np.asarray(rows["psfFluxErr"], np.float64)
    return rows


def _first_of_each(rows: Table) -> Table:
    """One row of each object."""
    first: IntArray = np.unique(np.asarray(rows["object_id"]), return_index=True)[1]
    return rows[first]
