"""What an image difference reads and writes, by the dataset names of LSST: the ``connections`` of the configuration."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lsst.pipe.base import PipelineTaskConnections
from lsst.pipe.base.connectionTypes import Input, Output

EXPOSURE, DIFFERENCE, TABLE = "DiaExposure", "DiaDifference", "ArrowAstropy"
"""Storage classes; those of LSST's compiled stack have other names."""

_VISIT = ("instrument", "visit", "detector")
_TEMPLATES = {"coaddName": "deep", "warpTypeSuffix": "", "fakesType": "", "skyMapName": "deep"}


class ImageDifferenceConnections(PipelineTaskConnections, dimensions=(*_VISIT, "skymap"), defaultTemplates=_TEMPLATES):
    """Datasets of an image difference."""

    exposure: Any = Input(doc="Science image.", name="{fakesType}calexp", storageClass=EXPOSURE, dimensions=_VISIT)
    calexpBackgroundExposure: Any = Input(
        doc="Background that was taken out of the science image.",
        name="calexpBackground",
        storageClass=EXPOSURE,
        dimensions=_VISIT,
        minimum=0,
    )
    selectSources: Any = Input(
        doc="Sources of the science image.", name="src", storageClass=TABLE, dimensions=_VISIT, minimum=0
    )
    coaddExposures: Any = Input(
        doc="Patches of the template.",
        name="{fakesType}{coaddName}Coadd{warpTypeSuffix}",
        storageClass=EXPOSURE,
        dimensions=("tract", "patch", "skymap", "band"),
        multiple=True,
        deferLoad=True,
    )
    subtractedExposure: Any = Output(
        doc="Science minus matched template.",
        name="{fakesType}{coaddName}Diff_differenceExp",
        storageClass=DIFFERENCE,
        dimensions=_VISIT,
    )
    scoreExposure: Any = Output(
        doc="Score on which sources were found.",
        name="{fakesType}{coaddName}Diff_scoreExp",
        storageClass=EXPOSURE,
        dimensions=_VISIT,
    )
    warpedExposure: Any = Output(
        doc="Template on the science grid.",
        name="{fakesType}{coaddName}Diff_warpedExp",
        storageClass=EXPOSURE,
        dimensions=_VISIT,
    )
    matchedExposure: Any = Output(
        doc="Template as it was subtracted.",
        name="{fakesType}{coaddName}Diff_matchedExp",
        storageClass=EXPOSURE,
        dimensions=_VISIT,
    )
    diaSources: Any = Output(
        doc="Sources of the difference.",
        name="{fakesType}{coaddName}Diff_diaSrc",
        storageClass=TABLE,
        dimensions=_VISIT,
    )

    def __init__(self, *, config: Any = None) -> None:
        super().__init__(config=config)
        for name, dataset in dataset_names(config).items():
            setattr(self, name, replace(getattr(self, name), name=dataset))
        self.outputs -= {name for name, is_written in written(config).items() if not is_written}
        if not config.doAddCalexpBackground:
            self.inputs.discard("calexpBackgroundExposure")


def dataset_names(config: Any) -> dict[str, str]:
    """For every connection the name of its dataset; ``coaddName`` of the task names the coadd."""
    values = {name: getattr(config.connections, name) for name in _TEMPLATES} | {"coaddName": config.coaddName}
    names = ImageDifferenceConnections.allConnections
    return {name: getattr(config.connections, name).format(**values) for name in names}


def written(config: Any) -> dict[str, bool]:
    """For every output, whether a configuration writes it."""
    return {
        "subtractedExposure": bool(config.doSubtract and config.doWriteSubtractedExp),
        "scoreExposure": bool(config.doWriteScoreExp),
        "warpedExposure": bool(config.doSubtract and config.doWriteWarpedExp),
        "matchedExposure": bool(config.doSubtract and config.doWriteMatchedExp),
        "diaSources": bool(config.doDetection and config.doWriteSources),
    }
