"""Tables of forced sources and of DIA objects with known contents, for the tests of light curves and exports."""

from __future__ import annotations

import numpy as np
from astropy.table import Table

from diapipe.catalogs.dia_objects import dia_forced_source_table, dia_object_table

EVENT_MJD = (60030.0, 60070.0)


def forced_table(
    rng: np.random.Generator, *, n_objects: int = 3, n_epochs: int = 40, level: float = 0.0, bands: str = "gri"
) -> Table:
    """Forced sources of objects that shine with 1,000 nJy for 40 days from `EVENT_MJD`, on a level; errors of 20 nJy.

    In no order; the first epoch of every object has no flux, the second is flagged.
    """
    n = n_objects * n_epochs
    visit = np.tile(np.arange(n_epochs), n_objects)
    mjd = 60000.0 + 100.0 * visit / n_epochs
    shines = (mjd >= EVENT_MJD[0]) & (mjd <= EVENT_MJD[1])
    err = rng.uniform(15.0, 25.0, n)
    flux = level + np.where(shines, 1000.0, 0.0) + rng.normal(0.0, err)
    flux[visit == 0] = np.nan
    ids = np.repeat(np.arange(1, n_objects + 1) * 1_000_003, n_epochs)
    order = rng.permutation(n)
    columns = {
        "diaForcedSourceId": np.arange(1, n + 1),
        "diaObjectId": ids,
        "ra": 10.0 + ids / 1e7,
        "dec": -30.0 - ids / 1e7,
        "visit": visit,
        "detector": np.full(n, 4),
        "psfFlux": flux,
        "psfFluxErr": err,
        "midpointMjdTai": mjd,
        "scienceFlux": flux + 5000.0,
        "scienceFluxErr": err,
        "band": np.array(list(bands))[visit % len(bands)],
        "psfFlux_flag": visit <= 1,
    }
    return dia_forced_source_table({name: values[order] for name, values in columns.items()}, n=n)


def object_table(forced: Table, *, bands: tuple[str, ...] = ("g", "r", "i")) -> Table:
    """The objects of forced sources."""
    ids, first = np.unique(np.asarray(forced["diaObjectId"]), return_index=True)
    return dia_object_table(
        {"diaObjectId": ids, "ra": np.asarray(forced["ra"])[first], "dec": np.asarray(forced["dec"])[first]},
        n=len(ids),
        bands=bands,
    )
