"""Configs of the subtasks that subtract: how a template is aligned, matched and subtracted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from lsst.pex.config import ChoiceField, ConfigChoiceField, ConfigField, Field

from diapipe.steps.calibrate import KernelScale
from diapipe.steps.match import AbstractMatcher, BrightestInCells, Given, Spread, StarMatcher
from diapipe.steps.match.candidates import AbstractCandidates
from diapipe.steps.subtract import AbstractSubtractor, OneSided, Zogy
from diapipe.steps.summarize import SubtractionCheck
from diapipe.steps.template import AbstractWarp, LanczosWarp, Register, WienerWarp
from diapipe.tasks.fields import OptionConfig, fixed, idle, option, options_of, parameters_of
from diapipe.tasks.model_psf_match_config import ModelPsfMatchConfig
from diapipe.tasks.psf_match_config import PsfMatchConfig, PsfMatchConfigAL, PsfMatchConfigDF

KERNELS = {"AL": PsfMatchConfigAL, "DF": PsfMatchConfigDF, "PSF": ModelPsfMatchConfig}
"""Bases of the matching kernel by name."""


class WarpingConfig(OptionConfig):
    """How the template is brought onto the science grid."""

    warpingKernelName: Any = ChoiceField(
        doc="How it is interpolated.",
        dtype=str,
        default="wiener",
        allowed={"wiener": "with the least error for the noise and the PSFs of stars", "lanczos3": "by Lanczos-3"},
    )
    maxHoleShare: Any = option(WienerWarp, "max_hole_share")
    stretchFromScale: Any = option(WienerWarp, "stretch_from_scale")
    sameGrid: Any = option(WienerWarp, "same_grid_px")
    maskWarpingKernelName: Any = idle("bilinear", "How masks are interpolated.", "a flag spreads as its pixel does")
    interpLength: Any = idle(10, "Mesh of the positions.", "positions are as exact as the WCS")
    cacheSize: Any = idle(1_000_000, "Kernels that are kept.", "each pixel has its own")

    def warp(self, *, requiredTemplateFraction: float) -> AbstractWarp:
        """The interpolation of the core."""
        values = parameters_of(self, WienerWarp) | {"required_template_fraction": requiredTemplateFraction}
        return LanczosWarp(**values) if self.warpingKernelName == "lanczos3" else WienerWarp(**values)


class AlignmentConfig(OptionConfig):
    """How the displacement that the WCSs leave between the images is measured at the stars."""

    searchRadius: Any = option(Register, "search_radius_px")
    matchRadius: Any = option(Register, "match_radius_px")
    maxOrder: Any = option(Register, "max_order")
    minSignalToNoise: Any = option(Register, "min_signal_to_noise")
    leastSignificance: Any = option(Register, "least_significance")


class KernelScaleConfig(OptionConfig):
    """How the calibration of the science image and that of the template, through the kernel, are weighed."""

    neighbourError: Any = option(KernelScale, "neighbour_error")
    leastStarError: Any = option(KernelScale, "least_star_error")
    leastKernelError: Any = option(KernelScale, "least_kernel_error")
    minStars: Any = option(KernelScale, "min_stars")
    maxStars: Any = option(KernelScale, "max_stars")
    maxDisagreement: Any = option(KernelScale, "max_disagreement_sigma")
    stampFwhm: Any = option(KernelScale, "stamp_fwhm")


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
        doc="Basis of the matching kernel: AL Gaussians times polynomials, DF free pixels, PSF without stars.",
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

    doScaleByKernel: Any = Field(
        doc="Correct the calibration of the difference by the kernel, which carries that of the template over.",
        dtype=bool,
        default=False,
    )
    scaleByKernel: Any = ConfigField(doc="How the two calibrations are weighed.", dtype=KernelScaleConfig)
    raiseOnBadSubtractionRatio: Any = Field(
        doc="Refuse a difference on which too much is left of the kernel's stars.", dtype=bool, default=False
    )
    badSubtractionRatioThreshold: Any = option(SubtractionCheck, "max_ratio")
    badSubtractionVariationThreshold: Any = option(SubtractionCheck, "max_scatter")

    def check(self) -> SubtractionCheck | None:
        """How much may be left of the stars; None for no limit."""
        return options_of(self, SubtractionCheck) if self.raiseOnBadSubtractionRatio else None

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
        kernel: PsfMatchConfig | ModelPsfMatchConfig = self.kernel.active
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


class ImagePsfMatchConfig(PairSubtractConfig):
    """Config of ``al``."""

    def subtractor(self) -> AbstractSubtractor:
        """The kernel on one side."""
        return OneSided()


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
    ignoreMaskPlanes: Any = idle(
        ["INTRP", "EDGE", "DETECTED", "SAT", "CR", "BAD", "NO_DATA", "DETECTED_NEGATIVE"],
        "Planes left out of the mean variance.",
        "the filters take the variance of the sky around, from pixels that can be used",
    )
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
