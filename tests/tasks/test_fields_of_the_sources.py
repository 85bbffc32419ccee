"""Fields about the sources of the difference: what each changes, against what is known of the scene."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from astropy.table import Table
from tests.tasks.conftest import FLUX, GONE, MOVED, NEW, configured

from diapipe.catalogs.ids import parts_of
from diapipe.errors import UsageError
from diapipe.images import ChebyshevField, MaskPlane
from diapipe.tasks import IdFactory, ImageDifferenceTask
from diapipe.tasks.ids import identifiers, renumbered


def moved(run):
    """The row of the star that moved; its place is not that of a lobe."""
    return run.row_at(MOVED, reach=6.0)


def test_doDetection(run):
    """Without, there is a difference and no table."""
    quiet = run(doDetection=False, doMeasurement=False, doMerge=False)
    assert quiet.result.diaSources is None
    assert quiet.result.subtractedExposure is not None
    assert run().row_at(NEW) is not None


def test_doMerge(run):
    """A star that moved by a pixel is one source of two signs; unmerged, it is two."""
    lobes = [
        np.hypot(r.result.diaSources["x"].value - 200.5, r.result.diaSources["y"].value - 250.0) < 5
        for r in (run(), run(doMerge=False))
    ]
    assert [int(near.sum()) for near in lobes] == [1, 2]
    signs = run(doMerge=False).result.diaSources["isNegative"][lobes[1]]
    assert sorted(signs) == [False, True]


def test_growFootprint(run):
    """Footprints of both signs that are grown before they are merged are wider by twice the growth, less a pixel."""
    small, large = (moved(run(growFootprint=n))["bboxSize"] for n in (0, 6))
    assert large >= small + 2 * 6 - 1


def test_doMeasurement(run):
    """Without, a source is the place and the significance of a peak."""
    bare, full = run(doMeasurement=False).row_at(NEW), run().row_at(NEW)
    assert np.isnan(bare["psfFlux"])
    assert bare["dp_score"] == pytest.approx(full["dp_score"])
    assert np.hypot(bare["ra"] - full["ra"], bare["dec"] - full["dec"]) * 3600 < 0.2
    assert full["psfFlux"] == pytest.approx(FLUX[NEW], abs=5 * float(full["psfFluxErr"]))


def test_doDipoleFitting(run):
    """The star that moved is a dipole of one pixel, 0.2 arcsec to 5%; without the fit nothing is called one."""
    row = moved(run())
    assert row["isDipole"]
    assert row["dipoleLength"] == pytest.approx(0.2, rel=0.05)
    assert not run(doDipoleFitting=False).result.diaSources["dipoleFitAttempted"].any()


def test_doForcedMeasurement(run):
    """The star that is gone has its flux on the template and none on the science image; without, neither is known."""
    row = run().row_at(GONE)
    assert row["templateFlux"] == pytest.approx(FLUX[GONE], abs=5 * float(row["templateFluxErr"]))
    assert row["scienceFlux"] == pytest.approx(0.0, abs=5 * float(row["scienceFluxErr"]))
    table = run(doForcedMeasurement=False).result.diaSources
    for name in ("scienceFlux", "scienceFluxErr", "templateFlux", "templateFluxErr"):
        assert np.isnan(table[name]).all()
    assert np.isfinite(table["psfFlux"]).any()


def test_doApCorr(scene):
    """With, PSF fluxes and their errors are those without times the correction of the image, here 1.07."""
    factor = 1.07
    science = replace(
        scene.science, aperture_corrections={"psfFlux": ChebyshevField.constant(factor, scene.science.box)}
    )
    with_, without = (
        ImageDifferenceTask(config=configured(doApCorr=value)).run(science, None, scene.template).diaSources
        for value in (True, False)
    )
    np.testing.assert_allclose(with_["psfFlux_apCorr"], factor, rtol=1e-6)
    for name in ("psfFlux", "psfFluxErr", "scienceFlux", "templateFlux"):
        np.testing.assert_allclose(with_[name], factor * without[name], rtol=1e-5)
    assert np.isnan(without["psfFlux_apCorr"]).all()


def test_doMatchSources(run):
    """The star that moved has a source of the science image at its place, the one that is gone has none."""
    matched = run(doMatchSources=True)
    row = matched.row_at(NEW)
    assert row["srcMatchId"] > 0
    assert matched.row_at(GONE)["srcMatchId"] == 0
    assert matched.row_at(NEW)["refMatchId"] == 0
    assert "srcMatchId" not in run().result.diaSources.colnames or not run().result.diaSources["srcMatchId"].any()


def test_diaSourceMatchRadius(run, scene):
    """A source 2 px, 0.4 arcsec, beside the new star matches within 0.5 arcsec and not within 0.3."""
    sources = run(doSelectSources=True).result.selectSources.copy()
    distance = np.hypot(sources["x"].value - NEW[0], sources["y"].value - NEW[1])
    sources["x"][np.argmin(distance)] += 2.0
    found = []
    for radius in (0.5, 0.3):
        config = configured(doMatchSources=True, diaSourceMatchRadius=radius)
        table = ImageDifferenceTask(config=config).run(scene.science, sources, scene.template).diaSources
        at = np.argmin(np.hypot(table["x"].value - NEW[0], table["y"].value - NEW[1]))
        found.append(int(table["srcMatchId"][at]) > 0)
    assert found == [True, False]


def test_identifiers_hold_visit_and_detector(run, scene):
    """By default those of the exposure; a function of the user's own is asked once a source."""
    table = run().result.diaSources
    parts = parts_of(np.asarray(table["diaSourceId"]))
    assert set(parts.visit) == {scene.science.info.visit}
    assert set(parts.detector) == {scene.science.info.detector}
    task = ImageDifferenceTask(config=configured())
    own = task.run(scene.science, None, scene.template, idFactory=iter(range(70, 1000)).__next__).diaSources
    assert list(own["diaSourceId"]) == list(range(70, 70 + len(own)))


def test_identifiers_run_out_or_repeat_with_a_message():
    factory = IdFactory(visit=7, detector=3)
    assert factory() + 1 == factory()
    with pytest.raises(UsageError, match="idFactory gave 4 of 5 identifiers twice"):
        identifiers(lambda: 3, 5)
    for _ in range(2 + 16381 - 2):
        factory()
    factory._given = len(factory._all)
    with pytest.raises(UsageError, match="all are given away"):
        factory()


def test_doSkySources(run):
    """Rows more, at empty places: their fluxes scatter about 0 as their errors say (four of 1/√2n)."""
    with_, without = run(doSkySources=True), run()
    table = with_.result.diaSources
    sky = np.asarray(table["sky_source"])
    assert sky.sum() == with_.task.skySources.metadata["nSkySources"] > 40
    assert len(table) == sky.sum() + len(without.result.diaSources)
    assert len(set(table["diaSourceId"])) == len(table)
    pulls = np.asarray(table["psfFlux"] / table["psfFluxErr"])[sky]
    assert np.nanstd(pulls) == pytest.approx(1.0, abs=4 / np.sqrt(2 * sky.sum()))
    again = ImageDifferenceTask(config=configured(doSkySources=True))
    assert not without.result.diaSources["sky_source"].any()
    assert again.config.skySources.nSources == 100


def test_doReliability(run):
    """The score of every source and the model that it comes from, or neither column; all else is the same."""
    with_, without = run().result.diaSources, run(doReliability=False).result.diaSources
    assert set(with_.colnames) - set(without.colnames) == {"reliability", "reliabilityVersion"}
    score = np.asarray(with_["reliability"])
    assert ((score >= 0.0) & (score <= 1.0)).all()
    assert set(with_["reliabilityVersion"]) == {with_.meta["reliabilityVersion"]} != {""}
    for name in ("dp_bad", "psfFlux"):
        np.testing.assert_array_equal(np.asarray(with_[name]), np.asarray(without[name]))


def test_sky_sources_need_no_measurement(run):
    """Without doMeasurement they are places with the score that happens to be there."""
    table = run(doSkySources=True, doMeasurement=False).result.diaSources
    assert np.abs(table["dp_score"][table["sky_source"]]).max() < 5.0


def test_cosmic_rays_and_streaks_are_flagged_before_the_search(scene):
    """A hot pixel on the science image is a cosmic ray of the difference; the search can be told not to look."""
    image = scene.science.masked_image.image.copy()
    image[150, 60] += 3000.0
    science = replace(scene.science, masked_image=replace(scene.science.masked_image, image=image))
    flagged = {}
    for value in (True, False):
        config = configured(detection__doFindCosmicRays=value, detection__doMaskStreaks=value)
        task = ImageDifferenceTask(config=config)
        result = task.run(science, None, scene.template)
        flagged[value] = bool(result.subtractedExposure.masked_image.mask[150, 60] & MaskPlane.CR)
    assert flagged == {True: True, False: False}
    assert task.detection.metadata["nCosmicRayPixels"] == 0


def test_a_row_that_names_another_names_it_anew():
    """Where identifiers are given by the user's own factory, parents stay parents."""
    table = Table({"diaSourceId": [30, 10, 20], "parentDiaSourceId": [0, 30, 40]})
    renumbered(table, iter([7, 8, 9]).__next__)
    assert list(table["diaSourceId"]) == [7, 8, 9]
    assert list(table["parentDiaSourceId"]) == [0, 7, 0]


def test_sources_with_bad_flags_are_dropped_on_request(run):
    """What is not to be trusted is; by default nothing is. The older names of flags will do."""
    table = run().result.diaSources
    bad = np.asarray(table["dp_bad"] | table["pixelFlags_saturatedCenter"])
    names = ["base_PixelFlags_flag_saturatedCenter", "dp_bad"]
    kept = run(measurement__badSourceFlags=names).result.diaSources
    assert bad.any()
    np.testing.assert_array_equal(kept["dp_score"], table["dp_score"][~bad])
