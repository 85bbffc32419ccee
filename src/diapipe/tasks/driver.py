"""ImageDifferenceDriverConfig: the root that configuration files of ``dia_pipe`` speak of as ``config``."""

from __future__ import annotations

from typing import Any

from lsst.pex.config import Config, ConfigurableField, Field, ListField

from diapipe.tasks.image_difference import ImageDifferenceTask


class ImageDifferenceDriverConfig(Config):
    """Which detectors of a visit are differenced, and how."""

    imageDifference: Any = ConfigurableField(target=ImageDifferenceTask, doc="Differences one detector.")
    ignoreCcdList: Any = ListField(dtype=int, default=[], doc="Detectors that are left out.")
    ccdKey: Any = Field(dtype=str, default="ccd", doc="Key of a data id that names the detector.")

    def setDefaults(self) -> None:
        """The older names of datasets, which those files are written for."""
        Config.setDefaults(self)
        self.imageDifference.coaddName = "deep"

    def takes(self, dataId: dict[str, Any]) -> bool:
        """Whether the detector of a data id is to be differenced.

        Raises
        ------
        KeyError
            If the data id has no such key.
        """
        return int(dataId[self.ccdKey]) not in self.ignoreCcdList
