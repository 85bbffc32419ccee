"""Parents and children: sources that were deblended from others."""

from __future__ import annotations

import numpy as np
from astropy.table import Table


def without_orphans(table: Table, *, id: str, parent: str) -> Table:
    """The rows whose parent is in the table too, or who have none; parents first, then children by parent.

    Parameters
    ----------
    table
        Rows of sources; it stays as it is.
    id, parent
        Columns of a source's identifier and of its parent's, 0 for none.
    """
    ids, parents = np.asarray(table[id]), np.asarray(table[parent])
    kept = np.ones(len(table), np.bool_)
    while True:  # the children of a child that is dropped are orphans too
        known = kept & ((parents == 0) | np.isin(parents, ids[kept]))
        if (known == kept).all():
            break
        kept = known
    rows = np.flatnonzero(kept)
    return table[rows[np.lexsort((ids[rows], parents[rows]))]]
