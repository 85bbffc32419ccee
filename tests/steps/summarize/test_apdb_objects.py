"""Statistics of objects against those that Rubin's own pipeline wrote for the same sources of real images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table, vstack

from diapipe.catalogs.dia_objects import bands_of_sources
from diapipe.io import read_parquet
from diapipe.steps.summarize.objects import summarize_objects

pytestmark = pytest.mark.realdata

STATISTICS = ("Mean", "MeanErr", "Sigma", "Ndata", "Min", "Max", "MaxSlope", "ErrMean")


def preloaded(folder: Path, kind: str) -> Table:
    """All rows of one kind that a data set holds; those of files without rows have no types."""
    tables = [read_parquet(path) for path in sorted(folder.rglob(f"preloaded_{kind}_*.parq"))]
    return vstack([table for table in tables if len(table)], metadata_conflicts="silent")


def numbers(column) -> np.ndarray:
    """Float64, NaN where masked."""
    return np.ma.filled(np.ma.asarray(column).astype(np.float64), np.nan)


@pytest.mark.parametrize(("name", "n_objects"), [("hits2015", 551), ("cosmos_pdr2", 831), ("dc2", 119)])
def test_statistics_are_those_of_rubin(shared_data: Path, name, n_objects):
    """Every flux statistic of the last row of every object, to the rounding of float32 (1e-6 for sums of a few).

    Rubin's positions are plain means: ours are, where the sources say no errors, to 1e-6 arcsec.
    """
    folder = shared_data / "apdb_ci" / f"ap_verify_ci_{name}"
    sources, theirs = preloaded(folder, "dia_source"), preloaded(folder, "dia_object")
    sources = sources[np.unique(sources["diaSourceId"], return_index=True)[1]]
    bands = bands_of_sources(sources)
    sources.remove_columns(["raErr", "decErr", "ra_dec_Cov"])
    ours = summarize_objects(sources, np.asarray(sources["diaObjectId"]), bands=bands)
    theirs.sort("validityStartMjdTai" if "validityStartMjdTai" in theirs.colnames else "validityStart", reverse=True)
    theirs = theirs[np.unique(theirs["diaObjectId"], return_index=True)[1]]
    assert ours["diaObjectId"].tolist() == theirs["diaObjectId"].tolist()
    assert len(ours) == n_objects
    assert ours["nDiaSources"].tolist() == theirs["nDiaSources"].tolist()
    for column in (f"{band}_psfFlux{statistic}" for band in bands for statistic in STATISTICS):
        np.testing.assert_allclose(numbers(ours[column]), numbers(theirs[column]), rtol=1e-6, err_msg=column)
    for column in ("ra", "dec"):
        np.testing.assert_allclose(numbers(ours[column]), numbers(theirs[column]), rtol=0, atol=1e-6 / 3600)
