"""ImageDifferenceTask on a repository: what it reads, what it writes, and why it does nothing where it does nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from lsst.daf.butler import DatasetNotFoundError
from tests.tasks.border_survey import (
    ACROSS,
    AGAIN,
    ASIDE,
    BOX,
    EXPOSURES,
    INSTRUMENT,
    NEW_AT,
    NEW_FLUX,
    OTHER_BAND,
    SCALE_NJY,
    SKYMAP,
    SPARSE,
    coadds,
    exposure_of,
    sky_map,
    stars,
    wcs_of,
)
from tests.tasks.small_repository import register

from diapipe.catalogs.ids import parts_of
from diapipe.errors import UsageError
from diapipe.images import CoaddPatch, Exposure
from diapipe.images.sky import between, sky_of
from diapipe.tasks import ImageDifferenceConfig, ImageDifferenceTask
from diapipe.tasks.no_work import NO_WORK
from diapipe.tasks.repository import formatters, open_repository

MULTI = (
    "from diapipe.tasks.get_template import GetCoaddAsMultiTractTemplateTask as Target",
    "config.getTemplate.retarget(Target)",
)
ONE, FEW = "visit=1 AND detector=0", "(visit=1 AND detector=0) OR (visit=2 AND detector=1)"


@pytest.fixture(scope="module")
def boxes():
    """What of coadds was read for all exposures."""
    return []


@pytest.fixture(scope="module")
def multi(border_survey, boxes):
    """Every exposure differenced with the template of all tracts."""
    read = formatters.stored_exposure
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            formatters, "stored_exposure", lambda path, box=None: boxes.append((path, box)) or read(path, box=box)
        )
        border_survey.run(border_survey.pipeline(*MULTI), "visit IN (1, 2, 3)", output="multi")
    return border_survey


@pytest.fixture(scope="module")
def single(border_survey):
    """One exposure differenced with the template of one tract."""
    border_survey.run(border_survey.pipeline(), ONE, output="single")
    return border_survey


def at(table, place, *, reach=2.0):
    """The sources within so many pixels of a place."""
    return table[np.hypot(table["x"].value - place[0], table["y"].value - place[1]) < reach]


def known(difference):
    """Pixels of a difference that have a value."""
    return np.isfinite(difference.exposure.masked_image.image)


@pytest.mark.parametrize("key", [ACROSS, AGAIN])
def test_the_new_star_has_its_flux(multi, key):
    """In nJy by the visit summary, not by the exposure's own calibration, within four of its errors."""
    (row,) = at(multi.get("dia_source", key, collection="multi"), NEW_AT[key])
    assert abs(row["psfFlux"] - NEW_FLUX * SCALE_NJY) < 4 * row["psfFluxErr"]
    assert row["psfFluxErr"] < 0.02 * row["psfFlux"]
    assert multi.get("difference_image.photo_calib", key, collection="multi").mean == SCALE_NJY


def test_a_detector_across_tracts_is_covered_by_all_of_them(multi, single):
    """The template of one tract leaves a part of the detector uncovered; that of both leaves none."""
    both = multi.get("difference_image", ACROSS, collection="multi")
    one = single.get("difference_image", ACROSS, collection="single")
    y, x = np.indices(BOX.shape).astype(float)
    ra, dec = sky_of(wcs_of(*ACROSS), x, y)
    on_either = [tract.covers(ra_deg=ra, dec_deg=dec) for tract in map(sky_map().tract, range(2))]
    assert all(0.5 < covered.mean() < 0.8 for covered in on_either)
    edge = 16  # a kernel and an interpolant need neighbours
    inner = np.s_[edge:-edge, edge:-edge]
    assert known(both)[inner].all()
    shares = [known(one)[inner][covered[inner]].mean() for covered in on_either]
    assert max(shares) > 0.9
    assert known(one)[inner].mean() < 0.85


def test_no_seam_at_the_border_of_a_tract(multi):
    """Six pixels on either side of a tract's border the pulls of the difference have mean 0 and width 1, as elsewhere.

    Of n pixels the mean scatters by 1 / sqrt(n) and the width by 1 / sqrt(2 n), each a little more where noise is left
    correlated; four of them, for n = 2000 at least, are 0.09 and 0.063.
    """
    difference = multi.get("difference_image", ACROSS, collection="multi")
    pixels = difference.exposure.masked_image
    pulls = pixels.image / np.sqrt(pixels.variance)
    star_x, star_y = wcs_of(*ACROSS).all_world2pix(*stars()[:2], 0)
    y, x = np.indices(BOX.shape).astype(float)
    places = zip([*star_x, NEW_AT[ACROSS][0]], [*star_y, NEW_AT[ACROSS][1]], strict=True)
    near_star = np.min([np.hypot(x - a, y - b) for a, b in places], axis=0)
    empty = (near_star > 8) & np.isfinite(pulls)
    for tract, side in zip(map(sky_map().tract, range(2)), (0, 1), strict=True):
        places = between(wcs_of(*ACROSS), tract.wcs)(x.ravel(), y.ravel())
        border = tract.box.x0 - 0.5 if side == 0 else tract.box.x1 - 0.5
        distance = np.abs(np.asarray(places[0]).reshape(BOX.shape) - border)
        beside = empty & (distance < 6)
        assert beside.sum() > 2000
        assert abs(pulls[beside].mean()) < 0.09
        assert abs(pulls[beside].std() - pulls[empty].std()) < 0.063


REASONS = {
    OTHER_BAND: ("NoOverlapError", "no coadd overlaps it"),
    ASIDE: ("NoOverlapError", "at least 10% are needed"),
    SPARSE: ("TooFewStarsError", "needed"),
}


@pytest.mark.parametrize("key", REASONS)
def test_where_there_is_no_work_the_reason_is_kept(multi, key):
    """The quantum is no failure: it has metadata, which tell the kind of error and its sentence, and no output."""
    kept = multi.get("imageDifference_metadata", key, collection="multi")["imageDifference"][NO_WORK]
    kind, words = REASONS[key]
    assert kept["type"] == kind
    assert words in kept["message"]
    assert f"visit {key[0]}, detector {key[1]}" in kept["message"]
    for name in ("difference_image", "dia_source"):
        with pytest.raises(DatasetNotFoundError):
            multi.get(name, key, collection="multi")


def test_the_coverage_is_told(multi):
    """As a number, for whoever wants to know how little it was."""
    kept = multi.get("imageDifference_metadata", ASIDE, collection="multi")["imageDifference"][NO_WORK]
    assert 0.0 < kept["coverage"] < 0.1


def test_identifiers_are_one_in_all_visits(multi):
    """They hold visit and detector, so no two images share one."""
    found = {key: multi.get("dia_source", key, collection="multi") for key in (ACROSS, AGAIN)}
    for (visit, detector), table in found.items():
        parts = parts_of(table["diaSourceId"])
        assert set(parts.visit) == {visit} == set(table["visit"])
        assert set(parts.detector) == {detector} == set(table["detector"])
    every = np.concatenate([table["diaSourceId"] for table in found.values()])
    assert len(np.unique(every)) == len(every)


def test_coadds_are_read_where_they_overlap(multi, boxes):
    """No patch is read whole, none outside its own pixels; an exposure that is mostly beside them reads little."""
    cuts = [(path, box) for path, box in boxes if "template_coadd" in path]
    assert len([path for path, _ in boxes if "visit_image" in path]) == len(EXPOSURES)
    outer = [coadd.box for coadd in coadds().values()]
    assert all(cut is not None and any(box.contains(cut) for box in outer) for _, cut in cuts)
    n_full = len([key for key in EXPOSURES if key in (ACROSS, AGAIN, SPARSE)])
    whole = sum(box.area for box in outer)
    assert n_full * BOX.area * (0.33 / 0.3) ** 2 < sum(cut.area for _, cut in cuts) < 0.9 * n_full * whole


def test_what_was_characterized_is_not_measured_again(multi):
    """The difference is that of an exposure which was never written and read, to the rounding of its pixels."""
    config = ImageDifferenceConfig()
    exec("\n".join(MULTI), {"config": config})
    known_map = sky_map()
    patches = [
        CoaddPatch(tract=known_map.tract(tract), patch_index=patch, pixels=coadd)
        for (tract, patch), coadd in coadds().items()
    ]
    direct = ImageDifferenceTask(config=config).run(exposure_of(*ACROSS), templateExposure=patches)
    stored = multi.get("difference_image", ACROSS, collection="multi").exposure.masked_image
    expected = direct.subtractedExposure.masked_image
    noise = np.sqrt(np.nanmedian(expected.variance))
    np.testing.assert_allclose(stored.image, expected.image, atol=1e-3 * noise)
    np.testing.assert_array_equal(stored.mask, expected.mask)


def test_a_template_that_was_built(multi):
    """BuildTemplateTask keeps the template, on the detector's pixels; the new star is the same to 0.2 of its error."""
    task = "diapipe.tasks.build_template.BuildTemplateTask"
    multi.run(multi.pipeline(label="buildTemplate", task=task), FEW, output="built")
    template = multi.get("template_detector", ACROSS, collection="built")
    assert template.box == BOX.dilated(20)
    assert template.inputs == (101, 102)
    covered = multi.get("buildTemplate_metadata", ACROSS, collection="built")["buildTemplate"]["templateCoverage"]
    assert covered == 1.0
    kept = multi.get("buildTemplate_metadata", ASIDE, collection="built")["buildTemplate"][NO_WORK]
    assert "at least 10% are needed" in kept["message"]
    lines = ("from diapipe.tasks.get_template import GetBuiltTemplateTask as Target", MULTI[1])
    multi.run(multi.pipeline(*lines), FEW, output="of_built", inputs=("inputs", "built"))
    (row,), (same,) = (
        at(multi.get("dia_source", ACROSS, collection=name), NEW_AT[ACROSS]) for name in ("of_built", "multi")
    )
    assert abs(row["psfFlux"] - same["psfFlux"]) < 0.2 * row["psfFluxErr"]
    kept = multi.get("imageDifference_metadata", ASIDE, collection="of_built")["imageDifference"][NO_WORK]
    assert "no template was made for it" in kept["message"]


def test_another_visit_as_the_template(border_survey):
    """What is new in the one is positive, what is new in the other negative; the visit itself is no template of it."""
    lines = (
        "from diapipe.tasks.get_template import GetCalexpAsTemplateTask as Target",
        MULTI[1],
        "config.getTemplate.templateVisit = 2",
    )
    border_survey.run(border_survey.pipeline(*lines), "detector=0 AND visit IN (1, 2)", output="of_visit")
    table = border_survey.get("dia_source", ACROSS, collection="of_visit")
    (row,) = at(table, NEW_AT[ACROSS])
    assert abs(row["psfFlux"] - NEW_FLUX * SCALE_NJY) < 4 * row["psfFluxErr"]
    ra, dec = sky_of(wcs_of(*AGAIN), *(np.array([value]) for value in NEW_AT[AGAIN]))
    (x,), (y,) = wcs_of(*ACROSS).all_world2pix(ra, dec, 0)
    (gone,) = at(table, (x, y))
    assert abs(gone["psfFlux"] + NEW_FLUX * SCALE_NJY) < 4 * gone["psfFluxErr"]
    kept = border_survey.get("imageDifference_metadata", AGAIN, collection="of_visit")["imageDifference"][NO_WORK]
    assert "its template visit has no such detector" in kept["message"]


def test_parts_of_the_band_as_the_template(border_survey):
    """Of three coadds of a third of the light each; overhead the air displaces nothing and the new star is found."""
    with open_repository(border_survey.root, writeable=True) as butler:
        dimensions = ("skymap", "tract", "patch", "band", "subfilter")
        register(butler, "dcr_coadd", dimensions, "DiaExposure")
        butler.registry.insertDimensionData("subfilter", *({"band": "r", "id": k} for k in range(3)))
        butler.collections.register("parts")
        overhead = replace(exposure_of(*ACROSS), info=replace(exposure_of(*ACROSS).info, airmass=1.0))
        overhead = replace(overhead, info=replace(overhead.info, parallactic_angle_deg=0.0))
        key = {"instrument": INSTRUMENT, "visit": 1, "detector": 0}
        butler.put(overhead, "visit_image", key, run="parts")
        for (tract, patch), coadd in coadds().items():
            key = {"skymap": SKYMAP, "tract": tract, "patch": patch, "band": "r"}
            for subfilter in range(3):
                butler.put(scaled_by(coadd, 1 / 3), "dcr_coadd", key, subfilter=subfilter, run="parts")
    lines = (
        "from diapipe.tasks.get_template import GetDcrAsTemplateTask as Target",
        MULTI[1],
        "config.getTemplate.effectiveWavelength = 620.0",
        "config.getTemplate.bandwidth = 140.0",
    )
    border_survey.run(border_survey.pipeline(*lines), ONE, output="of_parts", inputs=("parts", "inputs"))
    (row,) = at(border_survey.get("dia_source", ACROSS, collection="of_parts"), NEW_AT[ACROSS])
    assert abs(row["psfFlux"] - NEW_FLUX * SCALE_NJY) < 4 * row["psfFluxErr"]


def scaled_by(exposure: Exposure, factor: float) -> Exposure:
    """The exposure with so much of its light."""
    pixels = exposure.masked_image
    changed = replace(pixels, image=pixels.image * np.float32(factor), variance=pixels.variance * np.float32(factor**2))
    return replace(exposure, masked_image=changed)


def test_a_stored_difference_is_searched_again(multi):
    """DoSubtract = False reads the difference of an earlier run; a higher threshold keeps the bright source."""
    lines = ("config.doSubtract = False", "config.detection.thresholdValue = 20.0")
    multi.run(multi.pipeline(*MULTI, *lines), ONE, output="again", inputs=("multi", "inputs"))
    table = multi.get("dia_source", ACROSS, collection="again")
    assert len(at(table, NEW_AT[ACROSS])) == 1
    assert (np.abs(table["snr"]) > 15).all()


def test_two_sky_maps_are_one_too_many(border_survey, tmp_path):
    """Coadds of both would be blended twice: whoever asks is told to choose, before anything runs."""
    connections = ImageDifferenceConfig.ConnectionsClass(config=ImageDifferenceConfig())

    class Ref:
        def __init__(self, skymap):
            self.dataId = {"skymap": skymap}

    inputs = {"coaddExposures": (connections.coaddExposures, [Ref("a"), Ref("b")])}
    with pytest.raises(UsageError, match="sky maps a, b for visit 1, detector 0; choose one: add skymap = 'a'"):
        connections.adjustQuantum(inputs, {}, "imageDifference", {"visit": 1, "detector": 0})


def test_every_exposure_was_tried(multi):
    """Also those that gave nothing have metadata and a log."""
    for key in EXPOSURES:
        assert multi.get("imageDifference_metadata", key, collection="multi") is not None
        assert multi.get("imageDifference_log", key, collection="multi") is not None
