"""Configurations of the older drivers: the roots that configuration files of ``dia_pipe`` speak of as ``config``."""

from __future__ import annotations

from typing import Any

from lsst.pex.config import Config, ConfigurableField, Field, ListField

from diapipe.tasks.assemble_coadd import AssembleCoaddConfig, AssembleCoaddTask
from diapipe.tasks.connections import ImageDifferenceConnections
from diapipe.tasks.fields import idle
from diapipe.tasks.idle_subtask import IdleSubtask
from diapipe.tasks.image_difference import ImageDifferenceTask
from diapipe.tasks.image_difference_config import ImageDifferenceConfig
from diapipe.tasks.make_warp import MakeWarpTask
from diapipe.tasks.retargetable import choice
from diapipe.tasks.visit_selectors import visitSelectorRegistry

OLD = "deep"
"""Kind of coadd of the older drivers, where their configuration does not say."""


class DrivenImageDifferenceConfig(ImageDifferenceConfig, pipelineConnections=ImageDifferenceConnections):
    """The same configuration, in which lines about the older loader of reference catalogues are no mistake."""

    def setDefaults(self) -> None:
        """The older names of datasets, which those files are written for, and what the survey's pipeline sets."""
        ImageDifferenceConfig.setDefaults(self)
        self.coaddName = OLD
        for algorithm in ("al", "zogy"):
            self.subtract[algorithm].doScaleByKernel = True

    @property
    def refObjLoader(self) -> IdleSubtask:
        """Where reference catalogues came from."""
        return IdleSubtask("refObjLoader", "the reference catalogue is the dataset reference_catalog")


class DrivenAssembleCoaddConfig(AssembleCoaddConfig):
    """The same configuration, in which lines about a second selection of images are no mistake."""

    @property
    def select(self) -> IdleSubtask:
        """How the assembly chose again among what it was given."""
        return IdleSubtask("assembleCoadd.select", "images are selected once, by config.select")


class ImageDifferenceDriverConfig(Config):
    """Which detectors of a visit are differenced, and how."""

    imageDifference: Any = ConfigurableField(
        target=ImageDifferenceTask, ConfigClass=DrivenImageDifferenceConfig, doc="Differences one detector."
    )
    ignoreCcdList: Any = ListField(dtype=int, default=[], doc="Detectors that are left out.")
    ccdKey: Any = Field(dtype=str, default="ccd", doc="Key of a data id that names the detector.")

    def takes(self, dataId: dict[str, Any]) -> bool:
        """Whether the detector of a data id is to be differenced.

        Raises
        ------
        KeyError
            If the data id has no such key.
        """
        return int(dataId[self.ccdKey]) not in self.ignoreCcdList

    @property
    def coaddName(self) -> str:
        """Kind of coadd; begins the names of datasets."""
        found: str = self.imageDifference.coaddName
        return found

    def of_tasks(self) -> dict[str, str]:
        """By label of the survey's pipeline: its configuration, as lines about ``config``."""
        target = self.imageDifference.getTemplate.target
        place = f"{target.__module__}.{target.__name__}"  # is not among the lines where it is the default
        first = f"import {target.__module__}\nconfig.getTemplate.retarget({place})\n"
        return {"imageDifference": first + plain_lines(self.imageDifference.value, ImageDifferenceConfig)}


class CoaddDriverConfig(Config):
    """Which images a coadd is made of, and how."""

    coaddName: Any = Field(dtype=str, default=OLD, doc="Kind of coadd; begins the names of datasets.")
    select: Any = choice(visitSelectorRegistry, doc="How images are selected.", default="wcs")
    makeCoaddTempExp: Any = ConfigurableField(target=MakeWarpTask, doc="Brings visits on to a patch.")
    assembleCoadd: Any = ConfigurableField(
        target=AssembleCoaddTask, ConfigClass=DrivenAssembleCoaddConfig, doc="Stacks them."
    )
    doBackgroundReference: Any = idle(
        False, "Match the sky of images to a reference.", "levels are matched where images overlap"
    )
    hasFakes: Any = idle(False, "Use images with artificial sources.", "datasets with such sources have other names")

    def of_tasks(self) -> dict[str, str]:
        """By label of the survey's pipeline: its configuration, as lines about ``config``."""
        coadd = self.assembleCoadd.value
        return {
            "selectVisits": lines_about(self, "select"),
            "makeWarp": plain_lines(self.makeCoaddTempExp.value, type(self.makeCoaddTempExp.value)),
            "assembleCoadd": plain_lines(
                coadd, AssembleCoaddConfig if isinstance(coadd, DrivenAssembleCoaddConfig) else type(coadd)
            ),
        }


def plain_lines(config: Config, kind: type[Config]) -> str:
    """The lines of a configuration as one of another class, which has its fields but for those without effect."""
    own = type(config)
    saved: Any = config
    said: str = saved.saveToString()
    dropped = tuple(f"config.{name}=" for name in own._fields if name not in kind._fields)
    said = "".join(line for line in said.splitlines(keepends=True) if not line.startswith(dropped))
    return said.replace(f"{own.__module__}.{own.__name__}", f"{kind.__module__}.{kind.__name__}")


def lines_about(config: Config, *fields: str) -> str:
    """What a configuration says of some of its fields."""
    saved: Any = config
    wanted = ("import ", *(f"config.{field}" for field in fields))
    return "\n".join(line for line in saved.saveToString().splitlines() if line.startswith(wanted))
