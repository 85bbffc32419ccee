"""ForcedPhotCcdDiaTask and CombineDiaForcedTask by hand: what does not come from the pipeline's own tables."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
from astropy.table import Table
from astropy.wcs import WCS

from diapipe.catalogs.dia_objects import dia_forced_source_table, dia_object_table
from diapipe.errors import InputError
from diapipe.images import ChebyshevField, Difference, MaskPlane, ObservationInfo, PhotoCalib, SpatialKernel
from diapipe.tasks.combine_dia_forced import CombineDiaForcedTask
from diapipe.tasks.forced_ccd_dia import ForcedPhotCcdDiaTask
from gaussian_sky import drawn, exposure, with_planes

SIDE, SIGMA = 64, 1.8


def difference_of(rng, light):
    """A calibrated difference of 64 px about RA 0 with a WCS."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crpix, wcs.wcs.crval, wcs.wcs.cdelt = [32.5, 32.5], [0.0, -35.0], [-1e-4, 1e-4]
    image = exposure("difference", light, 1.0, SIGMA, rng)
    image = replace(
        image,
        wcs=wcs,
        photo_calib=PhotoCalib(2.0),
        info=ObservationInfo(visit=7, detector=3, band="r", mjd_midpoint=6e4),
    )
    return Difference(
        exposure=image,
        kernel=SpatialKernel.constant(np.pad(np.ones((1, 1)), 3), image.box),
        background=ChebyshevField.constant(0.0, image.box),
        convolved="template",
    )


def objects_at(difference, x, y, ids):
    """Objects at pixels."""
    ra, dec = difference.exposure.wcs.all_pix2world(x, y, 0)
    return Table({"diaObjectId": np.array(ids, np.int64), "ra": ra % 360, "dec": dec})


def forced(difference, *objects, **more):
    return ForcedPhotCcdDiaTask(config=ForcedPhotCcdDiaTask.ConfigClass()).run(list(objects), difference, **more)


def test_an_object_of_two_patches_is_measured_once(rng, caplog):
    """Patches that were associated at different times may both have one: it is told, and costs the detector nothing."""
    difference = difference_of(rng, np.zeros((SIDE, SIDE)))
    one = objects_at(difference, [20.0, 40.0], [20.0, 40.0], [5, 6])
    two = objects_at(difference, [40.02, 30.0], [40.0, 10.0], [6, 7])
    with caplog.at_level(logging.WARNING):
        found = forced(difference, one, two).forcedSources
    assert found["diaObjectId"].tolist() == [5, 6, 7]
    assert "1 objects are in the tables of two patches" in caplog.text


def test_flags_say_what_a_flux_is_worth(rng):
    """A good place; one at the edge; one with a bad pixel in the middle; one upon nothing but bad pixels. One off the
    image has no row, and the light that it sheds on the image is not taken for that of the one beside it. Without a
    science image the flux there is missing and flagged.
    """
    x, y = np.array([20.0, 1.0, 40.0, 50.0, -1.0]), np.array([20.0, 30.0, 40.0, 12.0, 30.0])
    light = drawn((SIDE, SIDE), x, y, np.full(5, 500.0), sigma=SIGMA)
    difference = difference_of(rng, light)
    mask = np.zeros((SIDE, SIDE), np.int32)
    mask[40, 40] = mask[0:25, 38:63] = int(MaskPlane.BAD)
    difference = replace(difference, exposure=with_planes(difference.exposure, mask=mask))
    found = forced(difference, objects_at(difference, x, y, [1, 2, 3, 4, 5])).forcedSources
    assert found["diaObjectId"].tolist() == [1, 2, 3, 4]
    assert found["psfFlux_flag"].tolist() == [False, False, False, True]
    assert found["psfFlux_flag_edge"].tolist() == [False, True, False, False]
    assert found["psfFlux_flag_noGoodPixels"].tolist() == [False, False, False, True]
    assert found["dp_badPixel"].tolist() == [False, False, True, True]
    assert found["pixelFlags_badCenter"].tolist() == [False, False, True, True]
    assert not found["pixelFlags_offimage"].any()
    assert np.isnan(found["psfFlux"]).tolist() == [False, False, False, True]
    pulls = (found["psfFlux"] - 1000.0)[:3] / found["psfFluxErr"][:3]
    assert np.abs(pulls).max() < 4
    assert found["forced_PsfFlux_flag"].all()
    assert found["dp_templateFlux_flag"].all()
    assert np.isnan(found["scienceFlux"]).all()


def test_objects_without_a_column_are_refused(rng):
    """One sentence names it."""
    difference = difference_of(rng, np.zeros((SIDE, SIDE)))
    objects = objects_at(difference, [20.0], [20.0], [5])
    objects.remove_column("ra")
    with pytest.raises(InputError, match=r"^a table of DIA objects has no column ra; it has"):
        forced(difference, objects)


def test_no_object_on_the_image_is_a_table_without_rows(rng):
    """With and without a science image; the columns are there."""
    difference = difference_of(rng, np.zeros((SIDE, SIDE)))
    away = objects_at(difference, [500.0], [20.0], [5])
    for more in ({}, {"exposure": difference.exposure}):
        found = forced(difference, away, **more).forcedSources
        assert len(found) == 0
        assert {"psfFlux", "scienceFlux", "band"} <= set(found.colnames)


def test_light_curves_are_of_one_unit():
    """A difference that nobody calibrated among others: refused, not averaged."""
    objects = dia_object_table({"diaObjectId": np.array([5]), "ra": np.ones(1), "dec": np.ones(1)}, n=1, bands="r")
    values = {"diaObjectId": np.array([5]), "band": np.array(["r"]), "psfFlux": np.ones(1), "psfFluxErr": np.ones(1)}
    tables = [dia_forced_source_table(values, n=1, flux_unit=unit) for unit in ("nJy", "count")]
    with pytest.raises(InputError, match="psfFlux of forced sources is in nJy here and in ct there"):
        CombineDiaForcedTask(config=CombineDiaForcedTask.ConfigClass()).run(objects, tables)


def test_light_curves_have_the_flux_of_the_template():
    """Beside each flux that of the template, where one was measured; the object has it too."""
    objects = dia_object_table({"diaObjectId": np.array([5]), "ra": np.ones(1), "dec": np.ones(1)}, n=1, bands="r")
    rows = {"diaObjectId": np.full(2, 5), "band": np.full(2, "r"), "psfFlux": np.arange(2.0), "psfFluxErr": np.ones(2)}
    on_template = dia_forced_source_table({name: values[:1] for name, values in rows.items()}, n=1)
    on_template["psfFlux"] = 90.0
    task = CombineDiaForcedTask(config=CombineDiaForcedTask.ConfigClass())
    found = task.run(objects, [dia_forced_source_table(rows, n=2)], [on_template])
    assert found.combined["dp_templateFlux"].tolist() == [90.0, 90.0]
    assert not found.combined["dp_templateFlux_flag"].any()
    assert found.summaries["dp_r_templateFlux"].tolist() == [90.0]
    assert found.summaries["dp_r_fpFluxNdata"].tolist() == [2]
    assert found.summaries["dp_r_fpFluxSigma"][0] == pytest.approx(np.sqrt(0.5))
