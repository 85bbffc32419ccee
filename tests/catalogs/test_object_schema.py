"""The tables against Rubin's Science Data Model."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy import units

from diapipe.catalogs.dia_objects import bands_of_objects, dia_forced_source_table, dia_object_table, ordered_bands
from diapipe.catalogs.object_schema import DIA_FORCED_SOURCE, LSST_BANDS, dia_object_schema
from diapipe.catalogs.schema import DIA_SOURCE, FLUX, FLUX_PER_DAY, Column
from diapipe.errors import InternalError

NUMPY = {"long": "i8", "int": "i4", "short": "i2", "double": "f8", "float": "f4", "boolean": "?", "char": "U32"}
"""Types of the data model."""

STANDS_FOR = {FLUX: "nJy", FLUX_PER_DAY: "nJy/d", "area": "arcsec2"}


@pytest.fixture(scope="module")
def data_model(shared_data: Path) -> dict[str, dict[str, dict[str, str]]]:
    """Column by table and name."""
    tables: dict[str, dict[str, dict[str, str]]] = {}
    with (shared_data.parent / "sdm_columns.csv").open() as file:
        for row in csv.DictReader(file):
            tables.setdefault(row["table"], {})[row["column"]] = row
    return tables


def assert_like(column: Column, expected: dict[str, str]) -> None:
    """Type and unit are the data model's; where it names no unit of a time, ours is days."""
    assert column.dtype == NUMPY[expected["datatype"]], column.name
    unit = expected["unit"] or ("d" if column.name.endswith("MjdTai") else "")
    assert units.Unit(STANDS_FOR.get(column.unit, column.unit)) == units.Unit(unit.replace("pixel", "pix")), column.name


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("table", "schema"), [("DiaObject", dia_object_schema(LSST_BANDS)), ("DiaForcedSource", DIA_FORCED_SOURCE)]
)
def test_all_columns_of_the_data_model_are_there(data_model, table, schema):
    """Every column of DiaObject and DiaForcedSource, with its type and unit."""
    ours = {column.name: column for column in schema}
    assert data_model[table].keys() <= ours.keys()
    for name, expected in data_model[table].items():
        assert_like(ours[name], expected)


NOT_MEASURED = {
    "ssObjectReassocTimeMjdTai",  # nothing is associated with the solar system
    "shape_flag_parent_source",  # nothing is deblended
    "reliability",  # classify adds it: a column of NaN would let a cut on it pass in silence
    "reliabilityVersion",
    "timeProcessedMjdTai",  # two runs would differ
}
"""Columns of DiaSource that no measurement of ours fills."""

WIDER = {"detector": "i8", "x": "f8", "y": "f8"}
"""Columns of DIA sources that hold more digits than the data model asks for."""


@pytest.mark.realdata
def test_dia_sources_have_its_names_and_units(data_model):
    """Columns that DiaSource and ours share have its units and its types or wider ones; what is missing is known."""
    ours, theirs = {column.name: column for column in DIA_SOURCE}, data_model["DiaSource"]
    assert theirs.keys() - ours.keys() == NOT_MEASURED
    for name in theirs.keys() & ours.keys():
        assert_like(replace(ours[name], dtype=NUMPY[theirs[name]["datatype"]]), theirs[name])
        assert ours[name].dtype == WIDER.get(name, NUMPY[theirs[name]["datatype"]])


@pytest.mark.realdata
def test_columns_of_ours_are_marked(data_model):
    """What is not in the data model begins with dp_, or is spelled as in the table of DIA sources."""
    objects = {column.name for column in dia_object_schema(LSST_BANDS)} - data_model["DiaObject"].keys()
    own = ("psfFluxChi2", "fpFluxSigma", "fpFluxChi2", "fpFluxNdata", "templateFlux", "templateFluxErr")
    assert objects == {f"dp_{band}_{name}" for band in "ugrizy" for name in own}
    forced = {column.name for column in DIA_FORCED_SOURCE} - data_model["DiaForcedSource"].keys()
    sources = {column.name: column for column in DIA_SOURCE}
    for column in DIA_FORCED_SOURCE:
        if column.name in forced and not column.name.startswith("dp_"):
            assert (column.dtype, column.unit) == (sources[column.name].dtype, sources[column.name].unit)


def test_bands_are_free_and_ordered():
    """A survey's own bands get columns; their order is the data model's, then the alphabet's, never that of a set.

    The columns of the original came from a set, in another order in every process (A.2.1, 6).
    """
    assert ordered_bands(["VR", "y", "I", "u", "g", "g", ""]) == ("u", "g", "y", "I", "VR")
    table = dia_object_table({}, n=2, bands=("i", "VR"))
    assert bands_of_objects(table) == ("i", "VR")
    assert table.colnames == [column.name for column in dia_object_schema(("i", "VR"))]
    assert len(set(table.colnames)) == len(table.colnames)
    assert table["VR_psfFluxNdata"].tolist() == [0, 0]
    assert np.isnan(table["VR_psfFluxMean"]).all()
    assert str(table["VR_psfFluxMaxSlope"].unit) == "nJy / d"
    assert all(table[name].description for name in table.colnames)


def test_tables_are_complete():
    """Columns that were not measured are there; one that is not in the schema is a defect."""
    forced = dia_forced_source_table({"diaObjectId": np.arange(3)}, n=3)
    assert forced.colnames == [column.name for column in DIA_FORCED_SOURCE]
    assert str(forced["dp_templateFlux"].unit) == "nJy"
    with pytest.raises(InternalError, match="no column flux"):
        dia_forced_source_table({"flux": np.zeros(1)}, n=1)
