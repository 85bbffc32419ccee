"""ImageDifferenceConfig: the forty fields and the twelve subtasks of LSST's `ImageDifferenceTask`, and one more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lsst.pex.config import ConfigurableField, Field
from lsst.pipe.base import PipelineTaskConfig

from diapipe.errors import UsageError
from diapipe.steps.detect import MatchedFilter
from diapipe.steps.template import RegisterSip, WienerWarp
from diapipe.tasks.aperture_corrections import ApplyApCorrTask
from diapipe.tasks.astrometer import AstrometryTask
from diapipe.tasks.connections import ImageDifferenceConnections
from diapipe.tasks.dataset_names import DP1
from diapipe.tasks.decorrelate import DecorrelateALKernelSpatialTask
from diapipe.tasks.detection import SourceDetectionTask
from diapipe.tasks.fields import SettingsError
from diapipe.tasks.forced_measurement import ForcedMeasurementTask
from diapipe.tasks.get_template import GetCoaddAsTemplateTask
from diapipe.tasks.kernel_sources import kernel_source_options
from diapipe.tasks.measurement import DipoleFitTask
from diapipe.tasks.register import RegisterTask
from diapipe.tasks.retargetable import choice
from diapipe.tasks.rules import broken_rule
from diapipe.tasks.scale_variance import ScaleVarianceTask
from diapipe.tasks.sky_sources import SkyObjectsTask
from diapipe.tasks.source_selectors import sourceSelectorRegistry
from diapipe.tasks.subtract import subtractAlgorithmRegistry


def _yes_no(default: bool, doc: str, **more: Any) -> Any:
    return Field(dtype=bool, default=default, doc=doc, **more)


class ImageDifferenceConfig(PipelineTaskConfig, pipelineConnections=ImageDifferenceConnections):
    """Configuration of `ImageDifferenceTask`, with the names, types and defaults of LSST's."""

    coaddName: Any = Field(
        dtype=str,
        default=DP1,
        doc="Kind of coadd that is the template. template gives datasets the names of Rubin's Data Preview 1; deep, "
        "goodSeeing, dcr and any other word begins their older names.",
    )

    doAddCalexpBackground: Any = _yes_no(
        False, "Give the science image its sky back before anything is done; the sky is then found anew."
    )
    doUseRegister: Any = _yes_no(
        False, "Fit the template's WCS anew to stars that both images have (register), before it is warped; for al."
    )
    doDebugRegister: Any = _yes_no(
        False, "Write into the metadata by how much blue, green and red stars are still displaced after doUseRegister."
    )
    doSelectSources: Any = _yes_no(
        False,
        "Choose the stars of the kernel with sourceSelector, some of them as a control; for al. Else subtract chooses.",
    )
    doSelectDcrCatalog: Any = _yes_no(False, "Add the bluest and the reddest stars to the control; for al.")
    doSelectVariableCatalog: Any = _yes_no(False, "Add the variable stars to the control; for al.")
    doSubtract: Any = _yes_no(True, "Make the difference; else it is given as subtractedExposure.")
    useScoreImageDetection: Any = _yes_no(
        False, "Detect on a score image: the likelihood of a science image convolved with its PSF (al), or S of zogy."
    )
    doPreConvolve: Any = _yes_no(
        False,
        "Without effect.",
        deprecated="This option is superseded by useScoreImageDetection; it does nothing.",
    )
    useGaussianForPreConvolution: Any = _yes_no(
        False, "Convolve the science image with a Gaussian of its PSF's width for the score, not with its PSF; for al."
    )
    doScaleTemplateVariance: Any = _yes_no(
        False, "Scale the variance of the template to the scatter of its pixels, before it is used."
    )
    doScaleDiffimVariance: Any = _yes_no(
        True, "Scale the variance of the difference to the scatter of its pixels, before sources are sought."
    )
    doDecorrelation: Any = _yes_no(
        True,
        "Make the noise of the difference white, with its PSF to match; a proper difference (zogy) is white already.",
    )
    doSpatiallyVarying: Any = _yes_no(
        False, "Let the whitening filter follow kernel and noise over the image; zogy always does."
    )
    doDetection: Any = _yes_no(True, "Find sources.")
    doMerge: Any = _yes_no(
        True, "Make one source of positive and negative footprints that touch when grown by growFootprint."
    )
    doMeasurement: Any = _yes_no(True, "Measure the sources.")
    doDipoleFitting: Any = _yes_no(True, "Fit dipoles, on difference, science image and template together.")
    doApCorr: Any = _yes_no(True, "Apply aperture corrections to the measured fluxes.")
    doForcedMeasurement: Any = _yes_no(
        True, "Measure PSF fluxes on science image and template at the places of the sources."
    )
    doSkySources: Any = _yes_no(False, "Add sources at places where nothing is, flagged sky_source.")
    doReliability: Any = _yes_no(
        True,
        "Say how far each measured source is to be believed, in the column reliability. A field of ours.",
    )
    doMatchSources: Any = _yes_no(
        False, "Say of every source which source of the science image, and of the reference catalogue, lies there."
    )
    doAddMetrics: Any = _yes_no(False, "Add to the stars of the kernel how well each was subtracted; for al.")

    doWriteSubtractedExp: Any = _yes_no(True, "Write the difference.")
    doWriteWarpedExp: Any = _yes_no(False, "Write the template on the science grid.")
    doWriteMatchedExp: Any = _yes_no(False, "Write the template as it was subtracted; for al.")
    doWriteScoreExp: Any = _yes_no(False, "Write the score image.")
    doWriteSources: Any = _yes_no(True, "Write the table of sources.")
    saveLogOutput: Any = _yes_no(True, "Write what the run logged.")
    saveMetadata: Any = _yes_no(True, "Write the metadata of the task and its subtasks.")

    convolveTemplate: Any = _yes_no(
        True, "Convolve the template; else the science image. subtract['al'].mode = 'auto' takes the sharper one."
    )
    requiredTemplateFraction: Any = Field(
        dtype=float,
        default=0.1,
        doc="Do nothing where the template covers less than this part of the science image; 0 always tries.",
    )
    kernelSourcesFromRef: Any = _yes_no(
        False, "Stars of the kernel are sources that the reference catalogue has, not those that the template has."
    )
    templateSipOrder: Any = Field(dtype=int, default=2, doc="Order of the distortion that doUseRegister fits.")
    growFootprint: Any = Field(dtype=int, default=2, doc="By how many pixels footprints are grown for doMerge.")
    diaSourceMatchRadius: Any = Field(dtype=float, default=0.5, doc="Radius of doMatchSources in arc seconds.")
    controlStepSize: Any = Field(
        dtype=int, default=5, doc="Every n-th of the shuffled kernel sources becomes a control; this is n."
    )
    controlRandomSeed: Any = Field(dtype=int, default=10, doc="Seed of that shuffle.")

    getTemplate: Any = ConfigurableField(target=GetCoaddAsTemplateTask, doc="Makes the template.")
    scaleVariance: Any = ConfigurableField(
        target=ScaleVarianceTask, doc="Scales a variance plane to the scatter of the pixels."
    )
    sourceSelector: Any = choice(sourceSelectorRegistry, doc="Chooses the stars of the kernel.", default="objectSize")
    astrometer: Any = ConfigurableField(
        target=AstrometryTask, doc="Matches sources with the reference catalogue; fits no WCS."
    )
    subtract: Any = subtractAlgorithmRegistry.makeField(doc="How the template is subtracted.", default="al")
    decorrelate: Any = ConfigurableField(target=DecorrelateALKernelSpatialTask, doc="Finds the whitening filter.")
    detection: Any = ConfigurableField(target=SourceDetectionTask, doc="Finds sources.")
    skySources: Any = ConfigurableField(target=SkyObjectsTask, doc="Finds places where nothing is.")
    measurement: Any = ConfigurableField(target=DipoleFitTask, doc="Measures the sources.")
    applyApCorr: Any = ConfigurableField(target=ApplyApCorrTask, doc="Applies aperture corrections.")
    forcedMeasurement: Any = ConfigurableField(
        target=ForcedMeasurementTask, doc="Measures the science image at the places of the sources."
    )
    register: Any = ConfigurableField(target=RegisterTask, doc="Fits the WCS of the template anew.")

    def setDefaults(self) -> None:
        """The threshold of LSST's difference imaging, 5 sigma, and their order of the registration."""
        PipelineTaskConfig.setDefaults(self)
        self.detection.thresholdValue = 5.0

    def validate(self) -> None:
        """Refuse settings that contradict each other.

        Raises
        ------
        SettingsError
            With one sentence that names the fields and the cure.
        """
        PipelineTaskConfig.validate(self)
        broken = broken_rule(self)
        if broken is not None:
            raise broken
        made: dict[str, Callable[[], object]] = {
            "controlStepSize": lambda: kernel_source_options(self),
            "growFootprint": lambda: MatchedFilter(merge_px=self.growFootprint),
            "requiredTemplateFraction": lambda: WienerWarp(required_template_fraction=self.requiredTemplateFraction),
            "templateSipOrder": lambda: RegisterSip(sip_order=self.templateSipOrder),
        }
        for name, make in made.items():
            try:
                make()
            except UsageError as error:
                raise SettingsError(self._fields[name], self, f"{name}: {error}") from error
        if not self.diaSourceMatchRadius > 0:
            said = f"diaSourceMatchRadius must be positive, not {self.diaSourceMatchRadius:g}"
            raise SettingsError(self._fields["diaSourceMatchRadius"], self, said)
