"""Descriptions of cameras as a repository keeps them, where every process that reads a file finds them.

The description lies in ``cameras/<name>.yaml`` under the root of the repository's files, and is the dataset ``camera``
in the collection of the instrument's files too. A file that stays outside of the repository has that root, and its own
stamp, in the fragment of its address: ``file:///data/night1.fits#was=0f3a25c1d277&cameras=file:///surveys/repo``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import yaml  # type: ignore[import-untyped]
from lsst.daf.butler import Butler, DatasetRef, DatasetType, Location, MissingDatasetTypeError
from lsst.daf.butler.registry import ConflictingDefinitionError
from lsst.resources import ResourcePath

from diapipe.errors import InputError, ReadError, UsageError
from diapipe.tasks.repository.camera import Camera
from diapipe.tasks.repository.camera_description import FOLDER, load_camera, parse_camera

CAMERA = "camera"
"""Dataset type of a camera's description."""
_FRAGMENT = re.compile(r"(?:was=(?P<stamp>[0-9a-f]+)&)?cameras=(?P<root>.+)")


def raw_run(instrument: str) -> str:
    """The collection with an instrument's files."""
    return f"{instrument}/raw"


def files_root(butler: Butler) -> ResourcePath:
    """Where the files of a repository lie; InputError if it keeps none."""
    found = next((root for root in butler.get_datastore_roots().values() if root is not None), None)
    if found is None:
        raise InputError("the repository keeps no files: its datastore has no root")
    return found


def address_of(path: str, root: ResourcePath, *, stamp: str) -> ResourcePath:
    """Address of a file outside of the repository, with its stamp and the place of the cameras."""
    return ResourcePath(path, forceDirectory=False).replace(fragment=f"was={stamp}&cameras={root.geturl()}")


def stamp_in(address: ResourcePath) -> str:
    """The stamp of a file in its address; empty where there is none."""
    found = _FRAGMENT.fullmatch(address.unquoted_fragment)
    return (found["stamp"] or "") if found else ""


def camera_for(location: Location, instrument: str) -> Camera:
    """The camera of a file that the repository has.

    Raises
    ------
    ReadError
        If its description is gone.
    """
    place = _root_of(location).join(f"cameras/{instrument}.yaml")
    try:
        return _read(place.geturl(), _stamp(place))
    except OSError as error:
        for path in sorted(FOLDER.glob("*.yaml")):
            if (shipped := load_camera(path)).name == instrument:
                return shipped
        raise ReadError(
            f"the camera {instrument} is not described at {place}; if the repository was moved, ingest the same files "
            "again there"
        ) from error


def _root_of(location: Location) -> ResourcePath:
    """Root of the repository's files, from the fragment of an address or the path below the root."""
    uri = location.uri
    found = _FRAGMENT.fullmatch(uri.unquoted_fragment)
    if found:
        return ResourcePath(found["root"], forceDirectory=True)
    below = location.pathInStore
    path = uri.path.removesuffix(below.path) if not below.isabs() else uri.dirname().path
    return uri.replace(path=path, forceDirectory=True)


def _stamp(place: ResourcePath) -> float:
    """When a local description was changed, so that a new one is read."""
    return os.stat(place.ospath).st_mtime_ns if place.isLocal else 0.0


@lru_cache(maxsize=64)
def _read(address: str, _stamp: float) -> Camera:
    place = ResourcePath(address)
    return parse_camera(place.read().decode(), name=place.basename())


def stored_camera(butler: Butler, instrument: str) -> Camera | None:
    """The camera as the repository describes it, None if it does not."""
    place = files_root(butler).join(f"cameras/{instrument}.yaml")
    return _read(place.geturl(), _stamp(place)) if place.exists() else None


def only_camera(butler: Butler) -> Camera:
    """The one camera of a repository; UsageError if it has none or several."""
    names = sorted(record.name for record in butler.registry.queryDimensionRecords("instrument"))
    found = [camera for name in names if (camera := stored_camera(butler, name)) is not None]
    if len(found) != 1:
        there = f"{len(found)} cameras ({', '.join(c.name for c in found)})" if found else "no camera yet"
        raise UsageError(f"the repository has {there}; say which with --camera")
    return found[0]


def check_unchanged(camera: Camera, known: Camera) -> None:
    """Refuse a description that differs from what the repository has, but for tables that grew.

    Raises
    ------
    UsageError
        Names the keys that differ.
    """
    names = differing_keys(camera.source, known.source)
    if names:
        raise UsageError(
            f"the repository describes the camera {camera.name} otherwise in {', '.join(names)}; files that are there "
            "are read by its description too: --update-camera replaces it"
        )


def differing_keys(new: Mapping[str, Any], old: Mapping[str, Any]) -> list[str]:
    """Keys in which two descriptions differ, but for tables that grew."""
    return sorted(key for key in {**old, **new} if not _extends(new.get(key), old.get(key)))


def _extends(new: Any, old: Any, *, is_table: bool = False) -> bool:
    """Whether it is the same, or has more lines in a table of translations."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        keys = old if is_table else {**old, **new}
        return all(key in old and key in new and _extends(new[key], old[key], is_table=key == "map") for key in keys)
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(map(_extends, new, old))
    return bool(new == old)


def store_camera(butler: Butler, camera: Camera) -> None:
    """Keep a description in the repository, in place of an older one."""
    place = files_root(butler).join(f"cameras/{camera.name}.yaml")
    text = yaml.safe_dump(dict(camera.source), sort_keys=False, allow_unicode=True, width=110)
    if not place.exists() or place.read().decode() != text:
        place.dirname().mkdir()
        place.write(text.encode(), overwrite=True)
    _put_dataset(butler, camera)


def _put_dataset(butler: Butler, camera: Camera) -> None:
    """The description as a dataset, replaced if it differs."""
    run = raw_run(camera.name)
    butler.collections.register(run)
    kind = DatasetType(CAMERA, ("instrument",), "StructuredDataDict", universe=butler.dimensions)
    butler.registry.registerDatasetType(kind)
    old = _found_dataset(butler, kind, camera)
    if old is not None:
        if butler.stored(old) and butler.get(old) == dict(camera.source):
            return
        butler.pruneDatasets([old], disassociate=True, unstore=True, purge=True)
    try:
        butler.put(dict(camera.source), kind, {"instrument": camera.name}, run=run)
    except ConflictingDefinitionError:
        if _found_dataset(butler, kind, camera) is None:  # else another process was faster, with the same
            raise


def _found_dataset(butler: Butler, kind: DatasetType, camera: Camera) -> DatasetRef | None:
    try:
        return butler.find_dataset(kind, {"instrument": camera.name}, collections=raw_run(camera.name))
    except MissingDatasetTypeError:
        return None
