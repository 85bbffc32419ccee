"""Fluxes of templates beside those of differences."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table
from tests.forced_tables import forced_table, object_table

from diapipe.errors import InputError
from diapipe.steps.summarize.template_fluxes import objects_with_template_fluxes, with_template_fluxes


def on_template(ids, band, flux, *, unit="nJy"):
    """Forced photometry on the template of one band, as the task writes it; the first object is flagged."""
    n = len(ids)
    flags = {f"psfFlux_flag{end}": np.zeros(n, np.bool_) for end in ("", "_edge", "_noGoodPixels")}
    flags["psfFlux_flag"] = np.arange(n) == 0
    table = Table({"diaObjectId": ids, "band": np.full(n, band), "psfFlux": flux, "psfFluxErr": 0.01 * flux, **flags})
    table["psfFlux"].unit = table["psfFluxErr"].unit = unit
    return table


@pytest.fixture
def measured(rng):
    """Forced sources of four objects in g, r and i; templates of g and r, in no order, with an object too many, and
    without the last object in r; and what each row should have.
    """
    forced = forced_table(rng, n_objects=4)
    ids = np.unique(forced["diaObjectId"])
    g = on_template(np.array([*ids[::-1], 5]), "g", np.arange(5.0) + 100.0)
    r = on_template(ids[:-1], "r", np.arange(3.0) + 200.0)
    known = {(int(row["diaObjectId"]), str(row["band"])): row for table in (g, r) for row in table}
    return forced, [g, r], known


def test_each_flux_is_that_of_its_object_and_band(measured):
    """Row by row, against a dictionary; what no template has stays missing and flagged, all else as it was."""
    forced, templates, known = measured
    forced["dp_templateFlux_flag"] = True
    found = with_template_fluxes(forced, templates)
    n_missing = 0
    for row in found:
        of_template = known.get((int(row["diaObjectId"]), str(row["band"])))
        if of_template is None:
            n_missing += 1
            assert row["dp_templateFlux_flag"]
            assert np.isnan(row["dp_templateFlux"])
        else:
            assert row["dp_templateFlux"] == of_template["psfFlux"]
            assert row["dp_templateFluxErr"] == pytest.approx(of_template["psfFluxErr"])
            assert row["dp_templateFlux_flag"] == of_template["psfFlux_flag"]
    assert 0 < n_missing < len(found)
    np.testing.assert_array_equal(found["psfFlux"], forced["psfFlux"])
    assert np.isnan(forced["dp_templateFlux"]).all()


def test_objects_have_them_too(measured):
    """A column a band, whatever the order of the objects; flagged and missing ones are NaN. An older table,
    without these columns, gets them with their unit.
    """
    forced, templates, known = measured
    objects = object_table(forced)[::-1]
    objects.remove_columns(["dp_g_templateFlux", "dp_g_templateFluxErr"])
    found = objects_with_template_fluxes(objects, templates)
    for row in found:
        for band in "gri":
            of_template = known.get((int(row["diaObjectId"]), band))
            wanted = np.nan if of_template is None or of_template["psfFlux_flag"] else of_template["psfFlux"]
            np.testing.assert_equal(float(row[f"dp_{band}_templateFlux"]), wanted)
    assert str(found["dp_g_templateFlux"].unit) == "nJy"


def test_nothing_measured_changes_nothing(measured):
    """Without a template, or without an object on it, rows stay as they are."""
    forced, templates, _ = measured
    objects = object_table(forced)
    for none in ([], [table[:0] for table in templates]):
        assert np.isnan(with_template_fluxes(forced, none)["dp_templateFlux"]).all()
        assert np.isnan(objects_with_template_fluxes(objects, none)["dp_r_templateFlux"]).all()


def test_what_cannot_be_added_is_refused(measured):
    """Another unit, an object twice in a band, a missing column."""
    forced, templates, _ = measured
    counts = [on_template(np.array([1, 2]), "g", np.ones(2), unit="ct")]
    with pytest.raises(InputError, match="on the template are in ct, those on differences in nJy"):
        with_template_fluxes(forced, counts)
    with pytest.raises(InputError, match="on the template in g has 5 diaObjectIds more than once"):
        with_template_fluxes(forced, [*templates, templates[0]])
    templates[0].remove_column("psfFluxErr")
    with pytest.raises(InputError, match="forced photometry on the template has no column psfFluxErr"):
        with_template_fluxes(forced, templates)
