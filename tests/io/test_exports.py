"""Exports: each is read back as its users read it, or by its documented layout."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from astropy.io.votable import parse
from astropy.io.votable.ucd import check_ucd
from astropy.table import MaskedColumn, Table
from tests.forced_tables import forced_table, object_table

from diapipe.catalogs.dia_sources import dia_source_table
from diapipe.catalogs.light_curve import light_curves
from diapipe.errors import InputError, UsageError, WriteError
from diapipe.io.exports import EXPORTS, BandNames, SurveyTables, export_tables
from diapipe.numerics.healpix import nested_pixels


@pytest.fixture
def tables(rng) -> SurveyTables:
    """Objects, their forced sources, and a few sources of either sign."""
    forced = forced_table(rng, n_objects=4)
    objects = object_table(forced)
    ids = np.asarray(objects["diaObjectId"])
    sources = dia_source_table(
        {
            "diaSourceId": np.arange(1, 7),
            "diaObjectId": np.array([ids[0], ids[2], ids[0], 0, ids[2], ids[2]]),
            "ra": np.array([10.0, 10.1, 359.99999, 0.0, np.nan, 5.0]),
            "dec": np.array([-30.0, 0.0, 89.0, -89.5, 0.0, 5.0]),
            "midpointMjdTai": np.array([3.0, 2.0, 1.0, 0.0, 1.0, 0.5]),
            "band": np.array(["g", "r", "g", "i", "r", "r"]),
            "psfFlux": np.array([1.0, -2.0, 3.5, 4.0, np.nan, 0.1]),
            "isNegative": np.array([False, True, False, False, False, False]),
            "dp_bad": np.array([False, False, True, False, False, False]),
        },
        n=6,
        flux_unit="nJy",
    )
    return SurveyTables(dia_objects=objects, dia_sources=sources, forced_sources=forced)


def write(tables: SurveyTables, place: Path, kind: str, **options) -> Path:
    """Export and return the place."""
    export_tables(tables, place, export=EXPORTS.make(kind, **options))
    assert [path.name for path in place.parent.iterdir()] == [place.name], "something is left beside"
    return place


def equal(ours: np.ndarray, theirs: np.ndarray) -> bool:
    """Equal to the last bit, NaN being NaN."""
    return bool(np.array_equal(ours, theirs, equal_nan=ours.dtype.kind == "f"))


# --- single tables ------------------------------------------------------------------------------------------


def test_csv_is_read_by_pandas(tables, tmp_path):
    """Pandas has every number back, what is missing as NaN, identifiers as integers."""
    pandas = pytest.importorskip("pandas")
    folder = write(tables, tmp_path / "out", "csv")
    assert {path.stem for path in folder.iterdir()} == set(tables.named())
    for name, table in tables.named().items():
        frame = pandas.read_csv(folder / f"{name}.csv")
        assert list(frame.columns) == table.colnames
        for column in table.colnames:
            ours = np.asarray(table[column])
            if ours.dtype.kind == "U":
                assert frame[column].fillna("").tolist() == ours.tolist()
            else:
                assert equal(ours, frame[column].to_numpy().astype(ours.dtype)), (name, column)


def test_one_table_is_one_file(tables, tmp_path):
    """A single table becomes the file itself."""
    path = write(SurveyTables(dia_objects=tables.dia_objects), tmp_path / "objects.csv", "csv")
    assert Table.read(path, format="ascii.csv")["diaObjectId"].tolist() == tables.dia_objects["diaObjectId"].tolist()


def test_votable_is_read_by_astropy(tables, tmp_path):
    """Values, units and descriptions return; the Virtual Observatory is told what is a position and what a time."""
    folder = write(tables, tmp_path / "out", "votable")
    for name, table in tables.named().items():
        document = parse(folder / f"{name}.vot", verify="exception")
        back = document.get_first_table().to_table()
        for column in table.colnames:
            ours, theirs = table[column], back[column]
            filled = np.ma.filled(theirs, np.nan) if ours.dtype.kind == "f" else np.asarray(theirs)
            assert equal(np.asarray(ours), filled.astype(ours.dtype)), (name, column)
            assert (ours.unit or "") == (theirs.unit or "")
            assert "".join(ours.description.split()) == "".join(theirs.description.split())  # astropy folds lines
        fields = {field.name: field for field in document.get_first_table().fields}
        assert fields["ra"].ucd == "pos.eq.ra;meta.main"
        told = {field.name: field.ucd for field in fields.values() if field.ucd}
        assert all(check_ucd(ucd, check_controlled_vocabulary=True, has_colon=True) for ucd in told.values())
        untold = set(table.colnames) - told.keys()
        if name != "dia_source":
            assert all(re.fullmatch("dp_.*|time.*MjdTai|._psfFluxMaxSlope", column) for column in untold), untold
        assert fields["ra"].ref == document.resources[0].coordinate_systems[0].ID == "icrs"


def test_missing_numbers_stay_missing(tmp_path):
    """A masked integer is missing in VOTable and CSV, a NaN is no number; many rows and none come back."""
    n = 30_011
    table = Table({"diaObjectId": np.arange(n), "ra": np.linspace(0.0, 360.0, n), "dec": np.full(n, 0.5)})
    table["nDiaSources"] = MaskedColumn(np.arange(n, dtype=np.int32), mask=np.arange(n) % 7 == 3)
    table["dec"][5] = np.nan
    for part in (table, table[:0]):
        tables = SurveyTables(dia_objects=part)
        for kind in ("votable", "csv"):
            path = tmp_path / f"{kind}{len(part)}"
            export_tables(tables, path, export=EXPORTS.make(kind))
            back = Table.read(path, format={"votable": "votable", "csv": "ascii.csv"}[kind])
            assert np.array_equal(back["diaObjectId"], part["diaObjectId"])
            assert np.array_equal(np.float64(back["ra"]), part["ra"])
            if len(part):
                assert np.array_equal(back["nDiaSources"].mask, part["nDiaSources"].mask)
                assert np.isnan(np.ma.filled(back["dec"], np.nan)[5])


def test_regions_are_circles_of_the_sky(tables, tmp_path):
    """Every row with a position has a circle with its identifier; negative ones are red, bad ones dashed."""
    both = SurveyTables(dia_objects=tables.dia_objects, dia_sources=tables.dia_sources)
    lines = write(both, tmp_path / "all.reg", "ds9", radius_arcsec=3.0).read_text().splitlines()
    assert lines[0] == "# Region file format: DS9 version 4.1"
    assert lines[2] == "icrs"
    circle = re.compile(r'^circle\(([\d.]+),([-\d.]+),([\d.]+)"\) #(.*) text=\{(\d+)\}$')
    found = [circle.match(line).groups() for line in lines[3:]]
    n = len(tables.dia_objects)
    for (ra, dec, radius, marks, key), row in zip(found[:n], tables.dia_objects, strict=True):
        assert (float(ra), float(dec)) == pytest.approx((row["ra"], row["dec"]), abs=1e-8)
        assert (radius, marks, int(key)) == ("3", "", row["diaObjectId"])
    assert [int(key) for *_, key in found[n:]] == [1, 2, 3, 4, 6]  # the fifth has no position
    assert [marks.strip() for *_, marks, _ in found[n : n + 3]] == ["color=cyan", "color=red", "color=cyan dash=1"]


# --- light curves -------------------------------------------------------------------------------------------


def read_sncosmo(path: Path) -> tuple[dict[str, str], list[dict[str, str]]]:
    """Sncosmo's layout: ``@key value``, a line of names, rows."""
    lines = path.read_text().splitlines()
    meta = dict(line[1:].split(" ", 1) for line in lines if line.startswith("@"))
    names, *rows = (line.split() for line in lines if not line.startswith("@"))
    return meta, [dict(zip(names, row, strict=True)) for row in rows]


def test_sncosmo_has_the_fluxes_and_their_zero_point(tables, tmp_path):
    """Each object's file has its measured epochs, in nJy of zero point 31.4 AB, under sncosmo's names of the bands."""
    folder = write(tables, tmp_path / "curves", "sncosmo", band_names=BandNames.of("lsst{band}"))
    curves = list(light_curves(tables.forced_sources))
    assert sorted(path.stem for path in folder.iterdir()) == sorted(str(curve.dia_object_id) for curve in curves)
    for curve in curves:
        meta, rows = read_sncosmo(folder / f"{curve.dia_object_id}.txt")
        good = curve.measured()
        assert float(meta["ra"]) == pytest.approx(curve.ra, abs=1e-8)
        assert [row["band"] for row in rows] == [f"lsst{band}" for band in good.band]
        assert {(row["zp"], row["zpsys"]) for row in rows} == {("31.4", "ab")}
        for name, values in (("time", good.mjd), ("flux", good.flux), ("fluxerr", good.flux_err)):
            assert [float(row[name]) for row in rows] == pytest.approx(values, rel=1e-6)


def read_snana(path: Path) -> tuple[dict[str, str], list[dict[str, str]]]:
    """SNANA's text layout: ``KEY: value``, rows after OBS: by VARLIST:, END:."""
    lines = [line.split("#")[0].split() for line in path.read_text().splitlines() if line.strip()]
    assert lines[-1] == ["END:"]
    head = {line[0].rstrip(":"): " ".join(line[1:]) for line in lines if line[0] not in ("OBS:", "END:")}
    names = head["VARLIST"].split()
    rows = [dict(zip(names, line[1:], strict=True)) for line in lines if line[0] == "OBS:"]
    assert (int(head["NVAR"]), int(head["NOBS"])) == (len(names), len(rows))
    return head, rows


def test_snana_has_fluxcal(tables, tmp_path):
    """FLUXCAL has the zero point 27.5: 1,000 nJy, of magnitude 23.9, are 27.5423. The list names every file."""
    folder = write(tables, tmp_path / "MYDATA", "snana", survey="DES")
    files = (folder / "MYDATA.LIST").read_text().split()
    assert (folder / "MYDATA.README").exists()
    curves = {curve.dia_object_id: curve.measured() for curve in light_curves(tables.forced_sources)}
    assert files == [f"MYDATA_{key}.DAT" for key in curves]
    for name in files:
        head, rows = read_snana(folder / name)
        curve = curves[int(head["SNID"])]
        assert (head["SURVEY"], head["FILTERS"]) == ("DES", "gri")
        assert float(head["DEC"]) == pytest.approx(curve.dec, abs=1e-8)
        assert [row["FLT"] for row in rows] == curve.band.tolist()
        assert [float(row["FLUXCAL"]) for row in rows] == pytest.approx(curve.flux * 0.0275423, rel=1e-5)
        assert [float(row["FLUXCALERR"]) for row in rows] == pytest.approx(curve.flux_err * 0.0275423, rel=1e-5)


def test_bands_keep_apart():
    """SNANA's y is Y; two bands never share a name, and a name of two letters is refused."""
    assert EXPORTS.make("snana").band_names.of_bands(["g", "y"]) == {"g": "g", "y": "Y"}
    assert BandNames.of("g=ztfg,r=ztfr").of_bands(["g", "r", "i"]) == {"g": "ztfg", "r": "ztfr", "i": "i"}
    with pytest.raises(UsageError, match="bands i, y would be called Y, Y"):
        BandNames(named={"i": "Y", "y": "Y"}).of_bands(["i", "y"])
    with pytest.raises(UsageError, match="not as 'lsst'"):
        BandNames.of("lsst")


def test_snana_refuses_long_names(rng, tmp_path):
    """A band that SNANA cannot name is refused, and nothing is left."""
    forced = forced_table(rng)
    forced["band"][:] = "VR"
    with pytest.raises(UsageError, match="one letter, not VR"):
        export_tables(SurveyTables(forced_sources=forced), tmp_path / "x", export=EXPORTS.make("snana"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["sncosmo", "snana"])
def test_uncalibrated_fluxes_are_refused(tables, tmp_path, kind):
    """Counts have no zero point; microjansky become nanojansky."""
    for unit, factor in (("uJy", 1000.0), ("adu", None)):
        forced = tables.forced_sources.copy()
        for name in ("psfFlux", "psfFluxErr"):
            forced[name].unit = unit
        place = tmp_path / unit
        if factor is None:
            with pytest.raises(InputError, match="fluxes are in adu; this format needs calibrated ones, in nJy"):
                write(SurveyTables(forced_sources=forced), place, kind)
        else:
            folder = write(SurveyTables(forced_sources=forced), place, kind)
            curve = next(light_curves(tables.forced_sources)).measured()
            if kind == "sncosmo":
                _, rows = read_sncosmo(folder / f"{curve.dia_object_id}.txt")
                assert float(rows[0]["flux"]) == pytest.approx(factor * curve.flux[0], rel=1e-6)
            shutil.rmtree(folder)


@pytest.mark.parametrize("kind", ["sncosmo", "snana"])
def test_objects_without_a_measurement_have_no_file(tables, tmp_path, kind):
    """An object of which nothing may be trusted, and an epoch of an unknown band, are left out."""
    forced = tables.forced_sources.copy()
    ids = np.unique(forced["diaObjectId"])
    forced["psfFlux_flag"][forced["diaObjectId"] == ids[1]] = True
    forced["band"][(forced["diaObjectId"] == ids[0]) & (forced["visit"] == 7)] = ""
    folder = write(SurveyTables(forced_sources=forced), tmp_path / "D", kind)
    text = {path.stem.removeprefix("D_"): path.read_text() for path in folder.glob("*[0-9].*")}
    assert sorted(text) == sorted(str(key) for key in ids if key != ids[1])
    rows = [line for line in text[str(ids[0])].splitlines() if line.removeprefix("OBS:").strip()[:2] == "60"]
    assert len(rows) == 40 - 3


# --- HATS ---------------------------------------------------------------------------------------------------


def read_properties(path: Path) -> dict[str, str]:
    """Java properties."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    return dict(line.replace("\\:", ":").split("=", 1) for line in lines)


def test_hats_has_every_object_in_its_pixel(rng, tmp_path):
    """Rows of each file lie in its pixel and are sorted by _healpix_29; files, partitions and properties agree."""
    n = 3000
    objects = object_table(forced_table(rng, n_objects=1))[np.zeros(n, np.int64)]
    objects["diaObjectId"] = rng.permutation(n) + 1
    objects["ra"], objects["dec"] = rng.uniform(0.0, 360.0, n), np.degrees(np.arcsin(rng.uniform(-1.0, 1.0, n)))
    objects["ra"][: n // 2], objects["dec"][: n // 2] = 10.0 + rng.uniform(-1, 1, n // 2), 20.0  # a crowded place
    place = write(SurveyTables(dia_objects=objects), tmp_path / "hats", "hats", rows_per_file=200)
    partitions = Table.read(place / "partition_info.csv", format="ascii.csv")
    assert partitions.colnames == ["Norder", "Npix"]
    assert len(set(partitions["Norder"])) > 2
    ids: list[int] = []
    for order, pixel in partitions:
        path = place / "dataset" / f"Norder={order}" / f"Dir={pixel // 10000 * 10000}" / f"Npix={pixel}.parquet"
        part = pq.ParquetFile(path).read()
        assert part.column_names[0] == "_healpix_29"
        assert part.num_rows <= 200
        index = part["_healpix_29"].to_numpy()
        assert np.all(np.diff(index) >= 0)
        assert set(index >> 2 * (29 - order)) == {pixel}
        assert np.array_equal(index, nested_pixels(part["ra"].to_numpy(), part["dec"].to_numpy()))
        ids += part["diaObjectId"].to_pylist()
    assert sorted(ids) == list(range(1, n + 1))
    found = read_properties(place / "hats.properties")
    assert (int(found["hats_nrows"]), found["hats_col_healpix"], found["dataproduct_type"]) == (
        n,
        "_healpix_29",
        "object",
    )
    assert int(found["hats_order"]) == max(partitions["Norder"])
    footer = pq.read_metadata(place / "dataset" / "_metadata")
    assert footer.num_rows == n
    named = {footer.row_group(i).column(0).file_path for i in range(footer.num_row_groups)}
    assert len(named) == len(partitions)
    assert all((place / "dataset" / name).exists() for name in named)
    assert ds.dataset(place / "dataset", partitioning="hive", exclude_invalid_files=True).count_rows() == n


def test_hats_nests_light_curves(tables, tmp_path):
    """An object's nested columns have its rows of the other tables in order of time; none is an empty list."""
    place = write(tables, tmp_path / "hats", "hats")
    part = pq.ParquetFile(next((place / "dataset").rglob("Npix=*.parquet"))).read()
    curves = {curve.dia_object_id: curve for curve in light_curves(tables.forced_sources)}
    n_sources = []
    for row in part.to_pylist():
        nested = row["diaObjectForcedSource"]
        curve = curves[row["diaObjectId"]]
        assert nested["midpointMjdTai"] == curve.mjd.tolist()
        assert nested["band"] == curve.band.tolist()
        assert equal(np.array(nested["psfFlux"], dtype=np.float64), curve.flux)
        assert "diaObjectId" not in nested
        own = row["diaSource"]
        n_sources.append(len(own["diaSourceId"]))
        assert own["midpointMjdTai"] == sorted(own["midpointMjdTai"])
    assert sorted(n_sources) == [0, 0, 2, 3]
    assert part.schema.field("ra").metadata[b"unit"] == b"deg"


def test_no_objects_make_an_empty_catalogue(tables, tmp_path):
    """A patch without objects has a catalogue without files."""
    empty = SurveyTables(dia_objects=tables.dia_objects[:0], forced_sources=tables.forced_sources[:0])
    place = write(empty, tmp_path / "hats", "hats")
    assert read_properties(place / "hats.properties")["hats_nrows"] == "0"
    assert pq.read_schema(place / "dataset" / "_common_metadata").names[0] == "_healpix_29"


# --- all ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", EXPORTS)
def test_every_format_leaves_its_tables_alone(tables, tmp_path, kind):
    """The tables are the same afterwards; what is there is not overwritten where it is a folder."""
    before = {name: table.copy() for name, table in tables.named().items()}
    place = write(tables, tmp_path / "out", kind)
    for name, table in tables.named().items():
        assert table.colnames == before[name].colnames
        assert all(equal(np.asarray(table[column]), np.asarray(before[name][column])) for column in table.colnames)
    if place.is_dir():
        with pytest.raises(WriteError, match="something is there; give a folder that is new or empty"):
            write(tables, place, kind)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("hats", {"rows_per_file": 0}, "rows_per_file of Hats must be positive, not 0"),
        ("hats", {"largest_order": 30}, "largest_order of Hats must be at most 29, not 30"),
        ("ds9", {"radius_arcsec": -1.0}, "radius_arcsec of Ds9 must be positive"),
    ],
)
def test_numbers_out_of_range_are_refused(kind, options, message):
    """A parameter that can mean nothing is refused before any work is done."""
    with pytest.raises(UsageError, match=message):
        EXPORTS.make(kind, **options)


@pytest.mark.parametrize(
    ("kind", "table", "column"),
    [
        ("hats", "dia_sources", "diaObjectId"),
        ("ds9", "dia_sources", "ra"),
        ("sncosmo", "forced_sources", "psfFluxErr"),
        ("snana", "forced_sources", "band"),
    ],
)
def test_missing_columns_are_named(tables, tmp_path, kind, table, column):
    """A table that lacks a column is refused by its name, and nothing is left."""
    poorer = getattr(tables, table).copy()
    poorer.remove_column(column)
    with pytest.raises(InputError, match=f"has no column {column}"):
        export_tables(replace(tables, **{table: poorer}), tmp_path / "x", export=EXPORTS.make(kind))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("kind", "needed"), [("sncosmo", "dia_object_forced_source"), ("hats", "dia_object")])
def test_missing_tables_are_named(tables, tmp_path, kind, needed):
    """A format says which table it needs and what it got."""
    with pytest.raises(InputError, match=f"needs {needed}; given were dia_source"):
        export_tables(SurveyTables(dia_sources=tables.dia_sources), tmp_path / "x", export=EXPORTS.make(kind))


def test_tables_are_known_by_their_columns(tables):
    """Files of patches become one table of their kind; a table of another kind is refused by name."""
    halves = [("a", tables.dia_objects[:2]), ("b", tables.dia_objects[2:]), ("c", tables.forced_sources)]
    found = SurveyTables.of([*halves, ("d", tables.dia_sources)])
    assert found.dia_objects["diaObjectId"].tolist() == tables.dia_objects["diaObjectId"].tolist()
    assert found.dia_objects["ra"].unit == "deg"
    assert len(found.forced_sources) == len(tables.forced_sources)
    assert len(found.dia_sources) == 6
    with pytest.raises(InputError, match="what was given has 2 diaObjectIds more than once, the first of them 1000003"):
        SurveyTables.of([*halves, ("a", tables.dia_objects[:2])])
    with pytest.raises(InputError, match=r"stars\.parquet is no table of DIA objects, .* it has x, y"):
        SurveyTables.of([("stars.parquet", Table({"x": [1], "y": [2]}))])
