"""What an image difference reads and writes, by the names of Rubin: the ``connections`` of the configuration."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from lsst.pipe.base.connectionTypes import Input, Output, PrerequisiteInput

from diapipe.errors import UsageError
from diapipe.tasks.dataset_names import connection_names
from diapipe.tasks.named_connections import NamedConnections

EXPOSURE, DIFFERENCE, TABLE, PLAIN = "DiaExposure", "DiaDifference", "ArrowAstropy", "StructuredDataDict"
"""Storage classes; those of LSST's compiled stack have other names."""

INJECTED = "injected_"
"""Begins the name of every dataset of images into which sources were put."""
DETECTOR = ("instrument", "visit", "detector")
"""Dimensions of what belongs to an image."""
_PATCH = ("skymap", "tract", "patch", "band")
_NAMING = {"warpTypeSuffix": "", "fakesType": ""}
_TEMPLATES = {**_NAMING, "coaddName": "template", "skyMapName": ""}

COADDS, SUBFILTERS, VISIT, READY = "coaddExposures", "dcrCoadds", "exposure", "templateExposure"
"""Connections of which a template can be made; ``reads`` of the subtask getTemplate says which."""


class SkyMapConnections(NamedConnections, dimensions=DETECTOR, defaultTemplates=_NAMING):
    """Coadds on the sky of a detector, of one sky map.

    The sky map is no dimension of the task: its metadata and log belong to the detector.
    """

    skyMap: Any = Input(
        doc="How the sky is cut into tracts and patches.",
        name="skyMap",
        storageClass=PLAIN,
        dimensions=("skymap",),
        multiple=True,
        minimum=0,
    )
    coaddExposures: Any = Input(
        doc="Patches of the template; read where they overlap the science image.",
        name="{fakesType}template_coadd{warpTypeSuffix}",
        storageClass=EXPOSURE,
        dimensions=_PATCH,
        multiple=True,
        deferLoad=True,
        minimum=0,
    )
    dcrCoadds: Any = Input(
        doc="Patches of parts of the band, for GetDcrAsTemplateTask.",
        name="{fakesType}dcr_coadd{warpTypeSuffix}",
        storageClass=EXPOSURE,
        dimensions=(*_PATCH, "subfilter"),
        multiple=True,
        deferLoad=True,
        minimum=0,
    )

    def adjustQuantum(self, inputs: Any, outputs: Any, label: str, data_id: Any) -> Any:
        """Refuse coadds of two sky maps, while the graph is made."""
        refs = [ref for name in (COADDS, SUBFILTERS) for ref in inputs.get(name, (None, ()))[1]]
        maps = sorted({ref.dataId["skymap"] for ref in refs})
        if len(maps) > 1:
            raise UsageError(
                f"{label} found coadds of the sky maps {', '.join(maps)} for visit {data_id['visit']}, detector "
                f"{data_id['detector']}; choose one: add skymap = '{maps[0]}' to the query of data"
            )
        return super().adjustQuantum(inputs, outputs, label, data_id)


class ImageDifferenceConnections(SkyMapConnections, dimensions=DETECTOR, defaultTemplates=_TEMPLATES):
    """Datasets of an image difference."""

    exposure: Any = Input(
        doc="Science image.", name="{fakesType}visit_image", storageClass=EXPOSURE, dimensions=DETECTOR
    )
    calexpBackgroundExposure: Any = Input(
        doc="Sky that was taken out of the science image.",
        name="visit_image_background",
        storageClass=EXPOSURE,
        dimensions=DETECTOR,
        minimum=0,
    )
    selectSources: Any = Input(
        doc="Sources of the science image.",
        name="single_visit_star",
        storageClass=TABLE,
        dimensions=DETECTOR,
        minimum=0,
    )
    visitSummary: Any = Input(
        doc="A row for each detector, with its final flux scale.",
        name="visit_summary",
        storageClass=TABLE,
        dimensions=("instrument", "visit"),
        minimum=0,
    )
    templateExposure: Any = Input(
        doc="Finished template for the science image, for GetBuiltTemplateTask.",
        name="{fakesType}template_detector",
        storageClass=EXPOSURE,
        dimensions=DETECTOR,
        minimum=0,
    )
    refCatalog: Any = PrerequisiteInput(
        doc="Reference catalogue.", name="reference_catalog", storageClass=TABLE, dimensions=(), minimum=0
    )
    injectedSources: Any = Input(
        doc="What was put into the science image; what faded of it is put into the template.",
        name="{fakesType}source",
        storageClass=TABLE,
        dimensions=DETECTOR,
        minimum=0,
    )
    storedDifference: Any = Input(
        doc="Finished difference, for doSubtract = False.",
        name="{fakesType}difference_image",
        storageClass=DIFFERENCE,
        dimensions=DETECTOR,
    )
    subtractedExposure: Any = Output(
        doc="Science minus matched template.",
        name="{fakesType}difference_image",
        storageClass=DIFFERENCE,
        dimensions=DETECTOR,
    )
    scoreExposure: Any = Output(
        doc="Score on which sources were found.",
        name="{fakesType}difference_score",
        storageClass=EXPOSURE,
        dimensions=DETECTOR,
    )
    warpedExposure: Any = Output(
        doc="Template on the science grid.",
        name="{fakesType}template_aligned",
        storageClass=EXPOSURE,
        dimensions=DETECTOR,
    )
    matchedExposure: Any = Output(
        doc="Template as it was subtracted.",
        name="{fakesType}template_matched",
        storageClass=EXPOSURE,
        dimensions=DETECTOR,
    )
    diaSources: Any = Output(
        doc="Sources of the difference.", name="{fakesType}dia_source", storageClass=TABLE, dimensions=DETECTOR
    )
    kernelSrc: Any = Output(
        doc="Sources of the science image, with how well those of the kernel were subtracted.",
        name="{fakesType}difference_kernel_source",
        storageClass=TABLE,
        dimensions=DETECTOR,
    )

    def __init__(self, *, config: Any = None) -> None:
        super().__init__(config=config)
        for name, is_used in (read(config) | written(config)).items():
            if not is_used:
                delattr(self, name)
        if template_source(config) == VISIT:
            self._read_two_visits(config.getTemplate.templateVisit)

    def _read_two_visits(self, visit: int | None) -> None:
        """Let the connection of the science image bring the template too: a quantum has one input of a name."""
        known = self.exposure
        self.exposure = PrerequisiteInput(
            doc=f"{known.doc} And the same detector in another visit, its template; both made before this graph.",
            name=known.name,
            storageClass=known.storageClass,
            dimensions=known.dimensions,
            multiple=True,
            lookupFunction=partial(both_visits, visit=visit),
        )
        self.selectSources = replace(self.selectSources, minimum=1)  # says which quanta there are


def both_visits(datasetType: Any, registry: Any, dataId: Any, collections: Any, *, visit: int | None) -> list[Any]:
    """The dataset of a detector in its own visit and in another, as far as they are there."""
    detector = {"instrument": dataId["instrument"], "detector": dataId["detector"]}
    visits = dict.fromkeys([dataId["visit"]] if visit is None else [dataId["visit"], visit])
    found = [registry.findDataset(datasetType, detector, visit=n, collections=collections) for n in visits]
    return [ref for ref in found if ref is not None]


def dataset_names(config: Any) -> dict[str, str]:
    """For every connection the name of its dataset."""
    return connection_names(ImageDifferenceConnections, config)


def template_source(config: Any) -> str | None:
    """The connection that brings what the template is made of; None where there is none."""
    return getattr(config.getTemplate.target, "reads", COADDS) if config.doSubtract else None


def read(config: Any) -> dict[str, bool]:
    """For every input that not every configuration reads, whether this one does."""
    source = template_source(config)
    needs_reference = ("kernelSourcesFromRef", "doSelectDcrCatalog", "doSelectVariableCatalog", "doDebugRegister")
    return {
        **{name: name == source for name in (COADDS, SUBFILTERS, READY)},
        "skyMap": source in (COADDS, SUBFILTERS),
        "calexpBackgroundExposure": bool(config.doAddCalexpBackground),
        "injectedSources": source is not None and config.connections.fakesType == INJECTED,
        "storedDifference": not config.doSubtract,
        "refCatalog": config.doMatchSources or any(getattr(config, name) for name in needs_reference),
    }


def written(config: Any) -> dict[str, bool]:
    """For every output, whether a configuration writes it."""
    return {
        "subtractedExposure": bool(config.doSubtract and config.doWriteSubtractedExp),
        "scoreExposure": bool(config.doWriteScoreExp),
        "warpedExposure": bool(config.doSubtract and config.doWriteWarpedExp),
        "matchedExposure": bool(config.doSubtract and config.doWriteMatchedExp),
        "diaSources": bool(config.doDetection and config.doWriteSources),
        "kernelSrc": bool(config.doAddMetrics and config.doSelectSources),
    }
