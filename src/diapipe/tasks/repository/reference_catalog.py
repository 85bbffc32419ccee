"""A reference catalogue in a repository."""

from __future__ import annotations

from astropy.table import Table
from lsst.daf.butler import Butler, DatasetType

from diapipe.catalogs.source_tables import reference_list
from diapipe.catalogs.tables import same_rows
from diapipe.errors import UsageError

REFCATS = "refcats"
"""RUN collection of the reference catalogue."""
DATASET = "reference_catalog"
"""Its dataset type."""


def put_reference_catalog(butler: Butler, table: Table, *, replace: bool = False) -> bool:
    """Give a repository the stars that its images are calibrated by.

    Parameters
    ----------
    butler
        Writeable.
    table
        With ``ra`` and ``dec`` in degrees and fluxes by band, as `reference_list` reads them.
    replace
        Whether it takes the place of the one that is there.

    Returns
    -------
    bool
        Whether there was one before. The same again changes nothing.

    Raises
    ------
    InputError
        If the table is no reference catalogue.
    UsageError
        If there is another already.
    """
    reference_list(table)
    butler.registry.registerDatasetType(DatasetType(DATASET, (), "ArrowAstropy", universe=butler.dimensions))
    butler.collections.register(REFCATS)
    found = butler.find_dataset(DATASET, collections=REFCATS)
    if found is not None and same_rows(butler.get(found), table):
        return True
    if found is not None and not replace:
        raise UsageError("the repository has a reference catalogue already; give --replace to put this in its place")
    if found is not None:
        butler.pruneDatasets([found], purge=True, unstore=True, disassociate=True)
    butler.put(table, DATASET, run=REFCATS)
    return found is not None
