"""define_visits: the visits of a repository's exposures, with the sky that each of their detectors saw."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from lsst.daf.butler import Butler, DatasetRef
from lsst.sphgeom import ConvexPolygon

from diapipe.errors import DiapipeError, InputError, UsageError, counted
from diapipe.images import Box
from diapipe.images.sky import icrs_of, outline
from diapipe.numerics.sphere import unit_vectors
from diapipe.tasks.repository.camera import Camera
from diapipe.tasks.repository.camera_files import ImageFile
from diapipe.tasks.repository.ingest_sorting import DATASET
from diapipe.tasks.repository.instrument import VISIT_SYSTEM
from diapipe.tasks.repository.polygons import Outline, hull_of, vertices_of
from diapipe.tasks.repository.stored_cameras import raw_run, stored_camera
from diapipe.tasks.repository.writing import repository_writes

N_EDGE = 8
"""Parts into which each edge of a detector is divided: bent by distortion, it bulges between its corners."""
_BATCH = 100
"""Visits of one transaction."""
_WIDEST_DEG = 85.0

type Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class DefinedVisits:
    """What a call of `define_visits` did.

    Attributes
    ----------
    defined
        Visits that are new.
    completed
        Visits that were there and got detectors which had come since.
    n_already_there
        Visits that were left as they are.
    refused
        Sentences on detectors whose place on the sky is unknown.
    """

    defined: tuple[int, ...]
    completed: tuple[int, ...] = ()
    n_already_there: int = 0
    refused: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """One line: ``87 visits defined, 2 already there, 1 detector without a place on the sky``."""
        parts = [f"{counted(len(self.defined), 'visit')} defined"]
        if self.completed:
            parts.append(f"{len(self.completed)} completed")
        if self.n_already_there:
            parts.append(f"{self.n_already_there} already there")
        if self.refused:
            parts.append(f"{counted(len(self.refused), 'detector')} without a place on the sky")
        return ", ".join(parts)


def define_visits(
    butler: Butler,
    *,
    instrument: str | None = None,
    threads: int = 1,
    progress: Progress = lambda stage, done, total: None,
) -> DefinedVisits:
    """Define a visit for every exposure that has none, with regions from the WCS of its files.

    Parameters
    ----------
    butler
        Writeable.
    instrument
        Whose exposures; None for all instruments that diapipe has ingested.
    threads
        That read headers at once.
    progress
        Called with a stage and how much of it is done.

    Returns
    -------
    DefinedVisits
        What was done; a visit without any detector on the sky is not defined.

    Raises
    ------
    UsageError
        If nothing was ingested.
    WriteError
        If disk or database refuses.
    """
    found = [_define(butler, camera, threads, progress) for camera in _cameras(butler, instrument)]
    return DefinedVisits(
        defined=tuple(visit for each in found for visit in each.defined),
        completed=tuple(visit for each in found for visit in each.completed),
        n_already_there=sum(each.n_already_there for each in found),
        refused=tuple(sentence for each in found for sentence in each.refused),
    )


def _cameras(butler: Butler, instrument: str | None) -> list[Camera]:
    names = [record.name for record in butler.registry.queryDimensionRecords("instrument")]
    if instrument is not None and instrument not in names:
        raise UsageError(
            f"the repository has no instrument {instrument!r}; it has {', '.join(sorted(names)) or 'none'}"
        )
    wanted = sorted(names) if instrument is None else [instrument]
    found = [camera for name in wanted if (camera := stored_camera(butler, name)) is not None]
    if not found:
        raise UsageError("nothing was ingested into this repository; `diapipe ingest` does it")
    return found


def _define(butler: Butler, camera: Camera, threads: int, progress: Progress) -> DefinedVisits:
    exposures = {record.id: record for record in _records(butler, "exposure", camera)}
    visits = {record.id: record for record in _records(butler, "visit", camera)}
    done = {(record.visit, record.detector) for record in _records(butler, "visit_detector_region", camera)}
    wanted: dict[int, list[DatasetRef]] = defaultdict(list)
    for ref in butler.query_datasets(DATASET, collections=raw_run(camera.name), limit=None, explain=False):
        if (ref.dataId["exposure"], ref.dataId["detector"]) not in done:
            wanted[int(ref.dataId["exposure"])].append(ref)
    outlines, refused = _outlines(butler, camera, [ref for refs in wanted.values() for ref in refs], threads, progress)
    ids = sorted(outlines)
    for start in range(0, len(ids), _BATCH):
        batch = ids[start : start + _BATCH]
        with repository_writes("visits"), butler.transaction():
            _insert(butler, camera, {visit: outlines[visit] for visit in batch}, exposures, visits)
        progress("defining visits", start + len(batch), len(ids))
    return DefinedVisits(
        defined=tuple(visit for visit in ids if visit not in visits),
        completed=tuple(visit for visit in ids if visit in visits),
        n_already_there=len(set(visits) - set(outlines)),
        refused=tuple(refused),
    )


def _records(butler: Butler, element: str, camera: Camera) -> list[Any]:
    return butler.query_dimension_records(
        element, where="instrument = camera", bind={"camera": camera.name}, limit=None, explain=False
    )


def _outlines(
    butler: Butler, camera: Camera, refs: Sequence[DatasetRef], threads: int, progress: Progress
) -> tuple[dict[int, dict[int, Outline]], list[str]]:
    """Outlines by visit and detector, and a sentence for every detector that has none."""
    files = sorted(
        (
            ImageFile(uris.primaryURI.ospath, camera, int(ref.dataId["exposure"]), int(ref.dataId["detector"]))
            for ref, uris in butler.get_many_uris(refs).items()
            if uris.primaryURI is not None
        ),
        key=lambda file: (file.visit, file.detector),
    )

    def seen(file: ImageFile) -> Outline | str:
        try:
            return outline_of(file)
        except DiapipeError as error:
            name = camera.detector_name(file.detector)
            title = f"{file.detector}" if name == str(file.detector) else f"{file.detector} ({name})"
            return f"visit {file.visit} detector {title}, {os.path.basename(file.path)}: {error}"

    found: dict[int, dict[int, Outline]] = defaultdict(dict)
    refused: list[str] = []
    with ThreadPoolExecutor(threads) as pool:
        results = pool.map(seen, files) if threads > 1 else map(seen, files)
        for n, (file, result) in enumerate(zip(files, results, strict=True), 1):
            progress("reading WCS", n, len(files))
            if isinstance(result, str):
                refused.append(result)
            else:
                found[file.visit][file.detector] = result
    return dict(found), refused


def outline_of(file: ImageFile) -> Outline:
    """Unit vectors around the outer edge of a detector's pixels, shape (4 `N_EDGE` + 4, 3).

    Raises
    ------
    InputError
        If the file has no WCS, or one that leaves part of the edge nowhere, or spread over half of the sky.
    """
    box, wcs = file.place_on_sky()
    if wcs is None:
        raise InputError("it has no WCS that can be understood")
    x, y = outline(Box(box.y0, box.y1 + 1, box.x0, box.x1 + 1), N_EDGE + 1)
    ra, dec = icrs_of(wcs, x - 0.5, y - 0.5)
    if not (np.isfinite(ra) & np.isfinite(dec)).all():
        raise InputError("its WCS maps part of its edge to no place on the sky")
    vectors = unit_vectors(np.asarray(ra), np.asarray(dec))
    middle = vectors.sum(axis=0)
    length = float(np.linalg.norm(middle))
    if length == 0 or (vectors @ (middle / length)).min() < np.cos(np.radians(_WIDEST_DEG)):
        raise InputError("its WCS spreads it over half of the sky")
    return vectors


def _insert(
    butler: Butler,
    camera: Camera,
    outlines: Mapping[int, Mapping[int, Outline]],
    exposures: Mapping[int, Any],
    visits: Mapping[int, Any],
) -> None:
    """Records of some visits: those that are new, and the regions of those that grew."""
    registry, name = butler.registry, camera.name
    new = [visit for visit in outlines if visit not in visits]
    rows = [_visit_row(exposures[visit], hull_of(outlines[visit].values())) for visit in new]
    registry.insertDimensionData("visit", *rows)
    keys = [{"instrument": name, "visit": visit} for visit in new]
    registry.insertDimensionData("visit_definition", *({**key, "exposure": key["visit"]} for key in keys))
    registry.insertDimensionData(
        "visit_system_membership", *({**key, "visit_system": VISIT_SYSTEM["id"]} for key in keys)
    )
    for visit in outlines:
        if visit in visits:
            _grow(butler, visits[visit], outlines[visit])
    registry.insertDimensionData(
        "visit_detector_region",
        *(
            {"instrument": name, "visit": visit, "detector": detector, "region": hull_of([edge])}
            for visit, found in outlines.items()
            for detector, edge in found.items()
        ),
    )


def _visit_row(exposure: Any, region: ConvexPolygon) -> dict[str, Any]:
    """The record of the visit that an exposure is."""
    return {
        "instrument": exposure.instrument,
        "id": exposure.id,
        "name": str(exposure.id),
        "physical_filter": exposure.physical_filter,
        "day_obs": exposure.day_obs,
        "timespan": exposure.timespan,
        "exposure_time": exposure.exposure_time,
        "target_name": exposure.target_name,
        "region": region,
    }


def _grow(butler: Butler, visit: Any, outlines: Mapping[int, Outline]) -> None:
    """The region of a visit with detectors that it did not have."""
    row = {**visit.toDict(), "region": hull_of([vertices_of(visit.region), *outlines.values()])}
    butler.registry.insertDimensionData("visit", row, replace=True)
