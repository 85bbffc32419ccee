"""Subtask that scales a variance plane to the scatter of the pixels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lsst.pex.config import ConfigField
from lsst.pipe.base import Struct, Task

from diapipe.images import Exposure, MaskPlane
from diapipe.images.mask import planes_of
from diapipe.steps.characterize import ScaleVariance, scale_variance
from diapipe.tasks.fields import OptionConfig, option, options_of


def names_of(planes: MaskPlane) -> list[str]:
    """Names of mask planes."""
    return [str(plane.name) for plane in planes]


class SkyMeshConfig(OptionConfig):
    """The sky that is taken off before the scatter is measured; it is in the image again afterwards."""

    binSize: Any = option(ScaleVariance, "background_cell_px")


class ScaleVarianceConfig(OptionConfig):
    """Config of the scaling."""

    background: Any = ConfigField(doc="The sky that is taken off for it.", dtype=SkyMeshConfig)
    maskPlanes: Any = option(ScaleVariance, "planes", shown=names_of, into=planes_of)
    limit: Any = option(ScaleVariance, "limit")


class ScaleVarianceTask(Task):
    """One factor for the variance, from the pixels where there is nothing but sky."""

    config: Any
    ConfigClass = ScaleVarianceConfig
    _DefaultName = "scaleVariance"

    def run(self, exposure: Exposure) -> Struct:
        """Scale the variance of an image.

        Parameters
        ----------
        exposure
            Science image, template or difference; it stays as it is.

        Returns
        -------
        Struct
            ``exposure`` with the scaled variance, ``factor``, and ``mode``: how it was found.

        Raises
        ------
        InputError
            If no believable factor brings them together.
        """
        options = options_of(self.config, ScaleVariance, background_cell_px=self.config.background.binSize)
        found = scale_variance(exposure.masked_image, options=options, name=exposure.name)
        scaled = replace(exposure, masked_image=found.masked_image)
        return Struct(exposure=scaled, factor=found.factor, mode=found.mode)
