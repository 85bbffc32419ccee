"""Files that ended processes left: outputs that no database knows, and files that were being written."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from lsst.daf.butler import Butler, DatasetRef
from lsst.resources import ResourcePath

_BEING_WRITTEN = re.compile(r"[a-z0-9_]{16}(.*\.tmp)?(\.\w+)*")
"""The butler writes to such a name beside the file and renames it when it is whole: sixteen characters by chance, and
in newer versions the name that it is to have and ``.tmp``."""


def remove_unregistered(butler: Butler, refs: Iterable[DatasetRef]) -> set[ResourcePath]:
    """Remove the files of datasets that no database knows; the folders where they would lie."""
    folders = set()
    for ref in refs:
        uri = butler.getURI(ref, predict=True)
        folders.add(uri.dirname())
        if uri.exists():
            uri.remove()
    return folders


def remove_begun(folders: Iterable[ResourcePath]) -> None:
    """Remove files that were being written in some folders; for when nobody writes there."""
    for folder in folders:
        for path in Path(folder.ospath).glob("*"):
            if _BEING_WRITTEN.fullmatch(path.name):
                path.unlink(missing_ok=True)
