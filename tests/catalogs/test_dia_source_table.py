"""The DIA source table and its identifiers."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.catalogs.dia_sources import dia_source_table
from diapipe.catalogs.ids import MAX_SOURCES, dia_source_ids, parts_of
from diapipe.catalogs.schema import DIA_SOURCE
from diapipe.errors import InputError, InternalError

CONTRACT = """diaSourceId visit detector band midpointMjdTai x xErr y yErr ra raErr dec decErr psfFlux psfFluxErr
psfChi2 psfNdata apFlux apFluxErr scienceFlux scienceFluxErr templateFlux templateFluxErr snr isNegative isDipole
dipoleMeanFlux ixx ixy iyy trailFlux trailNdata extendedness pixelFlags_bad pixelFlags_saturatedCenter centroid_flag
psfFlux_flag dp_bad"""


def test_every_column_is_there_with_its_unit():
    """The columns of the design's contract exist, in one order, with fluxes in the unit asked for."""
    table = dia_source_table({"psfFlux": np.arange(3.0)}, n=3, flux_unit="nJy")
    assert set(CONTRACT.split()) <= set(table.colnames)
    assert table.colnames == [column.name for column in DIA_SOURCE]
    assert str(table["psfFluxErr"].unit) == "nJy"
    assert np.isnan(table["psfFluxErr"]).all()
    assert table["trailNdata"].tolist() == [0, 0, 0]
    assert all(table[name].description for name in table.colnames)


def test_names_are_unique():
    """No column stands twice in the schema."""
    names = [column.name for column in DIA_SOURCE]
    assert len(names) == len(set(names))


def test_unknown_units_are_kept_and_unknown_columns_refused():
    """A file's own word for its counts is no error; a misspelled column is a defect."""
    assert str(dia_source_table({}, n=0, flux_unit="ADU/coadd")["psfFlux"].unit) == "ADU/coadd"
    with pytest.raises(InternalError, match="no column psfflux"):
        dia_source_table({"psfflux": np.zeros(1)}, n=1, flux_unit="adu")


def test_ids_come_apart_again():
    """Visit, detector and counter are recovered; an LSST visit number fits."""
    ids = dia_source_ids(visit=2025120200123, detector=188, n=5)
    assert ids.dtype == np.int64
    assert np.all(ids > 0)
    parts = parts_of(ids)
    assert set(parts.visit.tolist()) == {2025120200123}
    assert set(parts.detector.tolist()) == {188}
    assert parts.counter.tolist() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("visit", "detector", "n", "message"),
    [
        (-1, 0, 1, "visit -1 does not fit"),
        (0, 256, 1, "detector 256 does not fit an identifier; it must be from 0 to 255"),
        (0, 0, MAX_SOURCES, "16384 sources on one image do not fit"),
    ],
)
def test_ids_that_do_not_fit(visit, detector, n, message):
    """A part too large for its bits is refused, not wrapped."""
    with pytest.raises(InputError, match=message):
        dia_source_ids(visit=visit, detector=detector, n=n)
