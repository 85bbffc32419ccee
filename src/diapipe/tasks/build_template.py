"""BuildTemplateTask: the template of a detector as a dataset of its own, on the pixels of the detector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from lsst.pex.config import ConfigurableField, Field
from lsst.pipe.base import PipelineTask, PipelineTaskConfig, Struct
from lsst.pipe.base.connectionTypes import Input, Output

from diapipe.images import Exposure, MaskedImage
from diapipe.steps.template import WienerWarp, warp_onto
from diapipe.steps.template.gather import TemplateInput
from diapipe.tasks.characterize import identified
from diapipe.tasks.connections import COADDS, EXPOSURE, SUBFILTERS, SkyMapConnections
from diapipe.tasks.dataset_names import DP1
from diapipe.tasks.difference_inputs import patches
from diapipe.tasks.fields import OptionConfig, option
from diapipe.tasks.get_template import GetCoaddAsMultiTractTemplateTask
from diapipe.tasks.no_work import no_work_found


class BuildTemplateConnections(SkyMapConnections, dimensions=("instrument", "visit", "detector")):
    """Datasets of a template."""

    exposure: Any = Input(
        doc="Science image, of which only place and time are read.",
        name="{fakesType}visit_image",
        storageClass=EXPOSURE,
        dimensions=("instrument", "visit", "detector"),
        deferLoad=True,
    )
    templateExposure: Any = Output(
        doc="The template on the pixels of the detector and a border.",
        name="{fakesType}template_detector",
        storageClass=EXPOSURE,
        dimensions=("instrument", "visit", "detector"),
    )

    def __init__(self, *, config: Any = None) -> None:
        super().__init__(config=config)
        delattr(self, {COADDS: SUBFILTERS, SUBFILTERS: COADDS}[config.getTemplate.target.reads])


class BuildTemplateConfig(PipelineTaskConfig, OptionConfig, pipelineConnections=BuildTemplateConnections):
    """Config of the template."""

    coaddName: Any = Field(
        dtype=str, default=DP1, doc="template: names of Data Preview 1; any other: the older names of that coadd."
    )
    getTemplate: Any = ConfigurableField(
        target=GetCoaddAsMultiTractTemplateTask, doc="Makes the template, of the coadds of one tract or of all."
    )
    requiredTemplateFraction: Any = option(WienerWarp, "required_template_fraction")


class BuildTemplateTask(PipelineTask):
    """Make the template of a detector of coadds, and keep it.

    ImageDifferenceTask makes its template by itself; a template of its own is for looking at, for several runs on the
    same detector, and for ``config.getTemplate.retarget(GetBuiltTemplateTask)`` there. What a displacement measured at
    the stars moves is then interpolated twice.
    """

    config: Any
    getTemplate: Any
    ConfigClass = BuildTemplateConfig
    _DefaultName = "buildTemplate"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.makeSubtask("getTemplate")

    def runQuantum(self, butlerQC: Any, inputRefs: Any, outputRefs: Any) -> None:
        """Read where the detector lies and what of the coadds lies there, and write the template."""
        with no_work_found(self.metadata):
            given = butlerQC.get(inputRefs)
            source = self.config.getTemplate.target.reads
            coadds = patches(given[source], given["skyMap"])
            made = self.run(identified(place_of(given["exposure"]), butlerQC.quantum.dataId), coadds)
        butlerQC.put(made, outputRefs)

    def run(self, exposure: Exposure, inputs: Sequence[TemplateInput]) -> Struct:
        """Make the template of an exposure.

        Parameters
        ----------
        exposure
            Its box, WCS and observation count, not its pixels.
        inputs
            `CoaddPatch` objects.

        Returns
        -------
        Struct
            ``templateExposure`` on the WCS of the exposure, with a border beyond its box.

        Raises
        ------
        NoOverlapError
            If too little of the exposure is covered.
        """
        fraction = self.config.requiredTemplateFraction
        template = self.getTemplate.run(exposure, inputs, requiredTemplateFraction=fraction).exposure
        border = self.getTemplate.config.templateBorderSize
        wide = replace(exposure, masked_image=MaskedImage.empty(exposure.box.dilated(border)))
        warp = WienerWarp(required_template_fraction=0.0)
        made = warp_onto(template, wide, warp=warp).exposure
        covered = float(made[exposure.box].masked_image.usable().mean())
        self.metadata["templateCoverage"] = covered
        self.metadata["nInputs"] = len(inputs)
        return Struct(templateExposure=replace(made, name=f"template of {exposure.name}"))


def place_of(handle: Any) -> Exposure:
    """An exposure of which only what says where, when and through what it was taken is read."""
    box, wcs, info = (handle.get(component=name) for name in ("bbox", "wcs", "info"))
    name = ", ".join(f"{key} {handle.dataId[key]}" for key in ("visit", "detector"))
    return Exposure(name=name, masked_image=MaskedImage.empty(box), wcs=wcs, info=info)
