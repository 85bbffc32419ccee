"""Every camera as a class that LSST's middleware can import: ``diapipe.tasks.repository.instruments.<name>``.

A repository holds such a path, so the class of any name is made when it is asked for, in whatever process: the camera
itself is described in the repository. See `diapipe.tasks.repository.instrument`.
"""

from __future__ import annotations

import re
from typing import Any

from diapipe.tasks.repository.instrument import CameraInstrument

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


def __getattr__(name: str) -> Any:
    """The instrument of this name (PEP 562)."""
    if not _NAME.fullmatch(name):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    made = type(name, (CameraInstrument,), {"__module__": __name__, "__doc__": f"The instrument {name}."})
    globals()[name] = made
    return made
