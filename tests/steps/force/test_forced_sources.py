"""Objects measured on a difference: rows of the table of forced sources."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from astropy.table import Table
from astropy.time import Time
from astropy.wcs import WCS

from diapipe.catalogs.object_schema import DIA_FORCED_SOURCE
from diapipe.errors import InputError
from diapipe.images import ChebyshevField, Difference, ObservationInfo, PhotoCalib, SpatialKernel
from diapipe.steps.force import force_on_pixels, forced_sources
from gaussian_sky import drawn, exposure

SIDE, STEP, SIGMA, NOISE, LEFT = 620, 24, 1.8, 5.0, 0.02
NOW = Time(60200.25, format="mjd", scale="tai")


def tan_wcs():
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crpix, wcs.wcs.crval, wcs.wcs.cdelt = [300.0, 300.0], [0.01, -35.0], [-6e-5, 6e-5]
    return wcs


@pytest.fixture
def scene(rng):
    """Constant stars of which the difference leaves 2%, in nJy by a factor of 3; the objects lie on them."""
    nodes = np.arange(16.0, SIDE - 16, STEP)
    x, y = (v.ravel() + rng.uniform(-0.5, 0.5, v.size) for v in np.meshgrid(nodes, nodes))
    flux = 10.0 ** rng.uniform(2.5, 5.0, x.size)
    info = ObservationInfo(visit=42, detector=3, band="r", mjd_midpoint=60100.5)
    common = {"wcs": tan_wcs(), "info": info, "photo_calib": PhotoCalib(3.0)}
    left = drawn((SIDE, SIDE), x, y, flux * rng.normal(0.0, LEFT, x.size), sigma=SIGMA)
    pixels = replace(exposure("difference", left, NOISE, SIGMA, rng), **common)
    science = exposure("science", drawn((SIDE, SIDE), x, y, flux, sigma=SIGMA), NOISE, SIGMA, rng)
    difference = Difference(
        exposure=pixels,
        kernel=SpatialKernel.constant(np.pad(np.ones((1, 1)), 3), pixels.box),
        background=ChebyshevField.constant(0.0, pixels.box),
        convolved="template",
        static_error=LEFT,
    )
    ra, dec = pixels.wcs.pixel_to_world_values(x, y)
    ids = rng.permutation(np.arange(1, x.size + 1)) * 1_000_003
    objects = Table({"diaObjectId": ids, "ra": ra, "dec": dec})
    return objects, difference, replace(science, wcs=pixels.wcs, photo_calib=PhotoCalib(7.0))


def test_a_row_for_each_object_on_the_image(scene):
    """Rows stand by identifier, with every column of the schema, where, when and in which band; none for one off it."""
    objects, difference, science = scene
    objects.add_row({"diaObjectId": 5, "ra": 20.0, "dec": -35.0})
    found = forced_sources(objects, difference, science=science, now=NOW)
    assert found.colnames == [column.name for column in DIA_FORCED_SOURCE]
    assert np.asarray(found["diaObjectId"]).tolist() == sorted(set(objects["diaObjectId"]) - {5})
    assert len(np.unique(found["diaForcedSourceId"])) == len(found)
    assert (found["visit"][0], found["detector"][0], found["band"][0]) == (42, 3, "r")
    assert (found["midpointMjdTai"][0], found["timeProcessedMjdTai"][0]) == (60100.5, 60200.25)
    assert str(found["psfFlux"].unit) == "nJy"
    row = found[found["diaObjectId"] == objects["diaObjectId"][7]]
    assert (row["ra"][0], row["dec"][0]) == (objects["ra"][7], objects["dec"][7])


def test_errors_hold_what_is_left_of_the_light_beneath(scene):
    """Pulls of 625 constant stars have width 1 within 4/sqrt(1250) on the difference; without the science image, which
    tells the light, those of bright stars have not.
    """
    objects, difference, science = scene
    told, untold = (forced_sources(objects, difference, science=image, now=NOW) for image in (science, None))
    assert abs(np.std(told["psfFlux"] / told["psfFluxErr"]) - 1.0) < 4.0 / np.sqrt(2 * len(told))
    bright = np.asarray(told["scienceFlux"]) > 1e5
    assert np.std((untold["psfFlux"] / untold["psfFluxErr"])[bright]) > 2.0
    assert np.asarray(untold["forced_PsfFlux_flag"]).all()
    assert np.isnan(np.asarray(untold["scienceFlux"])).all()


def test_both_images_are_on_the_scale_of_the_difference(scene):
    """The science image's fluxes are its counts times the nJy of the difference, whatever its own calibration says."""
    objects, difference, science = scene
    found = forced_sources(objects, difference, science=science, now=NOW)
    counts = force_on_pixels(replace(science, photo_calib=None), x=found["x"], y=found["y"])["psfFlux"]
    assert np.asarray(found["scienceFlux"]) == pytest.approx(3.0 * counts, rel=1e-6)


def test_none_on_the_image_is_an_empty_table(scene):
    """Objects elsewhere on the sky: no row, and every column."""
    objects, difference, science = scene
    objects["ra"] = (np.asarray(objects["ra"]) + 90.0) % 360.0
    found = forced_sources(objects, difference, science=science, now=NOW)
    assert len(found) == 0
    assert "psfFlux" in found.colnames


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.remove_column("dec"), "no column dec"),
        (lambda table: table["ra"].__setitem__(3, np.nan), "position"),
        (lambda table: table["diaObjectId"].__setitem__(3, table["diaObjectId"][4]), "more than once"),
    ],
)
def test_what_is_no_table_of_objects_is_refused(scene, change, message):
    """A column that lacks, a position that is none, an object given twice: one sentence each."""
    objects, difference, science = scene
    change(objects)
    with pytest.raises(InputError, match=message):
        forced_sources(objects, difference, science=science, now=NOW)


def test_without_a_wcs_nothing_is_measured(scene):
    """Objects lie on the sky: the difference needs a WCS, and the message says so."""
    objects, difference, _ = scene
    blind = replace(difference, exposure=replace(difference.exposure, wcs=None))
    with pytest.raises(InputError, match="has no WCS"):
        forced_sources(objects, blind)
