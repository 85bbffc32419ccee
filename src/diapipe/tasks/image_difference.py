"""ImageDifferenceTask: subtract a template from a science image, find and measure what changed, through subtasks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from astropy.table import Table
from lsst.pipe.base import PipelineTask, Struct

from diapipe.catalogs.matching import with_matches
from diapipe.catalogs.source_tables import reference_list
from diapipe.catalogs.sources import ReferenceList
from diapipe.catalogs.stars import StarList
from diapipe.errors import UsageError
from diapipe.images import Detections, Difference, Exposure, add_background
from diapipe.images.sky import pixel_scale_deg
from diapipe.steps.characterize import Characterized, characterize
from diapipe.steps.detect import detect
from diapipe.steps.match import Match
from diapipe.steps.template import AlignedTemplate, SipRegistration
from diapipe.steps.template.gather import TemplateInput
from diapipe.tasks.ids import IdFactory, identifiers
from diapipe.tasks.image_difference_config import ImageDifferenceConfig
from diapipe.tasks.kernel_sources import REFERENCE_CURE, ChosenSources, choose, sources_of
from diapipe.tasks.plain_sources import given_difference, source_table_of_peaks
from diapipe.tasks.products import datasets, write
from diapipe.tasks.rules import idle_settings

_SUBTASKS = (
    *("getTemplate", "scaleVariance", "sourceSelector", "astrometer", "register", "subtract", "decorrelate"),
    *("detection", "skySources", "measurement", "applyApCorr", "forcedMeasurement"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """Both images as characterized; the template is None where a finished difference is given without one."""

    science: Characterized
    template: Characterized | None
    registration: SipRegistration | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """A difference and what it was made of."""

    difference: Difference
    aligned: AlignedTemplate | None = None
    match: Match | None = None
    result: Struct | None = None


class _Lines(logging.Handler):
    """Puts log records into a list, as lines."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        self.lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


class ImageDifferenceTask(PipelineTask):
    """Subtract a template from a science image, find and measure what changed.

    Parameters
    ----------
    butler
        Not needed; kept for the older signature.
    refCatalog
        Reference catalogue as a table, for kernelSourcesFromRef, doSelectDcrCatalog, doSelectVariableCatalog and
        doMatchSources.
    **kwargs
        ``config``, ``name``, ``log``, as for every Task.

    Raises
    ------
    SettingsError
        If the configuration contradicts itself.
    """

    config: Any
    getTemplate: Any
    scaleVariance: Any
    sourceSelector: Any
    astrometer: Any
    register: Any
    subtract: Any
    decorrelate: Any
    detection: Any
    skySources: Any
    measurement: Any
    applyApCorr: Any
    forcedMeasurement: Any
    ConfigClass = ImageDifferenceConfig
    _DefaultName = "imageDifference"

    def __init__(self, butler: Any = None, *, refCatalog: Table | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.refCatalog = refCatalog
        self._lines: list[str] = []
        for name in _SUBTASKS:
            self.makeSubtask(name)
        for sentence in idle_settings(self.config):
            self.log.info(sentence)

    def run(
        self,
        exposure: Exposure | None = None,
        selectSources: Table | None = None,
        templateExposure: Exposure | Sequence[TemplateInput] | None = None,
        templateSources: Table | None = None,
        idFactory: Callable[[], int] | None = None,
        calexpBackgroundExposure: Exposure | None = None,
        subtractedExposure: Difference | Exposure | None = None,
    ) -> Struct:
        """Subtract, detect, measure, as the configuration says; nothing that is given is changed.

        Parameters
        ----------
        exposure
            Science image.
        selectSources
            Its sources, from which the stars of the kernel are chosen; found on the image where left out.
        templateExposure
            On any grid, or what getTemplate is to make it of: `CoaddPatch` objects. With doSubtract = False it may be
            left out.
        templateSources
            Sources of the template; found on it where left out.
        idFactory
            Gives identifiers; those of visit and detector where left out.
        calexpBackgroundExposure
            Sky that was taken out of the science image, for doAddCalexpBackground.
        subtractedExposure
            A finished difference, for doSubtract = False.

        Returns
        -------
        Struct
            ``subtractedExposure``, ``scoreExposure``, ``warpedExposure``, ``matchedExposure``, ``subtractRes``,
            ``diaSources``, ``selectSources``; None where the configuration makes none.

        Raises
        ------
        UsageError
            If an image that the configuration needs is not given.
        InputError, NoWorkError
            If an image cannot be used, or no difference can be made of them.
        """
        with self._recording():
            return self._run(
                exposure,
                selectSources,
                templateExposure,
                templateSources,
                idFactory,
                calexpBackgroundExposure,
                subtractedExposure,
            )

    def products(self, result: Struct) -> dict[str, Any]:
        """What of a result is to be written, by product, as `diapipe.tasks.products.datasets` names them."""
        return datasets(self.config, result, metadata=self.getFullMetadata(), log=self._lines)

    def write(self, result: Struct, folder: Path) -> dict[str, Path]:
        """Write these into a folder; file by product.

        Raises
        ------
        WriteError
            If a file cannot be written.
        """
        return write(self.config, self.products(result), folder)

    @contextmanager
    def _recording(self) -> Iterator[None]:
        """Keep the lines that the task and its subtasks log."""
        self._lines.clear()
        handler = _Lines(self._lines)
        logger = logging.getLogger(self.log.name)
        logger.addHandler(handler)
        try:
            yield
        finally:
            logger.removeHandler(handler)

    def _run(
        self,
        exposure: Exposure | None,
        selectSources: Table | None,
        templateExposure: Exposure | Sequence[TemplateInput] | None,
        templateSources: Table | None,
        idFactory: Callable[[], int] | None,
        calexpBackgroundExposure: Exposure | None,
        subtractedExposure: Difference | Exposure | None,
    ) -> Struct:
        """The run itself."""
        self._require(exposure, templateExposure, subtractedExposure, calexpBackgroundExposure)
        assert exposure is not None
        if self.config.doAddCalexpBackground and calexpBackgroundExposure is not None:
            exposure = add_background(exposure, calexpBackgroundExposure)
        if templateExposure is not None and not isinstance(templateExposure, Exposure):
            templateExposure = self._template_of(exposure, templateExposure)
        pair = self._pair(exposure, templateExposure)
        if self.config.doSubtract:
            if self.config.doUseRegister:
                pair = self._registered(pair)
            chosen = self._chosen(pair, selectSources, templateSources)
            selectSources = selectSources if chosen.table is None else chosen.table
            made = self._subtracted(pair, chosen.stars)
        else:
            assert subtractedExposure is not None
            made = _Made(difference=given_difference(subtractedExposure))
        if self.config.doScaleDiffimVariance:
            made = replace(made, difference=self._with_scaled_variance(made.difference))
        diaSources = None
        if self.config.doDetection:
            detections = self.detection.run(
                made.difference.exposure,
                mergeSigns=self.config.doMerge,
                growFootprint=self.config.growFootprint if self.config.doMerge else 0,
            ).detections
            made = replace(made, difference=_flagged(made.difference, detections))
            diaSources = self._sources(pair, made, detections, idFactory)
            if self.config.doMatchSources:
                diaSources = self._matched_by_position(diaSources, pair.science, selectSources)
        return self._results(made, diaSources, selectSources)

    def _require(self, exposure: Any, template: Any, difference: Any, background: Any) -> None:
        """Refuse to run without what the configuration needs."""
        if exposure is None:
            raise UsageError("run needs the science image: give exposure")
        if self.config.doSubtract and template is None:
            raise UsageError("doSubtract = True needs a template: give templateExposure")
        if not self.config.doSubtract and difference is None:
            raise UsageError("doSubtract = False needs a finished difference: give subtractedExposure")
        if self.config.doAddCalexpBackground and background is None:
            raise UsageError("doAddCalexpBackground = True needs the sky to add: give calexpBackgroundExposure")

    def _pair(self, exposure: Exposure, template: Exposure | None) -> _Pair:
        """Both images with everything known about them."""
        if template is not None and self.config.doScaleTemplateVariance and template.has_variance:
            template = self._template_with_scaled_variance(template)
        return _Pair(science=characterize(exposure), template=None if template is None else characterize(template))

    def _chosen(self, pair: _Pair, selectSources: Table | None, templateSources: Table | None) -> ChosenSources:
        """The stars that the kernel is fitted to; without doSelectSources the match chooses among all."""
        if not self.config.doSelectSources or pair.template is None:
            return ChosenSources(pair.science.stars)
        return choose(
            self,
            pair.science,
            pair.template,
            selectSources=selectSources,
            templateSources=templateSources,
            reference=self._reference(),
            registered=self.config.doUseRegister,
        )

    def _template_of(self, exposure: Exposure, inputs: Sequence[TemplateInput]) -> Exposure:
        """The template that getTemplate makes of patches."""
        found = self.getTemplate.run(
            exposure, inputs, requiredTemplateFraction=self.config.requiredTemplateFraction
        ).exposure
        assert isinstance(found, Exposure)
        return found

    def _registered(self, pair: _Pair) -> _Pair:
        """The pair with the template's WCS fitted anew."""
        assert pair.template is not None
        science, template = pair.science, pair.template
        found = self.register.run(
            science.exposure,
            template.exposure,
            science.stars,
            template.stars,
            sipOrder=self.config.templateSipOrder,
        )
        if self.config.doDebugRegister:
            reference = self._reference()
            if reference is None:
                raise UsageError(f"doDebugRegister = True needs a reference catalogue: {REFERENCE_CURE}")
            colours = self.config.sourceSelector["diacatalog"].selector()
            for name, value in self.register.debugOffsets(found.registration, reference, colours).items():
                self.metadata[name] = value
        return replace(pair, template=replace(template, exposure=found.exposure), registration=found.registration)

    def _reference(self) -> ReferenceList | None:
        """The reference catalogue, if one was given."""
        return None if self.refCatalog is None else reference_list(self.refCatalog)

    def _subtracted(self, pair: _Pair, stars: StarList) -> _Made:
        """Align, match, whiten, subtract."""
        assert pair.template is not None
        self.metadata["psfMatchingAlgorithm"] = self.subtract.algorithm
        aligned, registration = self.subtract.align(
            pair.science, pair.template, requiredTemplateFraction=self.config.requiredTemplateFraction
        )
        science, template = pair.science.exposure, aligned.exposure
        match = self.subtract.match(science, template, stars, convolveTemplate=self.config.convolveTemplate)
        whitening = None
        if self.config.doDecorrelation and not self.subtract.whitens:
            found = self.decorrelate.run(science, template, match, spatiallyVarying=self.config.doSpatiallyVarying)
            whitening = found.whitening
        difference = self.subtract.subtract(science, template, match, whitening)
        result = Struct(
            match=match,
            registration=registration,
            sipRegistration=pair.registration,
            aligned=aligned,
            psfMatchingKernel=match.kernel,
            backgroundModel=match.background,
            science=pair.science,
            template=pair.template,
        )
        return _Made(difference=difference, aligned=aligned, match=match, result=result)

    def _sources(self, pair: _Pair, made: _Made, detections: Detections, factory: Callable[[], int] | None) -> Table:
        """The table of what was detected, measured as far as the configuration says."""
        exposure, difference = pair.science.exposure, made.difference
        if self.config.doMeasurement:
            table = self.measurement.run(
                difference,
                detections,
                exposure,
                stars=pair.science.stars,
                fitDipoles=self.config.doDipoleFitting,
            ).diaSources
        else:
            table = source_table_of_peaks(difference.exposure, detections)
        if self.config.doForcedMeasurement:
            table = self.forcedMeasurement.run(table, difference, exposure).catalog
        if self.config.doMeasurement and self.config.doApCorr:
            table = self.applyApCorr.run(table, difference.exposure, exposure).catalog
        if factory is None:
            factory = IdFactory.of(exposure)
        table["diaSourceId"] = identifiers(factory, len(table))
        return table

    def _template_with_scaled_variance(self, template: Exposure) -> Exposure:
        """The template with the variance that its pixels show where there are no sources."""
        known, given = characterize(template).exposure, template.masked_image
        sky = replace(given, mask=detect(known).score.mask)
        scaled = self.scaleVariance.run(replace(template, masked_image=sky))
        self.metadata["scaleTemplateVarianceFactor"] = scaled.factor
        return replace(template, masked_image=replace(given, variance=scaled.exposure.masked_image.variance))

    def _with_scaled_variance(self, difference: Difference) -> Difference:
        """The difference with the variance that its pixels show."""
        scaled = self.scaleVariance.run(difference.exposure)
        self.metadata["scaleDiffimVarianceFactor"] = scaled.factor
        return replace(difference, exposure=scaled.exposure, variance_factor=difference.variance_factor * scaled.factor)

    def _matched_by_position(self, diaSources: Table, science: Characterized, selectSources: Table | None) -> Table:
        """The table with what stands at each place on the science image and in the reference catalogue."""
        wcs = science.exposure.wcs
        sources = sources_of(science, selectSources, name="selectSources")
        scale = None if wcs is None else 3600.0 * pixel_scale_deg(wcs)
        reference = self._reference()
        matched = with_matches(
            diaSources,
            sources=None if scale is None else sources,
            reference=reference,
            radius_arcsec=self.config.diaSourceMatchRadius,
            pixel_scale_arcsec=scale,
        )
        for column, catalogue in (("srcMatchId", sources), ("refMatchId", reference)):
            if catalogue is not None and not (matched[column] > 0).any():
                self.log.warning("none of %d DIA sources has a match for %s", len(matched), column)
        return matched

    def _results(self, made: _Made, diaSources: Table | None, selectSources: Table | None) -> Struct:
        """What `run` returns."""
        difference, aligned, result = made.difference, made.aligned, made.result
        if result is not None:
            result.difference = difference
        matched = difference.matched_template
        return Struct(
            subtractedExposure=difference.exposure,
            scoreExposure=None,
            warpedExposure=None if aligned is None else aligned.exposure,
            matchedExposure=None
            if aligned is None or matched is None or self.subtract.whitens
            else replace(aligned.exposure, masked_image=matched, psf=difference.exposure.psf),
            subtractRes=result,
            diaSources=diaSources,
            selectSources=selectSources,
        )


def _flagged(difference: Difference, detections: Detections) -> Difference:
    """The difference with what was detected in its mask."""
    pixels = replace(difference.exposure.masked_image, mask=detections.score.mask)
    return replace(difference, exposure=replace(difference.exposure, masked_image=pixels))
