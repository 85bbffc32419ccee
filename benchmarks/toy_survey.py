"""A survey without pixels: records, regions and tasks in the shape of the real ones, to run the machinery alone.

The tests break it on purpose (a task fails, finds no work, kills its process, fills the disk); the benchmark of the
machinery makes it large.
"""

from __future__ import annotations

import errno
import os
import resource
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import new_class
from typing import Any

import numpy as np
from astropy.time import Time, TimeDelta
from lsst.daf.butler import Butler, CollectionType, DatasetRef, DatasetType, Timespan
from lsst.pex.config import Field, ListField
from lsst.pipe.base import (
    NoWorkFound,
    PipelineTask,
    PipelineTaskConfig,
    PipelineTaskConnections,
    QuantumContext,
    Struct,
)
from lsst.pipe.base.connectionTypes import Input, Output
from lsst.sphgeom import ConvexPolygon, LonLat, UnitVector3d

from diapipe.tasks.repository import create_repository

INSTRUMENT, SKYMAP = "ToyCam", "toy"
DICT = "StructuredDataDict"
DETECTOR = ("instrument", "visit", "detector")
PIPELINE = Path(__file__).with_name("toy_survey.yaml")


@dataclass(frozen=True, kw_only=True)
class ToySurvey:
    """How many of everything; visits step over the field so that each detector overlaps a few patches.

    Parameters
    ----------
    n_visits, n_detectors
        Visits, and detectors of each, in one row.
    n_tracts, n_patches
        Tracts beside each other in right ascension, and patches along the side of each.
    detector_deg
        Side of a detector.
    far_visits
        Visits that lie beside all tracts.
    """

    n_visits: int = 4
    n_detectors: int = 2
    n_tracts: int = 1
    n_patches: int = 2
    detector_deg: float = 0.1
    far_visits: tuple[int, ...] = ()

    def build(self, root: Path) -> Path:
        """Make the repository, with a dictionary for every post_isr_image."""
        create_repository(root)
        with Butler.from_config(root, writeable=True) as butler:
            self.fill(butler)
        return root

    def fill(self, butler: Butler) -> None:
        """Records of all dimensions and the images of all visits."""
        self._insert_sky(butler)
        self._insert_visits(butler)
        run = f"{INSTRUMENT}/raw"
        butler.collections.register(run, CollectionType.RUN)
        butler.collections.register("skymaps", CollectionType.RUN)
        kind = DatasetType("post_isr_image", ("instrument", "exposure", "detector"), DICT, universe=butler.dimensions)
        butler.registry.registerDatasetType(kind)
        with butler.transaction():
            for visit in range(1, self.n_visits + 1):
                for detector in range(self.n_detectors):
                    value = {"value": 1000 * visit + detector}
                    butler.put(value, kind, instrument=INSTRUMENT, exposure=visit, detector=detector, run=run)

    def _insert_sky(self, butler: Butler) -> None:
        """Square tracts of a degree, cut into patches."""
        registry, n = butler.registry, self.n_patches
        registry.insertDimensionData(
            "skymap", {"name": SKYMAP, "hash": b"toy", "tract_max": self.n_tracts, "patch_nx_max": n, "patch_ny_max": n}
        )
        for tract in range(self.n_tracts):
            registry.insertDimensionData("tract", {"skymap": SKYMAP, "id": tract, "region": _square(tract, 0.0, 1.0)})
            patches = [
                {
                    "skymap": SKYMAP,
                    "tract": tract,
                    "id": n * row + column,
                    "cell_x": column,
                    "cell_y": row,
                    "region": _square(tract + column / n, row / n, 1.0 / n),
                }
                for row in range(n)
                for column in range(n)
            ]
            registry.insertDimensionData("patch", *patches)

    def _insert_visits(self, butler: Butler) -> None:
        """A visit a night; its detectors lie side by side, a random step from the middle of the sky."""
        registry, rng = butler.registry, np.random.default_rng(1)
        side = self.detector_deg
        registry.insertDimensionData(
            "instrument",
            {
                "name": INSTRUMENT,
                "class_name": "benchmarks.toy_survey.ToyCam",
                "visit_max": 10**9,
                "exposure_max": 10**9,
                "detector_max": self.n_detectors,
            },
        )
        registry.insertDimensionData(
            "physical_filter", *({"instrument": INSTRUMENT, "name": f"toy_{band}", "band": band} for band in "gr")
        )
        registry.insertDimensionData(
            "detector", *({"instrument": INSTRUMENT, "id": d, "full_name": f"D{d}"} for d in range(self.n_detectors))
        )
        registry.insertDimensionData("day_obs", {"instrument": INSTRUMENT, "id": 20260101})
        exposures, visits, definitions, regions = [], [], [], []
        begin = Time(61000.0, format="mjd", scale="tai")
        for visit in range(1, self.n_visits + 1):
            x = rng.uniform(0, max(0.0, self.n_tracts - side * self.n_detectors))
            y = rng.uniform(0, 1 - side) + 20 * (visit in self.far_visits)
            begins = begin + TimeDelta(visit * 0.01, format="jd")
            shared = {
                "instrument": INSTRUMENT,
                "id": visit,
                "physical_filter": "toy_" + "gr"[visit % 2],
                "day_obs": 20260101,
                "timespan": Timespan(begins, begins + TimeDelta(30, format="sec")),
            }
            exposures.append(
                shared
                | {"group": str(visit), "obs_id": str(visit), "seq_num": visit, "seq_start": visit, "seq_end": visit}
            )
            corners = [_square(x + side * d, y, side) for d in range(self.n_detectors)]
            hull = ConvexPolygon.convexHull([v for corner in corners for v in corner.getVertices()])
            visits.append(shared | {"name": str(visit), "seq_num": visit, "region": hull})
            definitions.append({"instrument": INSTRUMENT, "visit": visit, "exposure": visit})
            regions += [
                {"instrument": INSTRUMENT, "visit": visit, "detector": d, "region": corner}
                for d, corner in enumerate(corners)
            ]
        registry.insertDimensionData(
            "group", *({"instrument": INSTRUMENT, "name": str(v)} for v in range(1, self.n_visits + 1))
        )
        registry.insertDimensionData("exposure", *exposures)
        registry.insertDimensionData("visit", *visits)
        registry.insertDimensionData("visit_definition", *definitions)
        registry.insertDimensionData("visit_detector_region", *regions)


def _square(x: float, y: float, side: float) -> ConvexPolygon:
    """A square near the equator, corner and side in degrees."""
    corners = [(x, y), (x + side, y), (x + side, y + side), (x, y + side)]
    return ConvexPolygon([UnitVector3d(LonLat.fromDegrees(10 + lon, lat)) for lon, lat in corners])


class ToyConfig(PipelineTaskConfig, pipelineConnections=PipelineTaskConnections):
    """What a toy task does besides its sum, for data ids written as ``visit/detector`` or ``tract/patch``."""

    addend = Field[int](doc="Added to the sum of the inputs.", default=1)
    seconds = Field[float](doc="Seconds to work.", default=0.0)
    fail = ListField[str](doc="Raise there.", default=[])
    noWork = ListField[str](doc="Raise NoWorkFound there.", default=[])
    die = ListField[str](doc="Be killed there, once the file `dieUnless` is absent.", default=[])
    dieUnless = Field[str](doc="A file; where it exists the task does not die.", default="")
    diskFullWhile = Field[str](doc="A file; where it exists the disk is full.", default="")
    hang = ListField[str](doc="Work for an hour there.", default=[])
    fileLimit = Field[int](doc="Largest file the process may write, in bytes; 0 = any.", default=0)
    nNumbers = Field[int](doc="Numbers written beside the sum.", default=0)
    drift = Field[float](doc="Every input of a scale makes a count of all visits worth more by this part.", default=0.0)


class ToyTask(PipelineTask):
    """Adds numbers; every connection called `first`, `second` or `third` is an input, `output` the output."""

    ConfigClass = ToyConfig
    _DefaultName = "toy"

    def runQuantum(self, context: QuantumContext, inputs: Any, outputs: Any) -> None:
        """Sum what was found, and do what the configuration says of this data id."""
        found = context.get(inputs)
        data_id = context.quantum.dataId
        place = "/".join(
            str(data_id[name]) for name in ("visit", "detector", "tract", "patch") if name in data_id.dimensions
        )
        self.misbehave(place)
        values = [value["value"] for held in found.values() for value in _as_list(held)]
        result = {"value": sum(values) + self.config.addend, "n": len(values)}
        if outputs.output.datasetType.name == "photometric_scale":
            result |= _scales(inputs.first, 1.0 + self.config.drift * len(values))
        if self.config.nNumbers:
            result["numbers"] = list(range(self.config.nNumbers))
        context.put(Struct(output=result), outputs)

    def misbehave(self, place: str) -> None:
        """Wait, fail, die or fill the disk, where the configuration says so."""
        time.sleep(self.config.seconds)
        if place in self.config.fail:
            raise ValueError(f"the toy task breaks at {place}, as it was told")
        if place in self.config.noWork:
            raise NoWorkFound(f"nothing to do at {place}, as it was told")
        if place in self.config.hang:
            time.sleep(3600)
        if place in self.config.die and not (self.config.dieUnless and Path(self.config.dieUnless).exists()):
            os.kill(os.getpid(), signal.SIGKILL)
        if self.config.diskFullWhile and Path(self.config.diskFullWhile).exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if self.config.fileLimit:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.config.fileLimit, resource.RLIM_INFINITY))


def _scales(refs: Iterable[DatasetRef], value: float) -> dict[str, Any]:
    """Columns of a photometric scale that is the same for all images."""
    visits, detectors = zip(*((ref.dataId["visit"], ref.dataId["detector"]) for ref in refs), strict=True)
    n = len(visits)
    return {"visit": visits, "detector": detectors, "nJyPerCount": [value] * n, "nJyPerCountErr": [0.0] * n}


def _as_list(held: Any) -> Iterable[dict[str, int]]:
    return held if isinstance(held, list) else [held]


def _task(name: str, dimensions: tuple[str, ...], output: Output, **inputs: Input) -> type[ToyTask]:
    """A toy task of its own connections."""
    members = {**inputs, "output": output}
    connections = new_class(
        f"{name}Connections", (PipelineTaskConnections,), {"dimensions": dimensions}, lambda body: body.update(members)
    )
    config = new_class(f"{name}Config", (ToyConfig,), {"pipelineConnections": connections})
    task = type(f"{name}Task", (ToyTask,), {"ConfigClass": config, "_DefaultName": name})
    for made in (connections, config, task):  # a saved configuration names its class, so it is found by its name
        made.__module__ = __name__
        globals()[made.__name__] = made
    return task


def _out(name: str, dimensions: tuple[str, ...]) -> Output:
    return Output(name=name, dimensions=dimensions, storageClass=DICT, doc=name)


def _in(name: str, dimensions: tuple[str, ...], *, multiple: bool = False) -> Input:
    return Input(name=name, dimensions=dimensions, storageClass=DICT, multiple=multiple, doc=name)


PATCH, WARP = ("skymap", "tract", "patch", "band"), ("instrument", "visit", "skymap", "tract", "patch")
SUMMARY = ("instrument", "visit")

ToyCharacterizeTask = _task(
    "ToyCharacterize",
    DETECTOR,
    _out("visit_image", DETECTOR),
    first=_in("post_isr_image", ("instrument", "exposure", "detector")),
)
ToyScaleTask = _task(
    "ToyScale",
    ("instrument", "band"),
    _out("photometric_scale", ("instrument", "band")),
    first=_in("visit_image", DETECTOR, multiple=True),
)
ToySummaryTask = _task(
    "ToySummary",
    SUMMARY,
    _out("visit_summary", SUMMARY),
    first=_in("visit_image", DETECTOR, multiple=True),
    second=_in("photometric_scale", ("instrument", "band")),
)
ToySelectTask = _task(
    "ToySelect", PATCH, _out("template_visits", PATCH), first=_in("visit_summary", SUMMARY, multiple=True)
)
ToyWarpTask = _task(
    "ToyWarp",
    WARP,
    _out("template_warp", WARP),
    first=_in("visit_image", DETECTOR, multiple=True),
    second=_in("template_visits", PATCH),
    third=_in("visit_summary", SUMMARY),
)
ToyCoaddTask = _task("ToyCoadd", PATCH, _out("template_coadd", PATCH), first=_in("template_warp", WARP, multiple=True))
ToyDifferenceTask = _task(
    "ToyDifference",
    (*DETECTOR, "skymap"),
    _out("difference_image", DETECTOR),
    first=_in("visit_image", DETECTOR),
    second=_in("template_coadd", PATCH, multiple=True),
)
ToyAssociateTask = _task(
    "ToyAssociate",
    PATCH[:3],
    _out("dia_object", PATCH[:3]),
    first=_in("difference_image", DETECTOR, multiple=True),
)
ToyForcedTask = _task(
    "ToyForced",
    (*DETECTOR, "skymap"),
    _out("forced_source", DETECTOR),
    first=_in("difference_image", DETECTOR),
    second=_in("dia_object", PATCH[:3], multiple=True),
)
for _follower in (ToyAssociateTask, ToyForcedTask):
    _follower.follows_inputs = True  # type: ignore[attr-defined]
