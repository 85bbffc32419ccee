"""SelectVisitsTask: what the core chooses, by LSST's names and configurations, from tables in a repository."""

from __future__ import annotations

import logging
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from lsst.pipe.base import Pipeline
from lsst.pipe.base.simple_pipeline_executor import SimplePipelineExecutor
from tests.tasks.small_repository import BAND, INSTRUMENT, SmallRepository, detector_wcs, register

from diapipe.catalogs.visit_summaries import visit_summary
from diapipe.images import Box, DiscreteSkyMap, SkyMap, TractPlace
from diapipe.images.tract_grid import TractGrid
from diapipe.steps.coadd.selection import (
    SELECTIONS,
    BestSeeing,
    BestSeeingQuantile,
    BestSeeingVisits,
    Overlapping,
    PsfQuality,
    TimeBestSeeing,
)
from diapipe.tasks.fields import SettingsError
from diapipe.tasks.repository.sky_map_records import register_sky_map
from diapipe.tasks.select_visits import SelectVisitsConfig, SelectVisitsTask
from diapipe.tasks.visit_selectors import visitSelectorRegistry
from visit_rows import ON, PATCH, TRACT, images_of

MISSION = """
from lsst.dia.pipe.selectImages import TimeBestSeeingWcsSelectImagesTask
config.select.retarget(TimeBestSeeingWcsSelectImagesTask)
config.select.minMJD = 59580.0
config.select.maxMJD = 60310.0
config.select.minPsfFwhm = 2.5
config.select.maxPsfFwhm = 3.5
config.select.nImagesMax = 10
"""
"""The lines of the mission document, for 2018's coadd driver."""


def configured(lines="", **fields):
    config = SelectVisitsConfig()
    config.loadFromString(lines, filename="lines.py")
    for name, value in fields.items():
        setattr(config, name, value)
    config.validate()
    return config


def selector_of(lines, band="r"):
    task = SelectVisitsTask(config=configured(lines))
    return task.select.config.selector(band)


def test_the_lines_of_the_mission_make_its_selector(tmp_path: Path):
    """Also when the configuration has been saved and loaded, as the middleware does."""
    mission = TimeBestSeeing(min_mjd=59580.0, max_mjd=60310.0, min_fwhm_px=2.5, max_fwhm_px=3.5, n_images_max=10)
    assert selector_of(MISSION) == mission
    configured(MISSION).save(str(tmp_path / "config.py"))
    again = SelectVisitsConfig()
    again.load(str(tmp_path / "config.py"))
    assert SelectVisitsTask(config=again).select.config.selector("r") == mission


def test_no_limit_is_none_and_zero_is_zero():
    lines = "config.select.name = 'time_best_seeing'\nconfig.select.active."
    assert selector_of(lines + "minMJD = None") == TimeBestSeeing()
    assert selector_of(lines + "maxPsfFwhm = 0.0") == TimeBestSeeing(max_fwhm_px=0.0)


@pytest.mark.parametrize(
    ("task", "lines", "selector"),
    [
        ("WcsSelectImagesTask", "", Overlapping()),
        ("NullSelectImagesTask", "", Overlapping()),
        ("BestSeeingWcsSelectImagesTask", "", BestSeeing()),
        (
            "BestSeeingWcsSelectImagesTask",
            "psfFwhmUnit = 'pixel'; maxPsfFwhm = 0.7 / 0.2; minPsfFwhm = None; nImagesMax = 8",
            BestSeeing(
                n_images_max=8, max_fwhm_arcsec=None, min_fwhm_arcsec=None, max_fwhm_px=0.7 / 0.2, min_fwhm_px=None
            ),
        ),
        ("BestSeeingSelectVisitsTask", "", BestSeeingVisits()),
        (
            "BestSeeingSelectVisitsTask",
            "nVisitsMax = -1; minMJD = 5.0; maxMJD = 6.0; minPsfFwhm = 0.1; visitSummaryMinValues = {'skyBg': 2.0}",
            BestSeeingVisits(
                n_visits_max=None, min_mjd=5.0, max_mjd=6.0, min_fwhm_arcsec=0.1, min_values={"skyBg": 2.0}
            ),
        ),
        ("BestSeeingQuantileSelectVisitsTask", "", BestSeeingQuantile()),
        (
            "BestSeeingQuantileSelectVisitsTask",
            "qMin = 0.1; qMax = 0.5; nVisitsMin = 2; maxPsfFwhm = 1.0; minMJD = 3.0",
            BestSeeingQuantile(min_quantile=0.1, max_quantile=0.5, n_visits_min=2, max_fwhm_arcsec=1.0, min_mjd=3.0),
        ),
        ("PsfWcsSelectImagesTask", "", PsfQuality()),
        (
            "PsfWcsSelectImagesTask",
            "maxEllipResidual = 0.1; maxScaledSizeScatter = 0.2; maxPsfTraceRadiusDelta = None; maxPsfFwhm = 2.0; "
            "maxStarEMedian = 0.3; minNPsfStarPerBand = {'r': 9, 'fallback': 4}",
            PsfQuality(
                max_fwhm_arcsec=2.0,
                max_ellipticity_residual=0.1,
                max_scaled_size_scatter_per_px=0.2,
                max_trace_radius_delta_px=None,
                max_star_ellipticity=0.3,
                min_psf_stars=9,
            ),
        ),
    ],
)
def test_lssts_tasks_with_lssts_fields(task, lines, selector):
    """By their old path, each field to its parameter; what is not set has the default of the core."""
    text = f"from lsst.pipe.tasks.selectImages import {task}\nconfig.select.retarget({task})\n"
    text += "".join(f"config.select.{line}\n" for line in lines.split("; ") if line)
    assert selector_of(text) == selector


def test_every_way_of_the_core_has_its_task():
    """The registry has the names of the family, with equal defaults, and the default is the family's."""
    assert list(visitSelectorRegistry) == list(SELECTIONS)
    for name, kind in SELECTIONS.items():
        assert selector_of(f"config.select.name = {name!r}") == kind()
    assert selector_of("") == SELECTIONS.make(SELECTIONS.default)


def test_stars_are_counted_by_band():
    """A band that is not named has the number of the fallback."""
    lines = "config.select.name = 'psf_wcs'\nconfig.select.minNPsfStarPerBand = {'u': 3, 'fallback': 7}"
    assert [selector_of(lines, band).min_psf_stars for band in "ug"] == [3, 7]


def test_overlap_is_not_negotiable():
    with pytest.raises(SettingsError, match="doConfirmOverlap"):
        configured("config.select.name = 'best_seeing_visits'\nconfig.select.doConfirmOverlap = False")


def run(images, **fields):
    task = SelectVisitsTask(config=configured(fields.pop("lines", ""), **fields))
    place = TractPlace(ra_deg=150.0, dec_deg=2.0, width_deg=0.1, height_deg=0.1)
    sky_map = DiscreteSkyMap(name="one", grid=TractGrid(pixel_scale_arcsec=1.0, patch_size_px=400), tracts=(place,))
    found = task.run([images.table], sky_map.to_dict(), tract=0, patch=0, band="r").templateVisits
    return {int(row["visit"]): str(row["reason"]) for row in found}


IMAGES = images_of([(2456508, 0, ON, 2.0, 0, {}), (2456480, 0, ON, 2.2, 0, {}), (2456481, 3, ON, 2.4, 0, {})])


def test_visits_and_detectors_are_kept_out_or_asked_for(caplog):
    """As night 2456508 of the MOA season; its place goes to another."""
    best = "config.select.name = 'time_best_seeing'\nconfig.select.nImagesMax = 1"
    with caplog.at_level(logging.INFO):
        assert run(IMAGES, lines=best)[2456508] == ""
    assert "1 of 3 images taken; 1 left out: FWHM 2.2 px is not among the 1 smallest" in caplog.text
    found = run(IMAGES, lines=best, excludeVisits=[2456508])
    assert (found[2456508], found[2456480]) == ("its visit was kept out by hand", "")
    found = run(IMAGES, lines=best, visits=[2456481])
    assert [visit for visit, reason in found.items() if not reason] == [2456481]
    found = run(IMAGES, lines=best + "\nconfig.select.excludeDetectors = [0]")
    assert [visit for visit, reason in found.items() if not reason] == [2456481]


def test_a_limit_in_the_wrong_unit_is_told(caplog):
    """A limit of 2.1 arcsec leaves out nothing of 2.0 to 2.4 px of 0.5 arcsec; two would go if it meant pixels."""
    lines = "config.select.name = 'best_seeing'\nconfig.select.maxPsfFwhm = 2.1"
    with caplog.at_level(logging.WARNING):
        run(IMAGES, lines=lines)
    assert "maxPsfFwhm = 2.1 arcsec leaves out no image" in caplog.text
    assert "would leave out 2: if that is meant, set psfFwhmUnit = 'pixel'" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        run(IMAGES, lines=lines + "\nconfig.select.psfFwhmUnit = 'pixel'")
    assert not caplog.text


def summary_rows(visit, fwhm):
    """Of the small repository's two detectors."""
    for detector in (0, 1):
        ra, dec = detector_wcs(visit, detector).calc_footprint(axes=(256, 256), center=False).T
        yield {
            "id": detector,
            "visit": visit,
            "band": BAND,
            "mjd": 61050.0 + visit,
            "psfFwhm": fwhm,
            "pixelScale": 0.5,
            "raCorners": ra,
            "decCorners": dec,
            "skyNoise": 10.0,
            "nJyPerCount": 2.0,
        }


def test_a_repository_gets_a_choice_for_every_patch(small_repository: SmallRepository):
    """The middleware finds the visits of each patch; the better visit is taken on the patches that it touches, by
    detectors that touch them.
    """
    sky_map = DiscreteSkyMap(
        name="here",
        grid=TractGrid(pixel_scale_arcsec=0.5, patch_size_px=150, patch_border_px=10),
        tracts=(TractPlace(ra_deg=30.0, dec_deg=-10.0, width_deg=0.08, height_deg=0.04),),
    )
    with small_repository.opened(writeable=True) as butler:
        register_sky_map(butler, sky_map)
        register(butler, "visit_summary", ("instrument", "visit"), "ArrowAstropy")
        butler.collections.register("summaries")
        for visit, fwhm in ((11, 3.0), (12, 2.8)):
            butler.put(
                visit_summary(summary_rows(visit, fwhm)),
                "visit_summary",
                instrument=INSTRUMENT,
                visit=visit,
                run="summaries",
            )
    butler = SimplePipelineExecutor.prep_butler(str(small_repository.root), ["summaries", "skymaps"], "chosen")
    config = configured("config.select.name = 'time_best_seeing'\nconfig.select.nImagesMax = 1")
    executor = SimplePipelineExecutor.from_task_class(
        SelectVisitsTask, config=config, butler=butler, where="skymap = 'here'"
    )
    executor.run(register_dataset_types=True)
    seen = set()
    tract = SkyMap.from_dict(sky_map.to_dict()).tract(0)
    for ref in butler.query_datasets("template_visits", limit=None):
        found, patch = butler.get(ref), ref.dataId["patch"]
        assert isinstance(found, Table)
        chosen = found[np.asarray(found["selected"])]
        assert len(chosen) <= 1
        seen |= {(int(row["visit"]), int(row["detector"])) for row in chosen}
        for row in chosen:
            overlapping = tract.patches_overlapping(Box(0, 256, 0, 256), detector_wcs(row["visit"], row["detector"]))
            assert patch in {found.index for found in overlapping}
    assert seen >= {(12, 0), (12, 1)}


def test_the_pipeline_has_the_task():
    """With the names that coaddName asks for."""
    pipeline = Pipeline.from_uri(str(resources.files("diapipe.tasks.pipelines") / "survey.yaml"))
    pipeline.addConfigOverride("parameters", "coaddName", "deep")
    graph = pipeline.to_graph()
    node = graph.tasks["selectVisits"]
    names = {
        *(edge.dataset_type_name for edge in node.inputs.values()),
        *(e.dataset_type_name for e in node.outputs.values()),
    }
    assert names == {"skyMap", "visitSummary", "deepVisits"}


def test_patch_of_the_rows_is_the_tracts():
    """The rows written by hand lie on the patch that they say."""
    assert TRACT.patch(PATCH).outer.slices_in(TRACT.box) == (slice(0, 440), slice(0, 440))
