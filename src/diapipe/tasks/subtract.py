"""Subtasks that make a difference of two exposures: ``al`` and ``zogy``, by name in one registry."""

from __future__ import annotations

from typing import Any, ClassVar

from lsst.pex.config import makeRegistry
from lsst.pipe.base import Task

from diapipe.catalogs.stars import StarList
from diapipe.flow import score_image
from diapipe.images import Difference, Exposure, SpatialKernel
from diapipe.images.calibrated import calibrated
from diapipe.images.psf import SIGMA_TO_FWHM
from diapipe.recipe import Recipe
from diapipe.steps.calibrate import KernelScale, scale_of_difference
from diapipe.steps.characterize import Characterized
from diapipe.steps.decorrelate import AbstractDecorrelator
from diapipe.steps.match import Match, match
from diapipe.steps.subtract import GaussianFilter, PsfFilter, subtract
from diapipe.steps.summarize import (
    footprint_ratios,
    refuse_bad_subtraction,
)
from diapipe.steps.summarize.tally import limiting_magnitudes
from diapipe.steps.template import AlignedTemplate, Register, Registration, register, warp_onto
from diapipe.tasks.fields import options_of
from diapipe.tasks.subtract_config import ImagePsfMatchConfig, PairSubtractConfig, ZogyImagePsfMatchConfig

subtractAlgorithmRegistry = makeRegistry("Algorithms that subtract a template from a science image.")


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
        warp = self.config.warpingConfig.warp(requiredTemplateFraction=requiredTemplateFraction)
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

    def scaleByKernel(self, difference: Difference, template: Exposure, match: Match, *, numSources: int) -> Difference:
        """The difference on the scale of its template, as far as that is better known than its own.

        Parameters
        ----------
        difference, template, match
            As they came out, and the template before the match.
        numSources
            How many sources the science image has.
        """
        stars, kept = match.candidates, match.candidates.kept
        found = scale_of_difference(
            difference,
            template,
            x=stars.x[kept],
            y=stars.y[kept],
            flux=stars.flux[kept],
            n_sources=numSources,
            options=options_of(self.config.scaleByKernel, KernelScale),
        )
        if found is None:
            self.log.info("the kernel corrects no calibration: it needs stars, and counts of both images that have one")
            return difference
        for name, value in found.told().items():
            self.metadata[name] = value
        if not found.agree:
            self.log.warning(
                "the calibration of %s is %.3g times what the template says; the better known of the two counts alone",
                difference.exposure.name,
                found.stars / found.kernel,
            )
        return found.put_on(difference)

    def _judge(self, difference: Difference, science: Exposure, template: Exposure, match: Match) -> None:
        """Tell how deep the images are and what is left of the stars; refuse what is no subtraction."""
        images = {"science": science, "template": template, "difference": difference.exposure}
        widths = {name: fwhm_of(image) for name, image in images.items()}
        depths = limiting_magnitudes(science, template, difference, widths=widths)
        for name, key in (("science", "science"), ("template", "template"), ("difference", "diffim")):
            if depths[name] is not None:
                self.metadata[f"{key}LimitingMagnitude"] = float(depths[name])
            if (fwhm := widths[name]) is not None:
                self.metadata[f"{key}Fwhm"] = fwhm
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


class ImagePsfMatchTask(PairSubtractTask):
    """Alard-Lupton: one image is convolved with a matching kernel."""

    config: Any
    ConfigClass = ImagePsfMatchConfig
    _DefaultName = "imagePsfMatch"
    algorithm = "AL"


class ZogyImagePsfMatchTask(PairSubtractTask):
    """Proper image subtraction: each image is filtered with what the PSF of the other asks for."""

    config: Any
    ConfigClass = ZogyImagePsfMatchConfig
    _DefaultName = "zogyImagePsfMatch"
    algorithm = "ZOGY"
    whitens = True


subtractAlgorithmRegistry.register("al", ImagePsfMatchTask)
subtractAlgorithmRegistry.register("zogy", ZogyImagePsfMatchTask)
