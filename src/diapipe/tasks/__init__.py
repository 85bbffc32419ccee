"""LSST Tasks over the steps of diapipe: `ImageDifferenceTask`, its configuration and its subtasks.

Needs the middleware of LSST (``pip install 'diapipe[pipeline]'``), none of its compiled stack. Importing this package
makes the module paths of the older tasks importable where they are not: see `diapipe.tasks.old_paths`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

try:
    import lsst.pex.config
    import lsst.pipe.base  # noqa: F401
except ModuleNotFoundError as missing:
    raise ImportError(
        f"diapipe.tasks needs the middleware of LSST, but there is no {missing.name}: pip install 'diapipe[pipeline]'"
    ) from missing

from diapipe.tasks import old_paths

if TYPE_CHECKING:
    from diapipe.tasks.driver import ImageDifferenceDriverConfig
    from diapipe.tasks.ids import IdFactory
    from diapipe.tasks.image_difference import ImageDifferenceTask
    from diapipe.tasks.image_difference_config import ImageDifferenceConfig

__all__ = ["IdFactory", "ImageDifferenceConfig", "ImageDifferenceDriverConfig", "ImageDifferenceTask"]

_HOMES = {
    "IdFactory": "diapipe.tasks.ids",
    "ImageDifferenceConfig": "diapipe.tasks.image_difference_config",
    "ImageDifferenceDriverConfig": "diapipe.tasks.driver",
    "ImageDifferenceTask": "diapipe.tasks.image_difference",
}

old_paths.install()


def __getattr__(name: str) -> Any:
    """Import a public name where it lives (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'diapipe.tasks' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
