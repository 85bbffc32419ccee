"""A survey whose detectors lie across the border of two tracts: exposures and coadds of both, in a repository."""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha1
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table
from astropy.time import Time, TimeDelta
from lsst.daf.butler import Butler, Timespan
from lsst.pipe.base import Pipeline
from lsst.pipe.base.simple_pipeline_executor import SimplePipelineExecutor
from tests.tasks.small_repository import region_of, register
from tests.tract_scenes import BORDER_PX, PATCH_PX, SCALE, SIDE, Scene, drawn, observed, tan_wcs

from diapipe.images import Box, Exposure, ObservationInfo, PhotoCalib
from diapipe.images.discrete_sky_map import DiscreteSkyMap, TractPlace
from diapipe.images.sky import sky_of
from diapipe.images.tract_grid import TractGrid
from diapipe.tasks.characterize import CharacterizeConfig, CharacterizeTask
from diapipe.tasks.dataset_names import DP1, dataset_name
from diapipe.tasks.repository import create_repository, open_repository

INSTRUMENT, SKYMAP = "BorderCam", "two_tracts"
BOX = Box.from_shape((320, 340))
SCENE = Scene(shape=BOX.shape, dec=12.0)
SIGMA_PX, NOISE = 2.0, 10.0
OWN_NJY, SCALE_NJY = 2.0, 2.5
"""nJy of a count as the exposures themselves say, and as the visit summary says in the end, which is the truth."""
EXPOSURE_S = 30.0
NEW_FLUX = 9000.0
"""Counts of the new stars."""

ACROSS, AGAIN, SPARSE, ASIDE, OTHER_BAND = (1, 0), (2, 0), (1, 1), (2, 1), (3, 0)
"""Visit and detector: two across the border, one without stars, one beside the coadds, one without a coadd."""

NEW_AT = {ACROSS: (120.0, 200.0), AGAIN: (230.0, 90.0)}
BAND = {1: "r", 2: "r", 3: "g"}
"""By visit."""


def sky_map() -> DiscreteSkyMap:
    """The tracts of the scene, west and east."""
    side = (SIDE - 4) * SCALE / 3600
    off = (SIDE - 130) / 2 * SCALE / 3600 / np.cos(np.radians(SCENE.dec))
    places = [  # plain numbers, as YAML holds them
        TractPlace(ra_deg=float((SCENE.ra + sign * off) % 360), dec_deg=SCENE.dec, width_deg=side, height_deg=side)
        for sign in (-1, 1)
    ]
    grid = TractGrid(pixel_scale_arcsec=SCALE, patch_size_px=PATCH_PX, patch_border_px=BORDER_PX)
    return DiscreteSkyMap(name=SKYMAP, grid=grid, tracts=tuple(places))


def wcs_of(visit: int, detector: int) -> Any:
    """Across the border, turned a little from visit to visit; the detector aside lies mostly beyond the coadds."""
    center = [BOX.x_center, BOX.y_center]
    if (visit, detector) == ASIDE:
        center[1] += 1.15 * BOX.height
    return tan_wcs(ra=SCENE.ra, dec=SCENE.dec, scale=0.33, rotation=5.0 * visit, center=center)


def stars() -> tuple[Any, Any, Any]:
    """The stars of the sky."""
    return SCENE.stars(np.random.default_rng(5), n=7, spacing=46.0)


def exposure_of(visit: int, detector: int) -> Exposure:
    """What a detector saw; the new star is at a known pixel."""
    key, wcs = (visit, detector), wcs_of(visit, detector)
    seen = ([], [], []) if key == SPARSE else stars()
    if key in NEW_AT:
        ra, dec = sky_of(wcs, *(np.array([value]) for value in NEW_AT[key]))
        seen = tuple(np.append(known, new) for known, new in zip(seen, (ra, dec, NEW_FLUX * SCALE_NJY), strict=True))
    seen = (seen[0], seen[1], np.asarray(seen[2]) / SCALE_NJY)
    found = observed(wcs, seen, BOX, sigma=SIGMA_PX, noise=NOISE, rng=np.random.default_rng(key))
    when = {"mjd_midpoint": 61000.0 + visit, "exposure_time_s": EXPOSURE_S}
    info = ObservationInfo(visit=visit, detector=detector, band=BAND[visit], gain=2.0, **when)
    return replace(found, name=f"visit {visit}, detector {detector}", info=info, photo_calib=PhotoCalib(OWN_NJY))


def coadds() -> dict[tuple[int, int], Exposure]:
    """By tract and patch: in nJy, deep."""
    found = {}
    for tract in map(sky_map().tract, range(2)):
        rng = np.random.default_rng([7, tract.id])
        whole = drawn(tract, stars(), sigma=1.6, noise=4.0, rng=rng, inputs=(101, 102))
        for patch in tract.patches:
            found[tract.id, patch.index] = replace(whole[patch.outer], unit="nJy")
    return found


def insert_records(butler: Butler) -> None:
    """Instrument, visits with their sky, the sky map."""
    registry = butler.registry
    most = {"visit_max": 1000, "exposure_max": 1000, "detector_max": 8}
    registry.syncDimensionData("instrument", {"name": INSTRUMENT, "class_name": "", **most})
    of_camera = {"instrument": INSTRUMENT}
    for detector in (0, 1):
        registry.syncDimensionData("detector", {**of_camera, "id": detector, "full_name": f"D{detector}"})
    for band in "rg":
        registry.syncDimensionData("physical_filter", {**of_camera, "name": f"{band}_own", "band": band})
    registry.syncDimensionData("day_obs", {**of_camera, "id": 20260101})
    for visit, band in BAND.items():
        regions = {key[1]: region_of(wcs_of(*key), BOX) for key in EXPOSURES if key[0] == visit}
        begin = Time(61000.0 + visit, format="mjd", scale="tai")
        registry.insertDimensionData(
            "visit",
            {
                **of_camera,
                "id": visit,
                "name": str(visit),
                "physical_filter": f"{band}_own",
                "day_obs": 20260101,
                "timespan": Timespan(begin, begin + TimeDelta(EXPOSURE_S, format="sec")),
                "region": regions[0],
            },
        )
        for detector, region in regions.items():
            registry.insertDimensionData(
                "visit_detector_region", {**of_camera, "visit": visit, "detector": detector, "region": region}
            )
    insert_sky(butler)


EXPOSURES = (ACROSS, AGAIN, SPARSE, ASIDE, OTHER_BAND)


def insert_sky(butler: Butler) -> None:
    """Both tracts with their patches."""
    registry, known = butler.registry, sky_map()
    most = {"tract_max": 2, "patch_nx_max": 2, "patch_ny_max": 2}
    registry.syncDimensionData("skymap", {"name": SKYMAP, "hash": sha1(b"two tracts").digest(), **most})
    for tract in map(known.tract, range(2)):
        sky = {"skymap": SKYMAP, "tract": tract.id}
        registry.insertDimensionData(
            "tract", {"skymap": SKYMAP, "id": tract.id, "region": region_of(tract.wcs, tract.box)}
        )
        for patch in tract.patches:
            cell = {"cell_x": patch.column, "cell_y": patch.row}
            region = region_of(tract.wcs, patch.outer)
            registry.insertDimensionData("patch", {**sky, "id": patch.index, "region": region, **cell})


def summary_of(visit: int) -> Table:
    """The rows of a visit, with the final flux scale."""
    detectors = [key[1] for key in EXPOSURES if key[0] == visit]
    n = len(detectors)
    corners = np.array([[0, BOX.width, BOX.width, 0], [0, 0, BOX.height, BOX.height]]) - 0.5
    ra, dec = zip(*(sky_of(wcs_of(visit, detector), *corners) for detector in detectors), strict=True)
    rows = {"id": detectors, "visit": [visit] * n, "nJyPerCount": [SCALE_NJY] * n, "nJyPerCountErr": [0.01] * n}
    seen = {"mjd": [61000.0 + visit] * n, "psfFwhm": [2.3548 * SIGMA_PX] * n, "pixelScale": [0.33] * n}
    return Table(rows | seen | {"magLim": [23.3] * n, "raCorners": np.array(ra), "decCorners": np.array(dec)})


def fill(butler: Butler, *, coaddName: str = DP1) -> None:
    """Put exposures, their stars, their final scale, coadds and the sky map into the run ``inputs``."""
    visit_image, single_visit_star, template_coadd, visit_summary = (
        dataset_name(name, coaddName)
        for name in ("visit_image", "single_visit_star", "template_coadd", "visit_summary")
    )
    butler.collections.register("inputs")
    register(butler, visit_image, ("instrument", "visit", "detector"), "DiaExposure")
    register(butler, template_coadd, ("skymap", "tract", "patch", "band"), "DiaExposure")
    register(butler, single_visit_star, ("instrument", "visit", "detector"), "ArrowAstropy")
    register(butler, visit_summary, ("instrument", "visit"), "ArrowAstropy")
    register(butler, "skyMap", ("skymap",), "StructuredDataDict")
    butler.put(sky_map().to_dict(), "skyMap", skymap=SKYMAP, run="inputs")
    for visit, detector in EXPOSURES:
        key = {"instrument": INSTRUMENT, "visit": visit, "detector": detector}
        made = CharacterizeTask(config=CharacterizeConfig()).run(exposure_of(visit, detector))
        butler.put(made.visitImage, visit_image, key, run="inputs")
        butler.put(made.stars, single_visit_star, key, run="inputs")
    for visit in BAND:
        butler.put(summary_of(visit), visit_summary, instrument=INSTRUMENT, visit=visit, run="inputs")
    for (tract, patch), coadd in coadds().items():
        key = {"skymap": SKYMAP, "tract": tract, "patch": patch, "band": "r"}
        butler.put(coadd, template_coadd, key, run="inputs")


@dataclass(frozen=True)
class BorderSurvey:
    """The repository."""

    root: Path

    def pipeline(self, *lines: str, label: str = "imageDifference", task: str = "") -> Pipeline:
        """One task, configured by lines about ``config``."""
        pipeline = Pipeline("one task")
        pipeline.addTask(task or "diapipe.tasks.image_difference.ImageDifferenceTask", label)
        pipeline.addConfigPython(label, "\n".join(lines))
        return pipeline

    def run(self, pipeline: Pipeline, where: str, *, output: str, inputs: tuple[str, ...] = ("inputs",)) -> list[Any]:
        """Run it on part of the survey, in this process; its quanta."""
        butler = SimplePipelineExecutor.prep_butler(str(self.root), inputs=list(inputs), output=output)
        with butler:
            sky = f"instrument='{INSTRUMENT}' AND skymap='{SKYMAP}'"
            executor = SimplePipelineExecutor.from_pipeline(pipeline, where=f"{sky} AND {where}", butler=butler)
            return list(executor.run(register_dataset_types=True, save_versions=False))

    def get(self, name: str, key: tuple[int, int], *, collection: str, **more: Any) -> Any:
        """A dataset of a detector."""
        with open_repository(self.root) as butler:
            data_id = {"instrument": INSTRUMENT, "visit": key[0], "detector": key[1], **more}
            return butler.get(name, data_id, collections=collection)


def make_border_survey(root: Path, *, coaddName: str = DP1) -> BorderSurvey:
    """Make it; a few seconds."""
    create_repository(root)
    with open_repository(root, writeable=True) as butler:
        insert_records(butler)
        fill(butler, coaddName=coaddName)
    return BorderSurvey(root)
