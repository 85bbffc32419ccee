"""Light curves: what a table of forced sources says, object by object."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.forced_tables import EVENT_MJD, forced_table

from diapipe.catalogs.light_curve import light_curve, light_curves
from diapipe.errors import InputError
from diapipe.steps.summarize.baseline import Baseline, corrected


def test_every_row_is_in_one_curve(rng):
    """The curves together have the rows of the table, each in its object's, in order of time."""
    table = forced_table(rng)
    curves = list(light_curves(table))
    assert [curve.dia_object_id for curve in curves] == sorted(set(table["diaObjectId"]))
    assert sum(map(len, curves)) == len(table)
    for curve in curves:
        rows = table[table["diaObjectId"] == curve.dia_object_id]
        rows.sort("midpointMjdTai")
        assert np.array_equal(curve.mjd, rows["midpointMjdTai"])
        assert np.array_equal(curve.flux, np.float64(rows["psfFlux"]), equal_nan=True)
        assert np.array_equal(curve.science_flux, np.float64(rows["scienceFlux"]), equal_nan=True)
        assert curve.band.tolist() == rows["band"].tolist()
        assert (curve.ra, curve.dec) == (rows["ra"][0], rows["dec"][0])
        assert curve.flux_unit == "nJy"
        arrays = [getattr(curve, name) for name in curve.ARRAYS] + [curve.is_measured]
        assert {type(values) for values in arrays} == {np.ndarray}  # a column of a table prints itself line by line


def test_one_object_is_the_same_as_among_all(rng):
    """A single curve is that of the whole table; bands and flags choose epochs."""
    table = forced_table(rng)
    every = list(light_curves(table, template_visits=[3, 4]))
    one = light_curve(table, every[1].dia_object_id, template_visits=[3, 4])
    assert np.array_equal(one.flux, every[1].flux, equal_nan=True)
    assert one.visit[one.in_template].tolist() == [3, 4]
    assert one.bands == ("g", "r", "i")
    assert set(one.in_band("r").band) == {"r"}
    assert len(one.measured()) == len(one) - 2  # one without a flux, one flagged
    assert not one.is_measured[:2].any()


def test_the_whole_flux_and_its_magnitude(rng):
    """Template and difference together, whether or not a baseline was taken off: 10^4 nJy are 21.4 mag, and 1% of
    them 0.0109 mag; a flux that is not positive has no magnitude, and a flagged template no flux at all.
    """
    table = forced_table(rng, level=-300.0)
    template = {"g": 10_000.0, "r": 20_000.0, "i": 5.0}
    table["dp_templateFlux"] = [template[band] for band in table["band"]]
    table["dp_templateFluxErr"] = 70.0
    table["dp_templateFlux_flag"] = table["band"] == "r"
    curve = light_curve(table, 1_000_003)
    g, r, i = (curve.in_band(band) for band in "gri")
    np.testing.assert_array_equal(g.total_flux, g.flux + 10_000.0)
    assert (g.template_flux_err == 70.0).all()
    assert np.isnan(r.total_flux).all()
    less = corrected(curve, Baseline(event_start_mjd=EVENT_MJD[0], event_end_mjd=EVENT_MJD[1]))
    np.testing.assert_allclose(less.total_flux, curve.total_flux, rtol=1e-12)
    flat = replace(g, flux=np.zeros(len(g)), flux_err=np.full(len(g), 100.0))
    magnitude, error = flat.magnitudes()
    np.testing.assert_allclose(magnitude, 21.4)
    np.testing.assert_allclose(error, 0.010857, rtol=1e-4)
    faded = i.flux < -5.0
    assert faded.any()
    np.testing.assert_array_equal(np.isnan(i.magnitudes()[0]), faded | np.isnan(i.flux))
    with pytest.raises(InputError, match="magnitudes need fluxes in nJy; those of object 1000003 are in ct"):
        replace(g, flux_unit="ct").magnitudes()


def test_what_is_not_there_is_refused(rng):
    """An unknown object and a missing column each have their sentence; a table without rows has no curves."""
    table = forced_table(rng)
    with pytest.raises(InputError, match="no diaObjectId 7"):
        light_curve(table, 7)
    assert list(light_curves(table[:0])) == []
    table.remove_column("psfFlux")
    with pytest.raises(InputError, match="forced sources has no column psfFlux"):
        list(light_curves(table))
