"""A user's table of sources in one form: units, magnitudes, signs; what it lacks is said in a sentence."""

import numpy as np
import pytest
from astropy import units
from astropy.table import MaskedColumn, Table

from diapipe.catalogs.injection_catalog import ANY_VISIT, CATALOG, injection_catalog, moves
from diapipe.errors import InputError

SKY = {"ra": [10.0, 10.1], "dec": [-5.0, -5.1]}


def _catalog(**columns):
    return injection_catalog(Table(columns), name="given.csv")


def test_units_are_brought_to_ours():
    """Degrees, nJy, arcsec an hour and days, whatever the table has; without units it has these."""
    table = Table({"ra": [0.1, 0.2] * units.rad, "dec": [0.0, 0.1] * units.rad, "flux": [2.0, 3.0] * units.uJy})
    table["ra_rate"], table["dec_rate"] = [24.0, 0.0] * units.arcsec / units.d, [0.0, 0.0] * units.deg / units.s
    table["epoch"] = [61000.0, 61000.0]
    found = injection_catalog(table, name="given.fits")
    assert found.colnames == [column.name for column in CATALOG]
    assert found["ra"].tolist() == pytest.approx(np.degrees([0.1, 0.2]).tolist())
    assert found["flux"].tolist() == pytest.approx([2000.0, 3000.0])
    assert found["ra_rate"].tolist() == pytest.approx([1.0, 0.0])
    assert moves(found).tolist() == [True, False]
    assert _catalog(**SKY, flux=[5.0, 6.0])["flux"].tolist() == [5.0, 6.0]


def test_capitals_do_not_count():
    """Many catalogues have RA and DEC; where a table has both spellings, ours is meant."""
    found = _catalog(RA=[10.0], Dec=[-5.0], MAG=[20.0], Band=["r"])
    assert (found["ra"][0], found["dec"][0], found["band"][0]) == (10.0, -5.0, "r")
    assert _catalog(RA=[11.0], ra=[10.0], dec=[0.0], flux=[1.0])["ra"].tolist() == [10.0]


def test_magnitudes_are_ab():
    """31.4 is one nJy (to 0.1 mmag: 3631 Jy are of magnitude 0)."""
    found = _catalog(**SKY, mag=[31.4, 21.4])
    assert found["flux"].tolist() == pytest.approx([1.0, 1e4], rel=1e-4)


def test_counts_stay_counts_and_signs_become_fading():
    """A flux of counts is of the image's own unit; below zero it belongs to the template, as rows of is_faded do."""
    table = Table({"x": [1.0, 2.0, 3.0], "y": [4.0, 5.0, 6.0], "flux": [7.0, -8.0, 9.0] * units.adu})
    table["is_faded"] = [False, False, True]
    found = injection_catalog(table, name="given.parquet")
    assert found["counts"].tolist() == [7.0, 8.0, 9.0]
    assert np.isnan(found["flux"]).all()
    assert found["is_faded"].tolist() == [False, True, True]
    assert np.isnan(found["ra"]).all()


def test_what_is_left_out_means_always_and_everywhere():
    """Every band and visit, no time, no motion; numbers from 1 on. A masked visit is any."""
    found = _catalog(**SKY, flux=[1.0, 2.0], visit=MaskedColumn([3, 4], mask=[False, True]))
    assert found["visit"].tolist() == [3, ANY_VISIT]
    assert found["injectionId"].tolist() == [1, 2]
    assert set(found["band"]) == {""}
    assert np.isnan(found["mjd"]).all()
    assert not moves(found).any()


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"flux": [1.0]}, "given.csv has no column ra (or x); it has flux"),
        ({"ra": [1.0], "dec": [2.0]}, "given.csv has no column flux (or mag); it has ra, dec"),
        ({"ra": [1.0], "flux": [2.0]}, "given.csv has no column dec; it has ra, flux"),
        ({"ra": [1.0], "dec": [2.0], "flux": [3.0] * units.m}, "the column flux of given.csv is in m; nJy is needed"),
        ({"ra": [1.0] * units.s, "dec": [2.0], "flux": [3.0]}, "the column ra of given.csv is in s; deg is needed"),
        ({"ra": ["1", "a"], "dec": [2.0, 2.0], "flux": [3.0, 3.0]}, "ra of given.csv holds no number in row 2 but 'a'"),
        ({"ra": [], "dec": [], "flux": []}, "given.csv has no rows"),
        ({"ra": [1.0, np.nan], "dec": [2.0, 2.0], "flux": [3.0, 3.0]}, "no position in 1 of its 2 rows, the first of"),
        ({"ra": [1.0], "dec": [91.0], "flux": [3.0]}, "no position in 1 of its 1 rows"),
        ({"ra": [1.0], "dec": [2.0], "mag": [np.nan]}, "no brightness in 1 of its 1 rows"),
        ({"ra": [1.0], "dec": [2.0], "mag": [20.0], "kind": ["nova"]}, "the kind 'nova'; there are hostless"),
        ({"ra": [1.0], "dec": [2.0], "mag": [20.0], "ra_rate": [3.0]}, "motion without an epoch (MJD) in 1 of its 1"),
        ({"x": [1.0], "y": [2.0], "mag": [20.0], "ra_rate": [3.0], "epoch": [6e4]}, "motion on the sky and no column"),
        ({"ra": [1.0], "dec": [2.0], "mag": [20.0], "mjd": [6e4]}, "brightnesses by mjd and no column id"),
    ],
)
def test_what_cannot_be_used_is_said(columns, said):
    """One sentence, with the name of the table, what is wrong and what is needed."""
    with pytest.raises(InputError) as refused:
        _catalog(**columns)
    assert said in str(refused.value)
