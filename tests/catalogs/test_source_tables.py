"""Tables of sources become one noun, whatever their columns are called, and come back without loss."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.table import MaskedColumn, Table
from astropy.wcs import WCS

from diapipe.catalogs.flag_names import flag_name
from diapipe.catalogs.source_tables import reference_list, source_list, source_table
from diapipe.catalogs.sources import SourceList
from diapipe.catalogs.stars import StarList
from diapipe.errors import InputError

OURS = {
    "sourceId": [11, 12, 13],
    "x": [10.0, 20.0, 30.0],
    "y": [5.0, 6.0, 7.0],
    "ra": [359.9, 0.1, 0.2],
    "dec": [-30.0, -30.1, -30.2],
    "psfFlux": [100.0, 200.0, 50.0],
    "psfFluxErr": [10.0, 10.0, 5.0],
    "ixx": [4.0, 4.1, 9.0],
    "ixy": [0.0, 0.1, 0.2],
    "iyy": [4.0, 3.9, 9.0],
    "extendedness": [0.0, 0.0, 1.0],
    "detect_isPrimary": [True, True, False],
    "sky_source": [False, False, True],
    "centroid_flag": [False, True, False],
    "pixelFlags_crCenter": [True, False, False],
}
AFW = {
    "sourceId": "id",
    "x": "slot_Centroid_x",
    "y": "slot_Centroid_y",
    "ra": "coord_ra",
    "dec": "coord_dec",
    "psfFlux": "base_PsfFlux_instFlux",
    "psfFluxErr": "base_PsfFlux_instFluxErr",
    "ixx": "base_SdssShape_xx",
    "ixy": "base_SdssShape_xy",
    "iyy": "base_SdssShape_yy",
    "extendedness": "base_ClassificationExtendedness_value",
    "centroid_flag": "slot_Centroid_flag",
    "pixelFlags_crCenter": "base_PixelFlags_flag_crCenter",
}


def tan() -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["RA---TAN", "DEC--TAN"], [359.999, 10.0], [1.0, 1.0]
    wcs.wcs.cdelt = [-0.2 / 3600, 0.2 / 3600]
    return wcs


def same(one: SourceList, other: SourceList) -> None:
    """Every array, bit for bit, and the flags by name."""
    for field in dataclasses.fields(SourceList):
        if field.name != "flags":
            np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name), err_msg=field.name)
    assert set(one.flags) == set(other.flags)
    for name, flag in one.flags.items():
        np.testing.assert_array_equal(flag, other.flags[name])


def test_rubins_names_are_read():
    found = source_list(Table(OURS))
    assert found.id.tolist() == [11, 12, 13]
    np.testing.assert_array_equal(found.ra, OURS["ra"])
    np.testing.assert_array_equal(found.signal_to_noise, [10.0, 20.0, 10.0])
    assert found.is_primary.tolist() == [True, True, False]
    assert found.is_sky.tolist() == [False, False, True]
    assert found.flagged(["pixelFlags_crCenter"]).tolist() == [True, False, False]


@pytest.mark.parametrize("with_unit", [True, False])
def test_the_old_names_say_the_same(with_unit):
    """An afw table, angles in radians with or without the unit, gives the list that Rubin's names give (1e-12 deg)."""
    columns = {AFW.get(name, name): values for name, values in OURS.items()}
    columns["coord_ra"], columns["coord_dec"] = (np.radians(columns[name]) for name in ("coord_ra", "coord_dec"))
    table = Table(columns)
    if with_unit:
        table["coord_ra"].unit = table["coord_dec"].unit = u.rad
    found, expected = source_list(table), source_list(Table(OURS))
    np.testing.assert_allclose([found.ra, found.dec], [expected.ra, expected.dec], rtol=0, atol=1e-12)
    same(dataclasses.replace(found, ra=expected.ra, dec=expected.dec), expected)


def test_both_spellings_of_a_flag_are_one():
    assert flag_name("base_PixelFlags_flag_interpolatedCenter") == "pixelFlags_interpolatedCenter"
    assert flag_name("base_PixelFlags_flag") == "pixelFlags"
    assert flag_name("slot_Centroid_flag") == flag_name("base_SdssCentroid_flag") == "centroid_flag"
    assert flag_name("deblend_nChild") == "deblend_nChild"


def test_there_and_back(tmp_path):
    """List -> table -> FITS file -> table -> list loses nothing."""
    found = source_list(Table(OURS))
    same(source_list(source_table(found)), found)
    source_table(found).write(tmp_path / "sources.fits")
    same(source_list(Table.read(tmp_path / "sources.fits")), found)


def test_stars_survive_the_way_through_a_table(rng):
    """A StarList becomes sources, a table, sources and the same StarList, brightest first."""
    flux = np.sort(rng.uniform(10, 100, 8))[::-1]
    flags = rng.uniform(size=(3, 8)) < 0.5
    x, y = rng.uniform(0, 50, (2, 8))
    stars = StarList(x, y, flux, np.ones(8), flux / 9, *flags)
    back = source_list(source_table(SourceList.of_stars(stars, wcs=tan()))).stars()
    for field in dataclasses.fields(StarList):
        np.testing.assert_array_equal(getattr(back, field.name), getattr(stars, field.name), err_msg=field.name)


@pytest.mark.parametrize("missing", ["x", "y", "psfFlux", "psfFluxErr"])
def test_one_sentence_names_the_missing_column(missing):
    table = Table(OURS)
    table.remove_column(missing)
    with pytest.raises(InputError, match=rf"^src has no column {missing}\b.*; it has sourceId, "):
        source_list(table, name="src")


def test_what_cannot_be_read_is_refused():
    """Words for numbers, a length for an angle, degrees without their unit under the old name, arcsec moments."""
    table = Table(OURS)
    table["x"] = ["a", "b", "c"]
    with pytest.raises(InputError, match="the column x of src holds no number"):
        source_list(table, name="src")
    table = Table(OURS)
    table["ra"].unit = u.m
    with pytest.raises(InputError, match="the column ra of src is in m; deg is needed"):
        source_list(table, name="src")
    table = Table(OURS)
    table.rename_columns(["ra", "dec"], ["coord_ra", "coord_dec"])
    with pytest.raises(InputError, match=r"coord_ra of src reaches .* read in rad; give the column its unit"):
        source_list(table, name="src")
    table = Table(OURS)
    table["ixx"].unit = u.arcsec**2
    with pytest.raises(InputError, match="ixx of src is in arcsec2; the WCS of the image is needed"):
        source_list(table, name="src")


def test_the_wcs_fills_in_what_is_missing():
    """Sky from pixels and pixels from the sky, across RA 0, to 1e-6 px."""
    x, y = np.array([0.0, 30.0, -40.0]), np.array([0.0, 10.0, 25.0])
    fluxes = {"psfFlux": [1.0, 2.0, 3.0], "psfFluxErr": [1.0, 1.0, 1.0]}
    of_pixels = source_list(Table({"x": x, "y": y, **fluxes}), wcs=tan())
    np.testing.assert_allclose(of_pixels.ra[0], 359.999)
    of_sky = source_list(Table({"ra": of_pixels.ra, "dec": of_pixels.dec, **fluxes}), wcs=tan())
    np.testing.assert_allclose([of_sky.x, of_sky.y], [x, y], atol=1e-6)
    unknown = source_list(Table({"x": x, "y": y, **fluxes}))
    assert np.isnan(unknown.ra).all()
    assert unknown.id.tolist() == [1, 2, 3]


def test_moments_on_the_sky_become_pixels():
    """1 arcsec² is 25 px² at 0.2 arcsec a pixel."""
    table = Table(OURS)
    for name in ("ixx", "ixy", "iyy"):
        table[name].unit = u.arcsec**2
    np.testing.assert_allclose(source_list(table, wcs=tan()).ixx, 25.0 * np.array(OURS["ixx"]), rtol=1e-9)


def test_masked_entries_are_unknown():
    """NaN for numbers, and a flag that nobody answers for is set."""
    table = Table(OURS)
    table["ixx"] = MaskedColumn(OURS["ixx"], mask=[True, False, False])
    table["centroid_flag"] = MaskedColumn([False, False, False], mask=[False, False, True])
    found = source_list(table)
    assert np.isnan(found.ixx).tolist() == [True, False, False]
    assert found.flagged(["slot_Centroid_flag"]).tolist() == [False, False, True]


def test_another_flux_can_be_asked_for():
    table = Table(OURS)
    table["apFlux"], table["apFluxErr"] = [7.0, 8.0, 9.0], [1.0, 1.0, 1.0]
    assert source_list(table, flux="apFlux").flux.tolist() == [7.0, 8.0, 9.0]
    with pytest.raises(InputError, match="no column calibFlux"):
        source_list(table, flux="calibFlux")


def test_a_flag_nobody_has_is_named():
    """With flags in the table a wrong name is an error; without any, none is set."""
    with pytest.raises(InputError, match="no flag pixelFlags_spike; they have centroid_flag, pixelFlags_crCenter"):
        source_list(Table(OURS)).flagged(["base_PixelFlags_flag_spike"])
    bare = Table(OURS)
    bare.remove_columns(["centroid_flag", "pixelFlags_crCenter"])
    assert not source_list(bare).flagged(["base_PixelFlags_flag_spike"]).any()


def test_packed_flags_of_an_afw_file_are_found(tmp_path):
    """One column of bits, named by TFLAG cards, as afw writes its tables."""
    plain = {name: values for name, values in OURS.items() if "lag" not in name}
    columns = [fits.Column(name, "K" if name == "sourceId" else "D", array=np.array(v)) for name, v in plain.items()]
    bits = np.array([[True, False, True], [False, True, False], [False, False, True]])
    hdu = fits.BinTableHDU.from_columns([*columns, fits.Column("flags", "3X", array=bits)])
    names = ("base_SdssCentroid_flag", "base_PixelFlags_flag_edge", "deblend_skipped")
    for n, name in enumerate(names, 1):
        hdu.header[f"TFLAG{n}"] = name
    hdu.writeto(tmp_path / "src.fits")
    found = source_list(Table.read(tmp_path / "src.fits"))
    assert {name: flag.tolist() for name, flag in found.flags.items()} == {
        "centroid_flag": [True, False, False],
        "pixelFlags_edge": [False, True, False],
    }


def test_slots_of_an_afw_table_are_followed():
    """Its ALIAS cards say which algorithm stands behind a slot; of two centroids the slot's is taken, and its flag."""
    columns = {"b_x": [1.0], "b_y": [2.0], "a_flux": [3.0], "a_fluxSigma": [0.5], "c_xx": [4.0], "c_yy": [5.0]}
    others = {"base_SdssCentroid_x": [9.0], "base_SdssCentroid_flag": [True], "b_flag": [False]}
    cards = ["slot_Centroid:b", "slot_PsfFlux:a", "slot_Shape:c"]
    found = source_list(Table({**columns, **others}, meta={"ALIAS": cards}))
    assert (found.x[0], found.y[0], found.flux[0], found.flux_err[0]) == (1.0, 2.0, 3.0, 0.5)
    assert (found.ixx[0], found.iyy[0]) == (4.0, 5.0)
    assert not found.flagged(["slot_Centroid_flag"])[0]
    assert source_list(Table({**columns, **others}, meta={"ALIAS": cards})).flags.keys() == {"centroid_flag"}


@pytest.mark.realdata
def test_tables_that_the_stack_wrote(shared_data):
    """A coadd's measurements of HSC: positions across the table, flags packed and slotted, blends and their children;
    and a small table of slots alone.
    """
    folder = shared_data / "lsst_afw_format"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", u.UnitsWarning)
        table = Table.read(folder / "afw__deepCoadd_meas_HSC_v2.fits", hdu=1)
        small = Table.read(folder / "obs_base__source_catalog.fits", hdu=1)
    found = source_list(table)
    np.testing.assert_allclose(found.ra, np.degrees(table["coord_ra"]), rtol=1e-12)
    np.testing.assert_array_equal(found.x, table["base_SdssCentroid_x"])
    np.testing.assert_array_equal(found.flux, table["base_PsfFlux_flux"])
    np.testing.assert_array_equal(found.ixx, table["ext_shapeHSM_HsmSourceMoments_xx"])
    packed = {table.meta[f"TFLAG{n + 1}"]: bit for n, bit in enumerate(np.asarray(table["flags"], bool).T)}
    np.testing.assert_array_equal(found.flags["pixelFlags_bad"], packed["base_PixelFlags_flag_bad"])
    np.testing.assert_array_equal(found.is_primary, packed["detect_isPrimary"])
    assert source_list(small).flux_err.tolist() == small["a_fluxSigma"].tolist()


def test_of_many_columns_the_first_are_told():
    """One sentence, not a page."""
    table = Table({f"c{n}": [1.0] for n in range(263)})
    with pytest.raises(InputError, match=r"has no column x \(or .*\); it has c0, .*, c19 and 243 more$"):
        source_list(table)


def test_blends_are_not_isolated():
    """Children of a parent, and parents of children."""
    table = Table(OURS)
    table["parent"], table["deblend_nChild"] = [0, 11, 0], [2, 0, 0]
    assert source_list(table).is_isolated.tolist() == [False, False, True]


def test_an_empty_table_is_no_error():
    assert len(source_list(Table(OURS)[:0], wcs=tan())) == 0


def test_reference_catalogues():
    """Fluxes by band under plain names or a filter map, stars and constant ones where nobody says else."""
    sky = {"coord_ra": np.radians([1.0, 2.0]), "coord_dec": np.radians([3.0, 4.0])}
    plain = reference_list(Table({**sky, "g_flux": [1.0, 0.0], "r_flux": [10.0, 1.0], "resolved": [False, True]}))
    np.testing.assert_allclose(plain.ra, [1.0, 2.0])
    np.testing.assert_allclose(plain.colour("g", "r"), [2.5, np.nan])
    assert plain.is_resolved.tolist() == [False, True]
    assert plain.is_photometric.all()
    mapped = reference_list(
        Table({**sky, "lsst_g_smeared_flux": [4.0, 4.0], "photometric": [True, False]}), fluxes={"g": "lsst_g_smeared"}
    )
    assert mapped.flux["g"].tolist() == [4.0, 4.0]
    assert mapped.is_photometric.tolist() == [True, False]
    with pytest.raises(InputError, match=r"the reference catalogue has no flux in r; it has g"):
        mapped.colour("g", "r")
    with pytest.raises(InputError, match=r"^refs has no column ra"):
        reference_list(Table({"g_flux": [1.0]}), name="refs")
