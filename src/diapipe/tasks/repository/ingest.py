"""ingest: files of a camera into a repository, each whole or not at all, with a sentence for each that is left out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from lsst.daf.butler import Butler, DataCoordinate, DatasetIdGenEnum, DatasetRef, DatasetType, FileDataset
from lsst.daf.butler.registry import ConflictingDefinitionError
from lsst.resources import ResourcePath

from diapipe.errors import DiapipeError, UsageError
from diapipe.tasks.repository.camera import Camera
from diapipe.tasks.repository.camera_files import FoundImage, images_of
from diapipe.tasks.repository.exposure_records import exposure_rows, insert_exposures, insert_parts
from diapipe.tasks.repository.file_stamps import stamp_of
from diapipe.tasks.repository.formatters import CameraFileFormatter
from diapipe.tasks.repository.ingest_sorting import DATASET, Ingested, Plan, ScannedFile, refusal_of, sort_out
from diapipe.tasks.repository.instrument import register_camera
from diapipe.tasks.repository.stored_cameras import (
    address_of,
    check_unchanged,
    files_root,
    raw_run,
    store_camera,
    stored_camera,
)
from diapipe.tasks.repository.writing import is_of_the_disk, repository_writes

TRANSFERS = ("direct", "copy", "symlink", "hardlink", "move")
"""How a file gets into the repository; ``direct`` leaves it where it is."""
_RENAMING = ("copy", "hardlink", "move")
_BATCH = 200
"""Files of one transaction: what a crash can cost."""

type Progress = Callable[[str, int, int], None]


def ingest(
    butler: Butler,
    camera: Camera,
    files: Sequence[str],
    *,
    transfer: str = "direct",
    threads: int = 1,
    dry_run: bool = False,
    update_camera: bool = False,
    progress: Progress = lambda stage, done, total: None,
) -> Ingested:
    """Take files into a repository.

    Every file is read as far as its headers go; one that cannot be taken is left out with its reason, and the others
    go on. A file's exposure records and datasets are one transaction: after a crash the same call finishes the rest.

    Parameters
    ----------
    butler
        Writeable, unless ``dry_run``.
    camera
        Whose files they are.
    files
        Their paths; `files_in` finds those of folders and patterns.
    transfer
        One of `TRANSFERS`.
    threads
        That read headers at once: worth it where files are slow to open.
    dry_run
        Sort the files out and change nothing.
    update_camera
        Replace a description of the camera that differs.
    progress
        Called with a stage and how much of it is done.

    Returns
    -------
    Ingested
        What became of each file.

    Raises
    ------
    UsageError
        If the repository describes this camera otherwise, or the transfer does not suit it.
    WriteError
        If disk or database refuses.
    """
    _check_transfer(transfer, camera)
    known = stored_camera(butler, camera.name)
    if known is not None and not update_camera:
        check_unchanged(camera, known)
    plan = Plan()
    scanned = list(_scanned(files, camera, threads, plan, progress))
    sort_out(butler, camera, scanned, plan)
    if dry_run or not (plan.new or known is None or update_camera):
        return plan.result
    with repository_writes("files"):
        register_camera(butler.registry, camera, update=update_camera)
        store_camera(butler, camera)
        return _committed(butler, camera, plan, transfer, progress)


def _check_transfer(transfer: str, camera: Camera) -> None:
    if transfer not in TRANSFERS:
        raise UsageError(f"no transfer is called {transfer!r}; there are {', '.join(TRANSFERS)}")
    if transfer not in _RENAMING:
        return
    beside = next((p for p in (camera.mask, camera.variance) if p is not None and p.file is not None), None)
    if beside is not None:
        raise UsageError(
            f"files of the camera {camera.name} have planes in other files beside them, which {transfer} would leave "
            "behind; use direct or symlink"
        )
    if camera.values_of_file_names:
        raise UsageError(
            f"the camera {camera.name} takes {', '.join(camera.values_of_file_names)} from the names of files, which "
            f"{transfer} would change; use direct or symlink"
        )


def _scanned(
    files: Sequence[str], camera: Camera, threads: int, plan: Plan, progress: Progress
) -> Iterator[ScannedFile]:
    """The images of each file that can be read; the others are refused."""

    def scan(path: str) -> tuple[FoundImage, ...] | DiapipeError:
        try:
            return images_of(path, camera)
        except DiapipeError as error:
            return error

    with ThreadPoolExecutor(threads) as pool:
        found = pool.map(scan, files) if threads > 1 else map(scan, files)
        for n, (path, images) in enumerate(zip(files, found, strict=True), 1):
            progress("reading headers", n, len(files))
            if isinstance(images, DiapipeError):
                plan.refused.append(refusal_of(path, images))
            else:
                yield path, images


def _committed(butler: Butler, camera: Camera, plan: Plan, transfer: str, progress: Progress) -> Ingested:
    """Put the new files in, in batches; a batch that fails is tried file by file."""
    kind = DatasetType(DATASET, ("instrument", "exposure", "detector"), "DiaExposure", universe=butler.dimensions)
    butler.registry.registerDatasetType(kind)
    butler.collections.register(raw_run(camera.name))
    new, plan.new = plan.new, []
    root = files_root(butler)

    def put(batch: Sequence[ScannedFile]) -> None:
        images = [image for _, found in batch for image in found]
        with butler.transaction():
            insert_parts(butler, camera, images)
            insert_exposures(butler, camera, exposure_rows(camera, images))
            datasets = [_dataset(butler, kind, camera, path, found, transfer, root) for path, found in batch]
            butler.ingest(*datasets, transfer=transfer)
        plan.new.extend(batch)

    for start in range(0, len(new), _BATCH):
        batch = new[start : start + _BATCH]
        try:
            put(batch)
        except (ConflictingDefinitionError, OSError) as error:
            if is_of_the_disk(error):
                raise
            for one in batch:
                _put_alone(put, butler, camera, one, plan)
        progress("ingesting", start + len(batch), len(new))
    return plan.result


def _put_alone(
    put: Callable[[Sequence[ScannedFile]], None], butler: Butler, camera: Camera, file: ScannedFile, plan: Plan
) -> None:
    """Put one file in after its batch failed: another process may have been faster with some of it."""
    try:
        put([file])
    except (ConflictingDefinitionError, OSError) as error:
        if is_of_the_disk(error):
            raise
        found = Plan()
        sort_out(butler, camera, [file], found)
        plan.already_there += found.already_there
        plan.refused += found.refused
        if found.new:
            plan.refuse(file[0], f"the repository does not take it: {' '.join(str(error).split())}")


def _dataset(
    butler: Butler,
    kind: DatasetType,
    camera: Camera,
    path: str,
    images: tuple[FoundImage, ...],
    transfer: str,
    root: ResourcePath,
) -> FileDataset:
    """One file with the data ids of its images; their identifiers follow from data id and collection alone."""
    absolute = os.path.abspath(path)
    address = ResourcePath(absolute)
    if transfer == "direct":
        address = address_of(absolute, root, stamp=stamp_of(absolute))
    refs = [
        DatasetRef(
            kind,
            DataCoordinate.standardize(
                instrument=camera.name, exposure=image.visit, detector=image.detector, universe=butler.dimensions
            ),
            run=raw_run(camera.name),
            id_generation_mode=DatasetIdGenEnum.DATAID_TYPE_RUN,
        )
        for image in images
    ]
    return FileDataset(path=address, refs=refs, formatter=CameraFileFormatter)
