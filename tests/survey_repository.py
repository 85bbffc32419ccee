"""Coadds and templates of a simulated survey in a repository, made by the tasks, with the survey's true flux scale."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.table import Table
from astropy.time import Time, TimeDelta
from lsst.daf.butler import Butler, Timespan
from lsst.pipe.base import Pipeline
from lsst.pipe.base.simple_pipeline_executor import SimplePipelineExecutor
from lsst.sphgeom import ConvexPolygon
from tests.survey_templates import SurveyImages
from tests.tasks.small_repository import region_of, register

from diapipe.images import Exposure
from diapipe.images.discrete_sky_map import DiscreteSkyMap
from diapipe.tasks.repository import create_repository, open_repository
from diapipe.tasks.repository.sky_map_records import register_sky_map

INSTRUMENT, BAND = "SimCam", "r"
OF_CAMERA = {"instrument": INSTRUMENT}
WARP, COADD = "diapipe.tasks.make_warp.MakeWarpTask", "diapipe.tasks.assemble_coadd.AssembleCoaddTask"
TEMPLATE = "diapipe.tasks.build_template.BuildTemplateTask"


@dataclass(frozen=True, slots=True, eq=False)
class SurveyRepository:
    """A repository with visit images, in ``visits``, and what tasks make of them."""

    root: Path
    images: SurveyImages
    sky_map: DiscreteSkyMap

    @classmethod
    def of(cls, root: Path, images: SurveyImages, sky_map: DiscreteSkyMap, visits: Iterable[int]) -> SurveyRepository:
        """With the images of these visits and no coadd yet."""
        create_repository(root)
        made = cls(root, images, sky_map)
        with open_repository(root, writeable=True) as butler:
            made._insert_camera(butler)
            butler.collections.register("visits")
            for visit in visits:
                made._insert_visit(butler, visit)
                made._put_visit(butler, visit)
            register_sky_map(butler, sky_map)
        return made

    def coadd(self, visits: Sequence[int]) -> None:
        """Warp and stack visits on all patches that any of them touches, into the collection ``coadds``."""
        with open_repository(self.root, writeable=True) as butler:
            register(butler, "template_visits", ("skymap", "tract", "patch", "band"), "ArrowAstropy")
            numbers = range(self.images.survey.spec.n_detectors)
            rows = [(INSTRUMENT, visit, detector, True, "") for visit in visits for detector in numbers]
            chosen = Table(rows=rows, names=("instrument", "visit", "detector", "selected", "reason"))
            for patch in butler.registry.queryDataIds(("skymap", "tract", "patch")):
                butler.put(chosen, "template_visits", patch, band=BAND, run="visits")
        self._run({"makeWarp": WARP, "assembleCoadd": COADD}, f"visit IN ({', '.join(map(str, visits))})", "coadds")

    def templates(self, visit: int, *, output: str, getTemplate: str = "") -> dict[int, Exposure]:
        """The template of every detector of a visit that the coadds cover."""
        module, _, name = getTemplate.rpartition(".")
        lines = f"from {module} import {name}\nconfig.getTemplate.retarget({name})" if getTemplate else ""
        self._run({"buildTemplate": TEMPLATE}, f"visit={visit}", output, lines=lines)
        with open_repository(self.root) as butler:
            refs = butler.query_datasets("template_detector", output, explain=False)
            return {int(ref.dataId["detector"]): butler.get(ref) for ref in refs}

    def _run(self, tasks: dict[str, str], where: str, output: str, *, lines: str = "") -> None:
        """Run tasks, in this process."""
        pipeline = Pipeline(output)
        for label, task in tasks.items():
            pipeline.addTask(task, label)
            pipeline.addConfigPython(label, lines)
        inputs = ["visits", "skymaps", *(["coadds"] if output != "coadds" else [])]
        where = f"instrument='{INSTRUMENT}' AND skymap='{self.sky_map.name}' AND {where}"
        with SimplePipelineExecutor.prep_butler(str(self.root), inputs=inputs, output=output) as butler:
            executor = SimplePipelineExecutor.from_pipeline(pipeline, where=where, butler=butler)
            executor.run(register_dataset_types=True, save_versions=False)

    def _insert_camera(self, butler: Butler) -> None:
        registry, n = butler.registry, self.images.survey.spec.n_detectors
        most = {"visit_max": 1000, "exposure_max": 1000, "detector_max": n}
        registry.syncDimensionData("instrument", {"name": INSTRUMENT, "class_name": "", **most})
        for detector in range(n):
            registry.syncDimensionData("detector", {**OF_CAMERA, "id": detector, "full_name": f"D{detector}"})
        registry.syncDimensionData("physical_filter", {**OF_CAMERA, "name": BAND, "band": BAND})
        registry.syncDimensionData("day_obs", {**OF_CAMERA, "id": 20260101})
        register(butler, "visit_image", ("instrument", "visit", "detector"), "DiaExposure")
        register(butler, "visit_summary", ("instrument", "visit"), "ArrowAstropy")

    def _insert_visit(self, butler: Butler, visit: int) -> None:
        n = self.images.survey.spec.n_detectors
        exposures = [self.images(visit, detector) for detector in range(n)]
        regions = [region_of(exposure.wcs, exposure.box) for exposure in exposures]
        begin = Time(61000.0 + visit, format="mjd", scale="tai")
        record = {
            **OF_CAMERA,
            "id": visit,
            "name": str(visit),
            "physical_filter": BAND,
            "day_obs": 20260101,
            "timespan": Timespan(begin, begin + TimeDelta(30.0, format="sec")),
            "region": ConvexPolygon.convexHull([corner for region in regions for corner in region.getVertices()]),
        }
        butler.registry.insertDimensionData("visit", record)
        for detector, region in enumerate(regions):
            of_detector = {**OF_CAMERA, "visit": visit, "detector": detector, "region": region}
            butler.registry.insertDimensionData("visit_detector_region", of_detector)

    def _put_visit(self, butler: Butler, visit: int) -> None:
        n = self.images.survey.spec.n_detectors
        exposures = [self.images(visit, detector) for detector in range(n)]
        for detector, exposure in enumerate(exposures):
            butler.put(exposure, "visit_image", OF_CAMERA, visit=visit, detector=detector, run="visits")
        scales = np.array([exposure.photo_calib.mean for exposure in exposures])
        summary = Table(
            {"id": np.arange(n), "visit": [visit] * n, "nJyPerCount": scales, "nJyPerCountErr": 1e-3 * scales}
        )
        butler.put(summary, "visit_summary", OF_CAMERA, visit=visit, run="visits")
