"""CameraInstrument: a camera as LSST's middleware knows instruments, and its records in a repository."""

from __future__ import annotations

from typing import Any

from lsst.daf.butler.registry import Registry
from lsst.pipe.base import Instrument

from diapipe.errors import UsageError
from diapipe.tasks.repository.camera import MAX_DETECTOR, MAX_VISIT, Camera
from diapipe.tasks.repository.camera_description import FOLDER, load_camera

CLASSES = "diapipe.tasks.repository.instruments"
"""Where the class of every instrument is imported from: repositories hold this path."""
VISIT_SYSTEM = {"id": 0, "name": "one-to-one"}
"""One exposure is one visit of the same number."""


class CameraInstrument(Instrument):
    """A camera with a description; its subclasses are named after the instruments."""

    @classmethod
    def getName(cls) -> str:
        """Name of the instrument in data ids."""
        return cls.__name__

    def register(self, registry: Registry, *, update: bool = False) -> None:
        """Insert the records of a camera that comes with diapipe; `diapipe ingest` inserts those of any other.

        Raises
        ------
        UsageError
            If no camera of this name comes with diapipe.
        """
        name = self.getName()
        for path in sorted(FOLDER.glob("*.yaml")):
            camera = load_camera(path)
            if camera.name == name:
                register_camera(registry, camera, update=update)
                return
        raise UsageError(f"the camera {name} does not come with diapipe; `diapipe ingest --camera FILE` registers it")

    def getRawFormatter(self, dataId: Any) -> type:
        """The class that reads its files."""
        from diapipe.tasks.repository.formatters import CameraFileFormatter

        return CameraFileFormatter


def register_camera(registry: Registry, camera: Camera, *, update: bool = False) -> None:
    """Insert the records of a camera: the instrument, its visit system, the detectors that its description names.

    Filters, and detectors of a camera that names none, are inserted with the files that have them.

    Raises
    ------
    UsageError
        If another camera of this name is registered.
    """
    wanted = {
        "name": camera.name,
        "class_name": f"{CLASSES}.{camera.name}",
        "visit_max": MAX_VISIT + 1,
        "exposure_max": MAX_VISIT + 1,
        "detector_max": MAX_DETECTOR + 1,
        "visit_system": VISIT_SYSTEM["id"],
    }
    with registry.transaction():
        for known in registry.queryDimensionRecords("instrument", instrument=camera.name):
            if known.class_name != wanted["class_name"]:
                raise UsageError(
                    f"the repository has another instrument called {camera.name}, of the class {known.class_name}; "
                    "give the camera another name"
                )
        registry.syncDimensionData("instrument", wanted, update=update)
        registry.syncDimensionData("visit_system", {"instrument": camera.name, **VISIT_SYSTEM}, update=update)
        for number, name in camera.detectors.items():
            registry.syncDimensionData("detector", detector_record(camera, number, name), update=update)


def detector_record(camera: Camera, number: int, name: str) -> dict[str, Any]:
    """The record of a detector; in a name such as ``R22_S11`` the part before the line is its raft."""
    raft, line, in_raft = name.partition("_")
    record = {"instrument": camera.name, "id": number, "full_name": name[:32], "purpose": "SCIENCE"}
    return {**record, "raft": raft[:32], "name_in_raft": in_raft[:32]} if line else record
