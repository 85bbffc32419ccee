"""The reference catalogue of a repository: put once, the same again at will, another only on request."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table

from diapipe.errors import InputError, UsageError
from diapipe.tasks.repository import create_repository, open_repository
from diapipe.tasks.repository.reference_catalog import DATASET, REFCATS, put_reference_catalog


def test_a_catalogue_is_put_and_replaced(tmp_path):
    table = Table({"id": [1, 2], "ra": [10.0, 11.0], "dec": [1.0, 2.0], "r_flux": [100.0, 200.0]})
    other = table.copy()
    other["r_flux"] = other["r_flux"] * 2
    create_repository(tmp_path / "repo")
    with open_repository(tmp_path / "repo", writeable=True) as butler:
        assert not put_reference_catalog(butler, table)
        assert put_reference_catalog(butler, table)
        with pytest.raises(UsageError, match="give --replace"):
            put_reference_catalog(butler, other)
        assert put_reference_catalog(butler, other, replace=True)
        found = butler.get(DATASET, collections=REFCATS)
        np.testing.assert_array_equal(found["r_flux"], other["r_flux"])
        with pytest.raises(InputError):
            put_reference_catalog(butler, Table({"x": [1.0]}), replace=True)
