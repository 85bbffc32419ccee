"""Configurations of the older drivers of objects: association, forced photometry, light curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from lsst.pex.config import Config, ConfigurableField, DictField, Field, ListField

from diapipe.errors import UsageError
from diapipe.tasks.associate import AssociateTask
from diapipe.tasks.associators import associatorRegistry
from diapipe.tasks.combine_dia_forced import (
    CombineDiaForcedConfig,
    CombineDiaForcedConnections,
    CombineDiaForcedTask,
)
from diapipe.tasks.dataset_names import DP1
from diapipe.tasks.driver import OLD, lines_about, plain_lines
from diapipe.tasks.fields import idle
from diapipe.tasks.filter_dia_sources import FilterDiaSourcesTask
from diapipe.tasks.forced_ccd_dia import (
    ForcedPhotCcdDiaConfig,
    ForcedPhotCcdDiaConnections,
    ForcedPhotCcdDiaTask,
)
from diapipe.tasks.forced_ccd_template import (
    ForcedPhotCcdTemplateDiaConfig,
    ForcedPhotCcdTemplateDiaConnections,
    ForcedPhotCcdTemplateDiaTask,
)
from diapipe.tasks.forced_coadd_dia import (
    ForcedPhotCoaddDiaConfig,
    ForcedPhotCoaddDiaConnections,
    ForcedPhotCoaddDiaTask,
)
from diapipe.tasks.forced_coadd_dia_src import (
    ForcedPhotCoaddDiaSrcConfig,
    ForcedPhotCoaddDiaSrcConnections,
    ForcedPhotCoaddDiaSrcTask,
)
from diapipe.tasks.idle_subtask import IdleSubtask
from diapipe.tasks.retargetable import choice

MEASURE_TEMPLATE = "measureTemplate"
"""Label of the task without which there are no sources of the template."""


class Driven(Config):
    """The configuration of a task as that of a driver: by default of the older names of datasets.

    Attributes
    ----------
    of
        The task.
    first
        Labels of tasks that are run before it.
    """

    of: ClassVar[Any]
    first: ClassVar[Sequence[str]] = ()

    def setDefaults(self) -> None:
        """The older names of datasets."""
        super().setDefaults()  # type: ignore[no-untyped-call]
        self.coaddName = OLD

    def of_tasks(self) -> dict[str, str]:
        """By label of the survey's pipeline: its configuration, as lines about ``config``."""
        label: str = self.of._DefaultName
        return {**dict.fromkeys(self.first, ""), label: plain_lines(self, self.of.ConfigClass)}


class DrivenForcedPhotCcdDiaConfig(Driven, ForcedPhotCcdDiaConfig, pipelineConnections=ForcedPhotCcdDiaConnections):
    """Of ``forcedPhotCcdDia.py``."""

    of = ForcedPhotCcdDiaTask


class DrivenForcedPhotCcdTemplateDiaConfig(
    Driven, ForcedPhotCcdTemplateDiaConfig, pipelineConnections=ForcedPhotCcdTemplateDiaConnections
):
    """Of ``forcedPhotCcdTemplateDia.py``."""

    of = ForcedPhotCcdTemplateDiaTask
    first = (MEASURE_TEMPLATE,)


class DrivenForcedPhotCoaddDiaSrcConfig(
    Driven, ForcedPhotCoaddDiaSrcConfig, pipelineConnections=ForcedPhotCoaddDiaSrcConnections
):
    """Of ``forcedPhotCoaddDiaSrc.py``."""

    of = ForcedPhotCoaddDiaSrcTask


class DrivenForcedPhotCoaddDiaConfig(
    Driven, ForcedPhotCoaddDiaConfig, pipelineConnections=ForcedPhotCoaddDiaConnections
):
    """Of ``forcedPhotCoaddDia.py``."""

    of = ForcedPhotCoaddDiaTask


class DrivenCombineDiaForcedConfig(Driven, CombineDiaForcedConfig, pipelineConnections=CombineDiaForcedConnections):
    """Of ``combineDiaForced.py``."""

    of = CombineDiaForcedTask
    ccdKey: Any = idle("detector", "Key of a data id that names the detector.", "rows are chosen by their object")
    keepFields: Any = DictField(
        doc="Columns to keep. Without effect, because all are kept.",
        keytype=str,
        itemtype=str,
        default={"psf_flux": "base_PsfFlux_instFlux", "psf_flux_err": "base_PsfFlux_instFluxErr"},
    )
    storage: Any = idle("pickle", "Format of the file.", "tables are parquet; `diapipe export` writes other formats")


_DRIVEN = {
    kind.of: kind
    for kind in (
        DrivenForcedPhotCcdDiaConfig,
        DrivenForcedPhotCcdTemplateDiaConfig,
        DrivenForcedPhotCoaddDiaSrcConfig,
        DrivenForcedPhotCoaddDiaConfig,
    )
}
"""By task: its configuration in a driver."""

OF_DETECTORS = (ForcedPhotCcdDiaTask, ForcedPhotCcdTemplateDiaTask, ForcedPhotCoaddDiaSrcTask)
"""Tasks that ``forcedPhotCcdDiaDriver.py`` can run."""


class ForcedPhotCcdDiaDriverConfig(Config):
    """Which detectors of a visit are measured, and at which places."""

    forced: Any = ConfigurableField(
        target=ForcedPhotCcdDiaTask,
        ConfigClass=DrivenForcedPhotCcdDiaConfig,
        doc="Measures one detector: at DIA objects, or retargeted at the template's sources, or the template itself.",
    )
    ignoreCcdList: Any = ListField(dtype=int, default=[], doc="Detectors that are left out.")
    ccdKey: Any = Field(dtype=str, default="detector", doc="Key of a data id that names the detector.")

    @property
    def coaddName(self) -> str:
        """Kind of coadd; the older one where nothing is said."""
        found: str = self.forced.coaddName
        return OLD if found == DP1 else found

    def validate(self) -> None:
        """Refuse a task that is none of detectors.

        Raises
        ------
        UsageError
            If ``forced`` is retargeted to another.
        """
        Config.validate(self)
        if self.forced.target not in OF_DETECTORS:
            names = ", ".join(kind.__name__ for kind in OF_DETECTORS)
            raise UsageError(f"forced can be {names}, and not {self.forced.target.__name__}")

    def of_tasks(self) -> dict[str, str]:
        """By label of the survey's pipeline: its configuration, as lines about ``config``."""
        kind, config = self.forced.target, self.forced.value
        lines = plain_lines(config, kind.ConfigClass)
        return {**dict.fromkeys(_DRIVEN[kind].first, ""), kind._DefaultName: lines}


class ForcedPhotCoaddDiaDriverConfig(DrivenForcedPhotCoaddDiaConfig):
    """Of ``forcedPhotCoaddDiaDriver.py``, which has one task."""


class AssociationDriverConfig(Config):
    """How the sources of a patch become objects."""

    coaddName: Any = Field(dtype=str, default=OLD, doc="Kind of coadd; begins the names of datasets.")
    associator: Any = choice(associatorRegistry, doc="How sources become objects.", default="simple")
    filterDiaSources: Any = ConfigurableField(target=FilterDiaSourcesTask, doc="Which sources are left out.")
    ccdKey: Any = Field(dtype=str, default="detector", doc="Key of a data id that names the detector.")
    maxFootprintArea: Any = idle(5000, "Largest footprint of a source, px.", "sources are joined by their positions")
    defaultFootprintRadius: Any = idle(40, "Radius in place of a larger one, px.", "objects have no footprints")

    @property
    def select(self) -> IdleSubtask:
        """How images were selected."""
        return IdleSubtask("select", "the repository knows which detectors touch a patch; --selectId lists visits")

    def of_tasks(self) -> dict[str, str]:
        """By label of the survey's pipeline: its configuration, as lines about ``config``."""
        own = lines_about(self, "associator", "filterDiaSources")
        return {AssociateTask._DefaultName: f"{own}\nconfig.visits = 'coaddInputs'\n"}
