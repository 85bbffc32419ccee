"""Subtasks that make a difference of two exposures: ``al`` and ``zogy``, by name in one registry."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, Literal

from lsst.pex.config import ChoiceField, ConfigChoiceField, ConfigField, Field, makeRegistry
from lsst.pipe.base import Task

from diapipe.catalogs.stars import StarList
from diapipe.flow import Recipe, score_image
from diapipe.images import Difference, Exposure, SpatialKernel
from diapipe.images.calibrated import calibrated
from diapipe.images.psf import SIGMA_TO_FWHM
from diapipe.steps.characterize import Characterized
from diapipe.steps.decorrelate import AbstractDecorrelator
from diapipe.steps.match import AbstractMatcher, BrightestInCells, Given, Match, Spread, StarMatcher, match
from diapipe.steps.match.candidates import AbstractCandidates
from diapipe.steps.subtract import AbstractSubtractor, GaussianFilter, OneSided, PsfFilter, Zogy, subtract
from diapipe.steps.summarize import (
    SubtractionCheck,
    footprint_ratios,
    refuse_bad_subtraction,
)
from diapipe.steps.summarize.tally import limiting_magnitudes
from diapipe.steps.template import AlignedTemplate, Register, Registration, WienerWarp, register, warp_onto
from diapipe.tasks.fields import OptionConfig, fixed, idle, option, options_of
from diapipe.tasks.psf_match_config import KERNELS, PsfMatchConfig

subtractAlgorithmRegistry = makeRegistry("Algorithms that subtract a template from a science image.")


class WarpingConfig(OptionConfig):
    """How the template is brought onto the science grid."""

    maxHoleShare: Any = option(WienerWarp, "max_hole_share")
    stretchFromScale: Any = option(WienerWarp, "stretch_from_scale")
    sameGrid: Any = option(WienerWarp, "same_grid_px")


class AlignmentConfig(OptionConfig):
    """How the displacement that the WCSs leave between the images is measured at the stars."""

    searchRadius: Any = option(Register, "search_radius_px")
    matchRadius: Any = option(Register, "match_radius_px")
    maxOrder: Any = option(Register, "max_order")
    minSignalToNoise: Any = option(Register, "min_signal_to_noise")
    leastSignificance: Any = option(Register, "least_significance")


class PairSubtractConfig(OptionConfig):
    """What both algorithms need before they subtract."""

    warpingConfig: Any = ConfigField(doc="How the template is interpolated.", dtype=WarpingConfig)
    doRefineAlignment: Any = Field(
        doc="Measure at the stars what displacement the WCSs leave, and warp with it where it is significant.",
        dtype=bool,
        default=True,
    )
    alignment: Any = ConfigField(doc="How that displacement is measured.", dtype=AlignmentConfig)
    kernel: Any = ConfigChoiceField(
        doc="Basis of the matching kernel: AL Gaussians times polynomials, DF free pixels.",
        typemap=KERNELS,
        default="AL",
    )
    mode: Any = ChoiceField(
        doc="Which image is convolved.",
        dtype=str,
        default="field",
        allowed={
            "field": "the one that convolveTemplate of the main task names",
            "auto": "the one of sharper PSF",
            "convolveTemplate": "the template",
            "convolveScience": "the science image",
        },
    )

    raiseOnBadSubtractionRatio: Any = Field(
        doc="Refuse a difference on which too much is left of the kernel's stars.", dtype=bool, default=False
    )
    badSubtractionRatioThreshold: Any = option(SubtractionCheck, "max_ratio")
    badSubtractionVariationThreshold: Any = option(SubtractionCheck, "max_scatter")

    def check(self) -> SubtractionCheck | None:
        """How much may be left of the stars; None for no limit."""
        return options_of(self, SubtractionCheck) if self.raiseOnBadSubtractionRatio else None

    def warp(self, *, requiredTemplateFraction: float) -> WienerWarp:
        """The interpolation of the core."""
        return options_of(self.warpingConfig, WienerWarp, required_template_fraction=requiredTemplateFraction)

    def matcher(self, *, convolveTemplate: bool, isSelected: bool = False) -> AbstractMatcher:
        """The matcher of the core.

        Parameters
        ----------
        convolveTemplate
            What the main task says, where ``mode`` leaves it to that.
        isSelected
            The stars were chosen with care: all of them take part, unless so many a cell are asked for.
        """
        convolve = {
            "auto": "auto",
            "convolveTemplate": "template",
            "convolveScience": "science",
            "field": "template" if convolveTemplate else "science",
        }[self.mode]
        kernel: PsfMatchConfig = self.kernel.active
        matcher = kernel.matcher(convolve=convolve)
        if isSelected and isinstance(matcher, StarMatcher):
            return replace(matcher, candidates=_as_selected(matcher.candidates))
        return matcher

    def subtractor(self) -> AbstractSubtractor:
        """The subtractor of the core."""
        raise NotImplementedError

    @property
    def pixelUnit(self) -> Literal["science", "nJy"]:
        """Unit of the difference: that of the science image, or nJy."""
        return "science"


def _as_selected(candidates: AbstractCandidates) -> AbstractCandidates:
    """The same choice among stars that were chosen with care: none is left out for being faint or crowded."""
    if isinstance(candidates, Spread):
        return Given()
    return replace(candidates, min_signal_to_noise=0.0) if isinstance(candidates, BrightestInCells) else candidates


def fwhm_of(exposure: Exposure) -> float | None:
    """Noise-equivalent FWHM of the PSF in the middle, in pixels; None without a PSF."""
    if exposure.psf is None:
        return None
    return float(SIGMA_TO_FWHM * exposure.psf.sigma_at(x=exposure.box.x_center, y=exposure.box.y_center))


class PairSubtractTask(Task):
    """Align a template with a science image, match their PSFs, subtract: one method a step, each can be replaced.

    The main task calls `align`, `match` and `subtract` in this order, the decorrelation between the last two.
    """

    config: Any
    ConfigClass = PairSubtractConfig
    algorithm: ClassVar[str]
    whitens: ClassVar[bool] = False
    """Whether its differences are white without the decorrelation."""

    def prepare(self, exposure: Exposure) -> Exposure:
        """An image in the unit that the difference is to have."""
        return calibrated(exposure) if self.config.pixelUnit == "nJy" else exposure

    def align(
        self, science: Characterized, template: Characterized, *, requiredTemplateFraction: float
    ) -> tuple[AlignedTemplate, Registration | None]:
        """The template on the science grid, and the displacement that was measured between the stars.

        Parameters
        ----------
        science, template
            As characterized.
        requiredTemplateFraction
            Least fraction of the science pixels that the template must cover.

        Raises
        ------
        NoOverlapError
            If the template covers too little of the science image.
        """
        registration = None
        if self.config.doRefineAlignment:
            registration = register(
                science.stars,
                template.stars,
                science=science.exposure,
                template=template.exposure,
                options=options_of(self.config.alignment, Register),
            )
        warp = self.config.warp(requiredTemplateFraction=requiredTemplateFraction)
        return warp_onto(template.exposure, science.exposure, registration=registration, warp=warp), registration

    def match(
        self,
        science: Exposure,
        template: Exposure,
        stars: StarList,
        *,
        convolveTemplate: bool = True,
        isSelected: bool = False,
    ) -> Match:
        """Fit the matching kernel to stars.

        Parameters
        ----------
        science, template
            On one grid.
        stars
            Sources of the science image.
        convolveTemplate
            Which image is convolved, where the configuration leaves it to the main task.
        isSelected
            Whether the stars were chosen already.

        Raises
        ------
        TooFewStarsError
            If there are not enough usable stars.
        """
        algorithm = self.config.matcher(convolveTemplate=convolveTemplate, isSelected=isSelected)
        found = match(science, template, stars, algorithm=algorithm)
        self.metadata["basisName"] = self.config.kernel.name
        self.metadata["spatialKernelSum"] = found.kernel_sum
        self.metadata["spatialKernelOrder"] = found.spatial_order
        self.metadata["numCandidates"] = len(found.candidates)
        self.metadata["numGoodCandidates"] = int(found.candidates.kept.sum())
        self.metadata["convolved"] = found.convolved
        return found

    def subtract(
        self, science: Exposure, template: Exposure, match: Match, whitening: SpatialKernel | None = None
    ) -> Difference:
        """Science minus template.

        Parameters
        ----------
        science, template
            On one grid.
        match
            From `match`.
        whitening
            From the decorrelation; None leaves the noise correlated.

        Raises
        ------
        BadSubtractionError
            If too much is left of the stars, and the configuration asks for that to be an error.
        """
        difference = subtract(
            science,
            template,
            match.kernel,
            match.background,
            convolved=match.convolved,
            whitening=whitening,
            relative_error=match.relative_error,
            stars=(match.candidates.x[match.candidates.kept], match.candidates.y[match.candidates.kept]),
            algorithm=self.config.subtractor(),
        )
        self._judge(difference, science, template, match)
        return difference

    def _judge(self, difference: Difference, science: Exposure, template: Exposure, match: Match) -> None:
        """Tell how deep the images are and what is left of the stars; refuse what is no subtraction."""
        images = {"science": science, "template": template, "difference": difference.exposure}
        depths = limiting_magnitudes(
            science, template, difference, widths={name: fwhm_of(image) for name, image in images.items()}
        )
        for name, key in (("science", "science"), ("template", "template"), ("difference", "diffim")):
            if depths[name] is not None:
                self.metadata[f"{key}LimitingMagnitude"] = float(depths[name])
        found = footprint_ratios(difference, science, match)
        self.metadata["differenceFootprintRatioMean"] = found.mean
        self.metadata["differenceFootprintRatioStd"] = found.std
        limits = self.config.check()
        if limits is not None:
            refuse_bad_subtraction(found, limits=limits, name=science.name)

    def score(
        self,
        science: Exposure,
        template: Exposure,
        stars: StarList,
        match: Match,
        difference: Difference,
        *,
        useGaussian: bool = False,
        decorrelator: AbstractDecorrelator | None = None,
        registration: Registration | None = None,
    ) -> Exposure:
        """A score image: the likelihood, at every pixel, of a point source that changed.

        Parameters
        ----------
        science, template, stars, match, difference
            As they were, and as they came out.
        useGaussian
            Convolve the science image with a Gaussian of its PSF's width, not with the PSF.
        decorrelator
            What whitens the noise of the likelihood; None leaves it.
        registration
            From `align`: its error is part of the noise at stars.
        """
        recipe = Recipe(
            matcher=self.config.matcher(convolveTemplate=True),
            subtractor=self.config.subtractor(),
            decorrelator=decorrelator,
            preconvolution=GaussianFilter() if useGaussian else PsfFilter(),
        )
        error = 0.0 if registration is None else registration.error_px
        return score_image(science, template, stars, match, difference, recipe, registration_error_px=error)


class ImagePsfMatchConfig(PairSubtractConfig):
    """Config of ``al``."""

    def subtractor(self) -> AbstractSubtractor:
        """The kernel on one side."""
        return OneSided()


class ImagePsfMatchTask(PairSubtractTask):
    """Alard-Lupton: one image is convolved with a matching kernel."""

    config: Any
    ConfigClass = ImagePsfMatchConfig
    _DefaultName = "imagePsfMatch"
    algorithm = "AL"


class ZogyFilterConfig(OptionConfig):
    """Parameters of the two filters of proper subtraction."""

    psfs: Any = option(Zogy, "psfs")
    cells: Any = option(Zogy, "cells")
    order: Any = option(Zogy, "order")
    filterHalfSize: Any = option(Zogy, "filter_half_px")
    maxPsfCentroidDist: Any = option(Zogy, "max_psf_offset_px")
    scaleByCalibration: Any = Field(
        dtype=bool, default=False, doc="Bring both images to nJy by their calibrations first; the match tells the rest."
    )
    templateFluxScaling: Any = fixed(1.0, "Flux scale of the template.", "the match tells it")
    scienceFluxScaling: Any = fixed(1.0, "Flux scale of the science image.", "the difference has that scale")
    correctBackground: Any = idle(False, "Subtract a mean.", "the sky is out, and what the match finds of it")
    doSpatialGrid: Any = idle(False, "Let the filters vary, in cells.", "they follow both PSFs smoothly")
    gridInnerSize: Any = idle(8, "Size of a cell.", "there are no cells that would leave seams")
    inImageSpace: Any = idle(False, "Filter in pixels.", "the filters are smooth fields of small kernels")
    padSize: Any = idle(7, "Padding in pixels.", "the filters have the size that they need")
    doTrimKernels: Any = idle(False, "Trim the filters.", "the filters have the size that they need")
    doFilterPsfs: Any = idle(True, "Smooth the PSF images.", "PSF models have no noisy borders")


class ZogyImagePsfMatchConfig(PairSubtractConfig):
    """Config of ``zogy``; the kernel is fitted too, and tells flux ratio and background."""

    zogyConfig: Any = ConfigField(doc="The two filters.", dtype=ZogyFilterConfig)

    def subtractor(self) -> AbstractSubtractor:
        """The two filters."""
        return options_of(self.zogyConfig, Zogy)

    @property
    def pixelUnit(self) -> Literal["science", "nJy"]:
        """Unit of the difference."""
        return "nJy" if self.zogyConfig.scaleByCalibration else "science"


class ZogyImagePsfMatchTask(PairSubtractTask):
    """Proper image subtraction: each image is filtered with what the PSF of the other asks for."""

    config: Any
    ConfigClass = ZogyImagePsfMatchConfig
    _DefaultName = "zogyImagePsfMatch"
    algorithm = "ZOGY"
    whitens = True


subtractAlgorithmRegistry.register("al", ImagePsfMatchTask)
subtractAlgorithmRegistry.register("zogy", ZogyImagePsfMatchTask)
