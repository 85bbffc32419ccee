"""Files from what a person names: files, folders, patterns."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable

from diapipe.errors import UsageError
from diapipe.tasks.repository.camera import Camera

SUFFIXES = tuple(
    f"{kind}{packed}" for kind in (".fits", ".fit", ".fts") for packed in ("", ".fz", ".gz", ".bz2", ".xz")
)
"""What a file of a folder must be called to be taken."""


def files_in(places: Iterable[str], camera: Camera) -> list[str]:
    """Paths of the files that are named, each once, sorted within a folder or pattern.

    Parameters
    ----------
    places
        Files; folders, of which every FITS file below is taken; patterns with ``*``, ``?``, ``[]`` and ``**``.
    camera
        Files that hold its masks or variances are left out where they were not named one by one.

    Raises
    ------
    UsageError
        If a folder has no FITS file, or a pattern fits none.
    """
    found: dict[str, None] = {}
    for place in places:
        if os.path.isdir(place):
            paths = sorted(_below(place))
        elif os.path.lexists(place) or not glob.has_magic(place):
            found.setdefault(place)
            continue
        else:
            paths = sorted(path for path in glob.iglob(place, recursive=True) if not os.path.isdir(path))
        images = [path for path in paths if not is_plane(path, camera)]
        if not images:
            kind = "has no file whose name ends in .fits, .fit or .fts" if os.path.isdir(place) else "fits no file"
            raise UsageError(f"{place} {kind}{' but masks and variances' if paths else ''}")
        for path in images:
            found.setdefault(path)
    return _each_once(found)


def _below(folder: str) -> list[str]:
    """Paths of the FITS files in a folder and those below it."""
    return [
        os.path.join(parent, name)
        for parent, _, names in os.walk(folder, followlinks=True)
        for name in names
        if name.lower().endswith(SUFFIXES) and not name.startswith(".")
    ]


def _each_once(paths: Iterable[str]) -> list[str]:
    """Paths without those that lead to a file named before."""
    kept: dict[str, str] = {}
    for path in paths:
        kept.setdefault(os.path.realpath(path), path)
    return list(kept.values())


def is_plane(path: str, camera: Camera) -> bool:
    """Whether a file has the name that the camera gives to the mask or variance of another."""
    name = os.path.basename(path)
    return any(
        plane.file.by in name and plane.file.path_for(name.replace(plane.file.by, plane.file.part)) == name
        for plane in (camera.mask, camera.variance)
        if plane is not None and plane.file is not None
    )
