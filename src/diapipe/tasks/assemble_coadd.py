"""AssembleCoaddTask: the warps of a patch become its coadd."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np
from astropy.table import Table
from astropy.wcs import WCS
from lsst.pex.config import ChoiceField, Field
from lsst.pipe.base import PipelineTask, PipelineTaskConfig, Struct
from lsst.pipe.base.connectionTypes import Input, Output

from diapipe.images import Box, Exposure, MaskedImage
from diapipe.images.sky_map import SkyMap
from diapipe.steps.coadd import AbstractCoadder, ClippedCoadder, Coadd, CoaddInput, MeanCoadder, coadd
from diapipe.tasks.connections import EXPOSURE, PLAIN, TABLE
from diapipe.tasks.dataset_names import coadd_name
from diapipe.tasks.fields import OptionConfig, option, parameters_of
from diapipe.tasks.named_connections import NamedConnections
from diapipe.tasks.no_work import no_work_found

_PATCH = ("skymap", "tract", "patch")


class AssembleCoaddConnections(NamedConnections, dimensions=(*_PATCH, "band")):
    """Datasets of a coadd."""

    inputWarps: Any = Input(
        doc="Visits on the pixels of the patch; read twice, in parts.",
        name="template_warp",
        storageClass=EXPOSURE,
        dimensions=("instrument", "visit", *_PATCH),
        multiple=True,
        deferLoad=True,
    )
    templateVisits: Any = Input(
        doc="Which visits make the template of the patch: warps of others are left out.",
        name="template_visits",
        storageClass=TABLE,
        dimensions=(*_PATCH, "band"),
        minimum=0,
    )
    skyMap: Any = Input(
        doc="How the sky is cut into tracts and patches.", name="skyMap", storageClass=PLAIN, dimensions=("skymap",)
    )
    coaddExposure: Any = Output(
        doc="The coadd, in nJy, with its PSF, noise correlation and inputs.",
        name="template_coadd",
        storageClass=EXPOSURE,
        dimensions=(*_PATCH, "band"),
    )
    nImage: Any = Output(
        doc="Number of images at each pixel.",
        name="template_coadd_n_image",
        storageClass=EXPOSURE,
        dimensions=(*_PATCH, "band"),
    )

    def __init__(self, *, config: Any = None) -> None:
        super().__init__(config=config)
        if not config.doNImage:
            self.outputs.discard("nImage")


class AssembleCoaddConfig(PipelineTaskConfig, OptionConfig, pipelineConnections=AssembleCoaddConnections):
    """Config of a coadd, by the names of LSST's task where it has them."""

    coaddName: Any = coadd_name()
    statistic: Any = ChoiceField(
        doc="What the coadd is.",
        dtype=str,
        allowed={"MEANCLIP": "Mean without artefacts and transients.", "MEAN": "Mean of everything."},
        default="MEANCLIP",
    )
    doNImage: Any = Field(dtype=bool, default=False, doc="Write how many images there are at each pixel.")
    weighting: Any = option(ClippedCoadder, "weighting")
    featherSize: Any = option(ClippedCoadder, "feather_px")
    matchBackgroundOrder: Any = option(ClippedCoadder, "level_order")
    matchBackgroundCellSize: Any = option(ClippedCoadder, "level_cell_px")
    maskPropagationThreshold: Any = option(ClippedCoadder, "least_mask_share")
    maskPropagationThresholdSaturated: Any = option(ClippedCoadder, "most_saturated_share")
    psfOrder: Any = option(ClippedCoadder, "psf_order")
    memory: Any = option(ClippedCoadder, "memory_gib")
    sigmaClip: Any = option(ClippedCoadder, "n_sigma")
    sigmaEdge: Any = option(ClippedCoadder, "n_sigma_edge")
    growFwhm: Any = option(ClippedCoadder, "grow_fwhm")
    growSharp: Any = option(ClippedCoadder, "grow_sharp_px")
    leastModelError: Any = option(ClippedCoadder, "least_model_error")
    numModelErrors: Any = option(ClippedCoadder, "n_model_errors")
    maxNumEpochs: Any = option(ClippedCoadder, "max_epochs")
    maxFractionEpochsLow: Any = option(ClippedCoadder, "max_share_of_few")
    maxFractionEpochsHigh: Any = option(ClippedCoadder, "max_share_of_many")
    spatialThreshold: Any = option(ClippedCoadder, "least_region_share")

    def algorithm(self) -> AbstractCoadder:
        """The algorithm of the core."""
        values = parameters_of(self, ClippedCoadder)
        if self.statistic == "MEANCLIP":
            return ClippedCoadder(**values)
        names = {field.name for field in dataclasses.fields(MeanCoadder)}
        return MeanCoadder(**{name: value for name, value in values.items() if name in names})


class AssembleCoaddTask(PipelineTask):
    """Stack the warps of a patch."""

    config: Any
    ConfigClass = AssembleCoaddConfig
    _DefaultName = "assembleCoadd"

    def runQuantum(self, butlerQC: Any, inputRefs: Any, outputRefs: Any) -> None:
        """Stack the warps of the selected visits, a few rows of all in memory at a time."""
        dataId = butlerQC.quantum.dataId
        tract = SkyMap.from_dict(butlerQC.get(inputRefs.skyMap)).tract(int(dataId["tract"]))
        patch = tract.patch(int(dataId["patch"]))
        reference = getattr(inputRefs, "templateVisits", None)
        visits = None if reference is None else selected_visits(butlerQC.get(reference))
        handles = sorted((butlerQC.get(ref) for ref in inputRefs.inputWarps), key=_visit_of)
        with no_work_found(self.metadata):
            outputs = self.run(
                (_input(handle) for handle in handles if visits is None or _visit_of(handle) in visits),
                box=patch.outer,
                wcs=tract.wcs,
                name=f"coadd of patch {patch.index} of tract {tract.id}",
            )
        butlerQC.put(outputs, outputRefs)

    def run(self, inputs: Iterable[CoaddInput], *, box: Box, wcs: WCS, name: str = "coadd") -> Struct:
        """Make the coadd.

        Parameters
        ----------
        inputs
            Warps on the pixels of ``wcs``.
        box, wcs
            The pixels of the coadd.
        name
            What messages call it.

        Returns
        -------
        Struct
            ``coaddExposure``; ``nImage``, an exposure of numbers (None unless it is to be written); ``clippedShare`` by
            input.

        Raises
        ------
        NoOverlapError
            If no warp has a usable pixel.
        """
        made = coadd(inputs, box=box, wcs=wcs, algorithm=self.config.algorithm(), name=name)
        shares = np.array(list(made.clipped_share.values()))
        self.metadata["nInputs"], self.metadata["clippedFraction"] = len(shares), float(shares.mean())
        self.metadata["usableFraction"] = float(made.exposure.masked_image.usable().mean())
        for source, share in made.clipped_share.items():
            self.log.verbose("%s: %.2f%% of its pixels left out", source, 100.0 * share)
        numbers = _numbers(made) if self.config.doNImage else None
        return Struct(coaddExposure=made.exposure, nImage=numbers, clippedShare=made.clipped_share)


class CompareWarpAssembleCoaddTask(AssembleCoaddTask):
    """The same by the name of LSST's task that compares warps: so does this one, unless ``statistic`` is MEAN."""


def selected_visits(table: Table) -> set[tuple[str, int]]:
    """Instrument and number of the visits of which a detector is selected."""
    chosen = table[np.asarray(table["selected"], dtype=np.bool_)]
    return {(str(instrument), int(visit)) for instrument, visit in chosen.iterrows("instrument", "visit")}


def _visit_of(handle: Any) -> tuple[str, int]:
    """Instrument and number of the visit of a warp."""
    return str(handle.dataId["instrument"]), int(handle.dataId["visit"])


def _input(handle: Any) -> CoaddInput:
    """A warp of the repository, read box by box."""

    def read(box: Box) -> Exposure:
        found: Exposure = handle.get(parameters={"bbox": box})
        return found

    return CoaddInput(name=f"visit {handle.dataId['visit']}", box=handle.get(component="bbox"), pixels=read)


def _numbers(made: Coadd) -> Exposure:
    """How many images there are at each pixel, as an image."""
    planes = MaskedImage.from_planes(made.n_images.astype(np.float32), box=made.exposure.box)
    return Exposure(name=f"images of {made.exposure.name}", masked_image=planes, wcs=made.exposure.wcs, unit="")
