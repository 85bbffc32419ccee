"""MeasureTemplateTask: the sources of a template coadd, patch by patch and band by band."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lsst.pipe.base import PipelineTask, PipelineTaskConfig, Struct
from lsst.pipe.base.connectionTypes import Input, Output

from diapipe.images import Exposure
from diapipe.images.patch_area import PatchArea
from diapipe.images.sky_map import SkyMap
from diapipe.steps.characterize import Characterize, characterize
from diapipe.steps.characterize.background import BackgroundMesh
from diapipe.steps.characterize.sources import SourceDetection
from diapipe.steps.force import TEMPLATE_APERTURES_PX, Force, template_objects
from diapipe.tasks.connections import EXPOSURE, PLAIN, TABLE
from diapipe.tasks.dataset_names import coadd_name
from diapipe.tasks.fields import option, options_of
from diapipe.tasks.forced_config import ForcedFluxConfig
from diapipe.tasks.named_connections import NamedConnections

_PATCH = ("skymap", "tract", "patch", "band")


class MeasureTemplateConnections(NamedConnections, dimensions=_PATCH):
    """Datasets of the sources of a template."""

    coaddExposure: Any = Input(
        doc="The template of a patch.", name="template_coadd", storageClass=EXPOSURE, dimensions=_PATCH
    )
    skyMap: Any = Input(
        doc="How the sky is cut into tracts and patches.", name="skyMap", storageClass=PLAIN, dimensions=("skymap",)
    )
    templateObjects: Any = Output(
        doc="Its sources; detect_isPrimary tells which to count.",
        name="template_object",
        storageClass=TABLE,
        dimensions=_PATCH,
    )


class MeasureTemplateConfig(PipelineTaskConfig, ForcedFluxConfig, pipelineConnections=MeasureTemplateConnections):
    """Config of the sources of a template."""

    coaddName: Any = coadd_name()
    cellPixels: Any = option(BackgroundMesh, "cell_pixels")
    detectionSigma: Any = option(SourceDetection, "n_sigma")
    apertureRadii: Any = option(Force, "aperture_radii_px", default=TEMPLATE_APERTURES_PX)

    def characterization(self) -> Characterize:
        """How sources are found: the options of the core."""
        return Characterize(background=options_of(self, BackgroundMesh), detection=options_of(self, SourceDetection))


class MeasureTemplateTask(PipelineTask):
    """Find the sources of a coadd as those of any image are found, and measure them on the coadd as it is."""

    config: Any
    ConfigClass = MeasureTemplateConfig
    _DefaultName = "measureTemplate"
    follows_inputs = True

    def runQuantum(self, butlerQC: Any, inputRefs: Any, outputRefs: Any) -> None:
        """Read a coadd, write its sources."""
        dataId = butlerQC.quantum.dataId
        given = butlerQC.get(inputRefs)
        found = self.run(
            given["coaddExposure"],
            given["skyMap"],
            tract=int(dataId["tract"]),
            patch=int(dataId["patch"]),
            band=str(dataId["band"]),
        )
        butlerQC.put(found, outputRefs)

    def run(
        self, coaddExposure: Exposure, skyMap: SkyMap | Mapping[str, Any], *, tract: int, patch: int, band: str
    ) -> Struct:
        """Find and measure.

        Parameters
        ----------
        coaddExposure
            In the pixels of its tract, with a PSF.
        skyMap
            The map, or the parameters of one.
        tract, patch, band
            Of the coadd.

        Returns
        -------
        Struct
            ``templateObjects``; without rows where the coadd has no usable pixel.
        """
        sky_map = SkyMap.of(skyMap)
        area = PatchArea(sky_map=sky_map, tract=tract, patch=patch, margin_arcsec=0.0)
        stars = None
        if coaddExposure.masked_image.usable().any():
            stars = characterize(coaddExposure, options=self.config.characterization()).stars
        table = template_objects(stars, coaddExposure, area=area, band=band, options=options_of(self.config, Force))
        self.metadata["nTemplateObjects"] = len(table)
        return Struct(templateObjects=table)
