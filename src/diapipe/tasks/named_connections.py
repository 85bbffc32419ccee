"""NamedConnections: connections whose datasets have the names that ``coaddName`` asks for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lsst.pipe.base import PipelineTaskConnections

from diapipe.tasks.dataset_names import connection_names


class NamedConnections(PipelineTaskConnections, dimensions=()):
    """Base of all connections here: declared with the names of Data Preview 1, renamed as the configuration says."""

    def __init__(self, *, config: Any = None) -> None:
        super().__init__(config=config)
        for key, name in connection_names(type(self), config).items():
            setattr(self, key, replace(getattr(self, key), name=name))
