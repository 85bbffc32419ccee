"""AssociateTask: each source of a survey in one object of one patch, or left out once with a reason."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import vstack

from diapipe.catalogs.dia_sources import dia_source_table
from diapipe.catalogs.ids import dia_source_ids
from diapipe.errors import InputError
from diapipe.images import DiscreteSkyMap, TractGrid, TractPlace
from diapipe.tasks.associate import NEEDED, AssociateTask

FIELDS = {"equator": (0.0, 0.0), "south": (123.0, -65.0), "pole": (40.0, 89.99)}
ARCSEC = 1.0 / 3600.0


def two_tracts(ra, dec):
    """Two tracts that overlap, of two by two patches of 40 arcsec each, about a position."""
    east = 0.008 / np.cos(np.radians(dec))
    places = tuple(
        TractPlace(ra_deg=(ra + s * east) % 360, dec_deg=dec, width_deg=0.022, height_deg=0.022) for s in (-1, 1)
    )
    return DiscreteSkyMap(
        name="two", tracts=places, grid=TractGrid(pixel_scale_arcsec=0.2, patch_size_px=200, patch_border_px=10)
    )


def image(ra, dec, *, visit, detector=0, band="r", **columns):
    """Table of the sources of one image."""
    n = len(ra)
    given = {
        "diaSourceId": dia_source_ids(visit=visit, detector=detector, n=n),
        "visit": np.full(n, visit),
        "detector": np.full(n, detector),
        "band": np.full(n, band),
        "midpointMjdTai": np.full(n, 60000.0 + visit),
        "ra": np.asarray(ra) % 360,
        "dec": dec,
        "raErr": np.full(n, 0.05 * ARCSEC),
        "decErr": np.full(n, 0.05 * ARCSEC),
        "psfFlux": np.full(n, 100.0),
        "psfFluxErr": np.full(n, 5.0),
        "scienceFlux": np.full(n, 100.0),
        "scienceFluxErr": np.full(n, 5.0),
    }
    return dia_source_table(given | columns, n=n, flux_unit="nJy")


def everywhere(task, groups, sky_map):
    """What the task makes of all patches of all tracts."""
    return [
        task.run(groups, sky_map, tract=tract, patch=patch.index)
        for tract in range(sky_map.n_tracts)
        for patch in sky_map.tract(tract).patches
    ]


def of_all(found, name):
    """One of the tables of all patches."""
    return vstack([getattr(one, name) for one in found], metadata_conflicts="silent")


@pytest.fixture
def task():
    return AssociateTask(config=AssociateTask.ConfigClass())


class Handle:
    """A table in a repository, read as far as it is asked for; it keeps what was."""

    def __init__(self, table):
        self.table, self.asked = table, []

    def get(self, *, component=None, parameters=None):
        if component == "columns":
            return self.table.colnames
        self.asked = parameters["columns"]
        return self.table[self.asked]


def test_columns_that_nobody_looks_at_are_not_read(task, rng):
    """A quarter of the columns of a source is read, and all three tables are the same, column by column."""
    sky_map = two_tracts(10.0, -20.0)
    ra, dec = 10.0 + 0.008 * rng.uniform(-1, 1, 60), -20.0 + 0.008 * rng.uniform(-1, 1, 60)
    flags = {name: rng.random(60) < 0.1 for name in ("dp_bad", "dp_residual", "centroid_flag", "sky_source")}
    tables = [image(ra, dec, visit=visit, **flags) for visit in (1, 2)] + [image(ra, dec, visit=2, **flags)]
    handles = [Handle(table) for table in tables]
    read = task._read(handles)
    assert len(handles[0].asked) < len(tables[0].colnames) / 3
    for one, other in zip(everywhere(task, [read], sky_map), everywhere(task, [tables], sky_map), strict=True):
        for name in ("diaObjects", "associatedDiaSources", "rejectedDiaSources"):
            narrow, full = getattr(one, name), getattr(other, name)
            assert narrow.colnames == full.colnames
            for column in full.colnames:
                np.testing.assert_array_equal(narrow[column], full[column], err_msg=column)
                assert narrow[column].unit == full[column].unit


@pytest.mark.parametrize("field", FIELDS)
def test_no_object_is_cut_or_doubled_at_a_border(field, task, rng):
    """300 objects on three visits, over all borders of patches and tracts: 300 objects with three sources each.

    Sources scatter by .05 arcsec about objects 3 arcsec apart or more: where patches and tracts meet they fall on both
    sides. Of the original's inner boxes each would have an object of its own.
    """
    ra, dec = FIELDS[field]
    sky_map = two_tracts(ra, dec)
    step = 3.0 * ARCSEC
    x, y = (v.ravel()[:300] * step for v in np.meshgrid(np.arange(20) - 9.5, np.arange(15) - 7.0))
    cosine = np.cos(np.radians(dec + y))
    images = []
    for visit in (1, 2, 3):
        dx, dy = rng.normal(0, 0.05 * ARCSEC, (2, 300))
        images.append(image(ra + (x + dx) / cosine, dec + y + dy, visit=visit))
    found = everywhere(task, [images], sky_map)
    objects, sources = of_all(found, "diaObjects"), of_all(found, "associatedDiaSources")
    assert len(objects) == 300
    assert (objects["nDiaSources"] == 3).all()
    assert len(np.unique(objects["diaObjectId"])) == 300
    assert len(np.unique(sources["diaSourceId"])) == len(sources) == 900
    assert len(of_all(found, "rejectedDiaSources")) == 0


def test_new_visits_join_without_moving_identifiers(task):
    """What an earlier run found comes first, whatever its date: a visit from before it joins its objects."""
    sky_map, ra, dec = two_tracts(10.0, -20.0), np.array([10.0, 10.001]), np.array([-20.0, -20.0])
    later, earlier = image(ra, dec, visit=7), image(ra, dec, visit=3)
    before = of_all(everywhere(task, [[later]], sky_map), "diaObjects")
    after = of_all(everywhere(task, [[later], [earlier]], sky_map), "diaObjects")
    assert set(before["diaObjectId"]) == set(after["diaObjectId"]) == set(later["diaSourceId"])
    assert (after["nDiaSources"] == 2).all()


def test_objects_of_a_difference_made_anew_are_founded_anew(task):
    """An object of it is called by its oldest source that is as it was; all others keep their names."""
    sky_map, ra, dec = two_tracts(10.0, -20.0), np.array([10.0, 10.001]), np.array([-20.0, -20.0])
    first, second = image(ra[:1], dec[:1], visit=1), image(ra, dec, visit=2)
    before = of_all(everywhere(task, [[first, second]], sky_map), "diaObjects")
    assert set(before["diaObjectId"]) == {first["diaSourceId"][0], second["diaSourceId"][1]}
    after = of_all(everywhere(task, [[second], [first]], sky_map), "diaObjects")
    assert set(after["diaObjectId"]) == set(second["diaSourceId"])


def test_tables_come_in_any_order(task, rng):
    """Of one run, visits are taken by time: the order in which their tables are read changes nothing."""
    sky_map = two_tracts(10.0, -20.0)
    images = [image(10.0 + rng.normal(0, 2e-5, 5), -20.0 + rng.normal(0, 2e-5, 5), visit=v) for v in range(1, 6)]
    forward, backward = (everywhere(task, [order], sky_map) for order in (images, images[::-1]))
    for name in ("diaObjects", "associatedDiaSources"):
        one, other = of_all(forward, name), of_all(backward, name)
        for column in one.colnames:
            np.testing.assert_array_equal(one[column], other[column], err_msg=column)


def test_what_is_left_out_is_told_once(task):
    """A flagged source, and one given twice: neither in an object, each in one table of one patch with its reason."""
    sky_map = two_tracts(10.0, -20.0)
    bad = image([10.0, 10.001], [-20.0, -20.0], visit=1, dp_bad=np.array([False, True]))
    found = everywhere(task, [[bad], [image([10.0], [-20.0], visit=1)]], sky_map)
    rejected = of_all(found, "rejectedDiaSources")
    assert sorted(rejected["diaSourceId"]) == sorted(bad["diaSourceId"])
    assert {str(reason) for reason in rejected["reason"]} == {
        "flag dp_bad",
        "a source with its diaSourceId is associated already",
    }
    assert of_all(found, "diaObjects")["nDiaSources"].tolist() == [1]


def test_a_source_that_is_nowhere_is_told_once(task):
    """A source without a position is in no object, and in one patch's table of those left out."""
    sky_map = two_tracts(10.0, -20.0)
    found = everywhere(task, [[image([10.0, np.nan, 10.001], [-20.0, -20.0, -20.0], visit=1)]], sky_map)
    assert [str(reason) for reason in of_all(found, "rejectedDiaSources")["reason"]] == ["its position is not known"]
    assert len(of_all(found, "diaObjects")) == 2


@pytest.mark.parametrize("column", NEEDED)
def test_a_table_without_a_column_is_refused(task, column):
    """One sentence says which table, and what it lacks."""
    table = image([10.0], [-20.0], visit=1)
    table.remove_column(column)
    told = {"visit": "detector 0", "detector": "visit 1"}.get(column, "visit 1, detector 0")
    with pytest.raises(InputError, match=rf"^the table of DIA sources of {told} has no column {column}; it has "):
        everywhere(task, [[table]], two_tracts(10.0, -20.0))


def test_an_image_without_any_position_is_told(task, caplog):
    """No patch can have its sources: they are in no table, and a warning says so."""
    found = everywhere(task, [[image([np.nan] * 2, [np.nan] * 2, visit=1)]], two_tracts(10.0, -20.0))
    assert len(of_all(found, "diaObjects")) == len(of_all(found, "rejectedDiaSources")) == 0
    assert "visit 1, detector 0: none of its 2 sources has a position" in caplog.text


def test_a_trail_is_judged_by_the_exposure_of_its_own_image(task):
    """Two instruments with visits of one number: 20 arcsec in 30 s are too fast, in 60 s not."""
    sky_map, trail = two_tracts(10.0, -20.0), {"trail_flag": np.array([False]), "trailLength": np.array([20.0])}
    short = image([10.0], [-20.0], visit=1, detector=0, exposureTime=np.array([30.0]), **trail)
    long = image([10.001], [-20.0], visit=1, detector=1, exposureTime=np.array([60.0]), **trail)
    found = everywhere(task, [[short, long]], sky_map)
    assert of_all(found, "rejectedDiaSources")["diaSourceId"].tolist() == short["diaSourceId"].tolist()
    assert of_all(found, "diaObjects")["diaObjectId"].tolist() == long["diaSourceId"].tolist()


def test_a_patch_without_sources_has_tables_without_rows(task):
    """Nothing is kept from a patch that was done before: the original gave its objects again."""
    sky_map, somewhere = two_tracts(10.0, -20.0), image([10.0], [-20.0], visit=1)
    found = everywhere(task, [[somewhere]], sky_map)
    lengths = sorted(len(one.diaObjects) for one in found)
    assert lengths[-1] == 1
    assert set(lengths[:-1]) == {0}
    empty = task.run([[]], sky_map, tract=0, patch=0)
    assert (len(empty.diaObjects), len(empty.associatedDiaSources), len(empty.rejectedDiaSources)) == (0, 0, 0)


def test_fluxes_of_two_units_are_never_averaged(task):
    """An image without a calibration among others: refused, with both units."""
    given = [image([10.0], [-20.0], visit=visit) for visit in (1, 2)]
    for name in given[1].colnames:
        if given[1][name].unit == "nJy":
            given[1][name].unit = "count"
    with pytest.raises(InputError, match=r"psfFlux of DIA sources is in nJy here and in ct there"):
        everywhere(task, [given], two_tracts(10.0, -20.0))


def test_bands_are_together_and_have_their_columns(task):
    """Sources in two bands make one object; a band without sources has columns where it is asked for."""
    config = AssociateTask.ConfigClass()
    config.bands = ["u", "r"]
    asked = AssociateTask(config=config)
    images = [image([10.0], [-20.0], visit=1, band="r"), image([10.0], [-20.0], visit=2, band="i")]
    for one, bands in ((task, "ri"), (asked, "uri")):
        objects = of_all(everywhere(one, [images], two_tracts(10.0, -20.0)), "diaObjects")
        names = [name for name in objects.colnames if name.endswith("_psfFluxNdata")]
        assert names == [f"{band}_psfFluxNdata" for band in bands]
        assert objects["r_psfFluxNdata"].tolist() == objects["i_psfFluxNdata"].tolist() == [1]


@pytest.mark.parametrize("name", ["simple", "multimatch", "bipartite"])
def test_associators_are_chosen_by_name(name):
    """Each way to associate makes one object of two sources .1 arcsec apart, and its tolerance is a field."""
    config = AssociateTask.ConfigClass()
    config.associator.name = name
    images = [image([10.0], [-20.0 + v * 0.1 * ARCSEC], visit=v) for v in (1, 2)]
    assert len(of_all(everywhere(AssociateTask(config=config), [images], two_tracts(10.0, -20.0)), "diaObjects")) == 1
    config.associator.tolerance = 0.05
    assert len(of_all(everywhere(AssociateTask(config=config), [images], two_tracts(10.0, -20.0)), "diaObjects")) == 2
