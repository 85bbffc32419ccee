"""ImageDifferenceTask: subtract a template from a science image, find and measure what changed, through subtasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from astropy.table import Table
from lsst.pipe.base import PipelineTask, Struct

from diapipe.catalogs.matching import association_counts, with_matches
from diapipe.catalogs.source_tables import reference_list
from diapipe.catalogs.sources import ReferenceList
from diapipe.errors import UsageError
from diapipe.flow import flagged, masked_as
from diapipe.images import Detections, Difference, Exposure, add_background
from diapipe.images.sky import pixel_scale_deg
from diapipe.steps.characterize import Characterized, characterize
from diapipe.steps.classify import BoostedTrees, classify
from diapipe.steps.force import with_static_error
from diapipe.steps.template import homogenize
from diapipe.steps.template.gather import TemplateInput
from diapipe.tasks.connections import VISIT, dataset_names, template_source
from diapipe.tasks.data_refs import datasets_of
from diapipe.tasks.difference_inputs import run_arguments
from diapipe.tasks.faded_sources import with_faded
from diapipe.tasks.ids import IdFactory, renumbered
from diapipe.tasks.image_difference_config import ImageDifferenceConfig
from diapipe.tasks.kernel_sources import REFERENCE_CURE, ChosenSources, choose, sources_of
from diapipe.tasks.known import is_known, known
from diapipe.tasks.metrics import with_metrics
from diapipe.tasks.no_work import no_work_found
from diapipe.tasks.plain_sources import given_difference, source_table_of_peaks
from diapipe.tasks.products import datasets, write
from diapipe.tasks.quality import quality
from diapipe.tasks.rules import idle_settings
from diapipe.tasks.run_log import RunLog
from diapipe.tasks.stages import Made, Pair

_SUBTASKS = (
    *("getTemplate", "scaleVariance", "sourceSelector", "astrometer", "register", "subtract", "decorrelate"),
    *("detection", "skySources", "measurement", "applyApCorr", "forcedMeasurement"),
)

type Template = Exposure | Sequence[TemplateInput]
"""A template, or what one is made of."""


class ImageDifferenceTask(PipelineTask):
    """Subtract a template from a science image, find and measure what changed.

    Parameters
    ----------
    butler
        Not needed; kept for the older signature.
    refCatalog
        Reference catalogue as a table, for kernelSourcesFromRef, doSelectDcrCatalog, doSelectVariableCatalog,
        doDebugRegister and doMatchSources.
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
        self.injectedSources: Table | None = None
        self.runLog = RunLog(self.log.name)
        for name in _SUBTASKS:
            self.makeSubtask(name)
        for sentence in idle_settings(self.config):
            self.log.info(sentence)

    def run(
        self,
        exposure: Exposure | None = None,
        selectSources: Table | None = None,
        templateExposure: Template | None = None,
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
        self._require(exposure, templateExposure, subtractedExposure, calexpBackgroundExposure)
        assert exposure is not None
        with self.runLog.recording():
            pair = self._pair(exposure, templateExposure, calexpBackgroundExposure, selectSources)
            if self.config.doSubtract:
                pair, made = self._subtracted(pair, selectSources, templateSources)
            else:
                assert subtractedExposure is not None
                made = Made(difference=given_difference(subtractedExposure))
            if self.config.doScaleDiffimVariance:
                made = replace(made, difference=self._with_scaled_variance(made.difference))
            made = self._with_score(pair, self._cleaned(made))
            for name, value in quality(made.difference, pair.science.stars, made.registration).items():
                self.metadata[name] = value
            diaSources = None
            if self.config.doDetection:
                detections = self._detected(made)
                made = replace(made, difference=flagged(made.difference, detections))
                diaSources = self._measured(pair, made, detections, idFactory)
                diaSources = self._matched_by_position(diaSources, pair.science, selectSources)
            return self._results(pair, made, diaSources, selectSources)

    def runQuantum(self, butlerQC: Any, inputRefs: Any, outputRefs: Any) -> None:
        """Read, run, write; coadds are read where they overlap the science image.

        Raises
        ------
        lsst.pipe.base.NoWorkFound
            If no difference can be made of the data; the reason is in the metadata.
        """
        with no_work_found(self.metadata):
            given = butlerQC.get(inputRefs)
            made = self.products(self._run_on(given, butlerQC.quantum.dataId))
        for name in set(outputRefs.keys()) & made.keys():
            butlerQC.put(made[name], getattr(outputRefs, name))

    def runDataRef(self, sensorRef: Any, templateIdList: Sequence[Mapping[str, Any]] | None = None) -> Struct:
        """Read, run and write the datasets of one detector, for callers of the older task.

        Parameters
        ----------
        sensorRef
            `diapipe.tasks.data_refs.DataRef` of a detector of a visit.
        templateIdList
            For GetCalexpAsTemplateTask: data IDs of which the first with another visit is the template.

        Returns
        -------
        Struct
            What `run` returns.

        Raises
        ------
        InputError, NoWorkError
            If an image cannot be used, or no difference can be made of them.
        """
        result = self._run_on(datasets_of(self.config, sensorRef, templateIdList or ()), sensorRef.full_id)
        names = dataset_names(self.config)
        for name, value in self.products(result).items():
            if name in names:
                sensorRef.put(value, names[name])
        return result

    def _run_on(self, given: Mapping[str, Any], dataId: Any) -> Struct:
        """Run on datasets by connection."""
        self.refCatalog = given.get("refCatalog", self.refCatalog)
        self.injectedSources = given.get("injectedSources")
        if self.config.doAddCalexpBackground and given.get("calexpBackgroundExposure") is None:
            self.log.info("no sky was taken out of the science image that doAddCalexpBackground could give back")
        return self.run(**run_arguments(self.config, given, dataId))

    def products(self, result: Struct) -> dict[str, Any]:
        """What of a result is to be written, by product, as `diapipe.tasks.products.datasets` names them."""
        return datasets(self.config, result, metadata=self.getFullMetadata(), log=self.runLog.lines)

    def write(self, result: Struct, folder: Path) -> dict[str, Path]:
        """Write these into a folder; file by product.

        Raises
        ------
        WriteError
            If a file cannot be written.
        """
        return write(self.config, self.products(result), folder)

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

    def _pair(
        self, science: Exposure, template: Template | None, background: Exposure | None, sources: Table | None
    ) -> Pair:
        """Both images with everything known about them."""
        if self.config.doAddCalexpBackground and background is not None:
            science, sources = add_background(science, background), None
        if template is None:
            return Pair(science=_characterized(science, sources), template=None)
        if isinstance(template, Exposure):
            image = template
        else:
            fraction = self.config.requiredTemplateFraction
            image = self.getTemplate.run(science, template, requiredTemplateFraction=fraction).exposure
        self._tell_of_own_light(science, image)
        if self.injectedSources is not None:
            image = with_faded(image, self.injectedSources, science.info)
        if self.config.doScaleTemplateVariance and image.has_variance:
            image = self._template_with_scaled_variance(image)
        science, image = self.subtract.prepare(science), self.subtract.prepare(image)
        return Pair(science=_characterized(science, sources), template=characterize(image))

    def _tell_of_own_light(self, science: Exposure, template: Exposure) -> None:
        """Say so where a visit is in part subtracted from itself, less what was clipped of it."""
        self.metadata["scienceInTemplate"] = science.info.visit in template.inputs
        if science.info.visit in template.inputs:
            self.log.warning(
                "visit %d is one of the %d of its template: what changed in it is fainter by its weight there",
                science.info.visit,
                len(template.inputs),
            )

    def _template_with_scaled_variance(self, template: Exposure) -> Exposure:
        """The template with the variance that its pixels show."""
        scaled = self.scaleVariance.run(template)
        self.metadata["scaleTemplateVarianceFactor"] = scaled.factor
        return cast(Exposure, scaled.exposure)

    def _subtracted(self, pair: Pair, selectSources: Table | None, templateSources: Table | None) -> tuple[Pair, Made]:
        """Register, choose stars, align, match, whiten, subtract."""
        assert pair.template is not None
        self.metadata["psfMatchingAlgorithm"] = self.subtract.algorithm
        if self.config.doUseRegister:
            pair = self._registered(pair, pair.template)
        assert pair.template is not None
        chosen = self._chosen(pair, pair.template, selectSources, templateSources)
        aligned, registration = self.subtract.align(
            pair.science, pair.template, requiredTemplateFraction=self.config.requiredTemplateFraction
        )
        aligned = replace(aligned, exposure=homogenize(aligned.exposure))
        science, template = pair.science.exposure, aligned.exposure
        match = self.subtract.match(
            science,
            template,
            chosen.stars,
            convolveTemplate=self.config.convolveTemplate,
            isSelected=chosen.selection is not None,
        )
        whitening = None
        if self.config.doDecorrelation and not self.subtract.whitens:
            found = self.decorrelate.run(science, template, match, spatiallyVarying=self.config.doSpatiallyVarying)
            whitening = found.whitening
        difference = with_static_error(self.subtract.subtract(science, template, match, whitening), pair.science.stars)
        self.metadata["staticError"] = difference.static_error
        of_visit = template_source(self.config) == VISIT  # its calibration is its own, not that of the season
        if self.subtract.config.doScaleByKernel and not of_visit:
            difference = self.subtract.scaleByKernel(difference, template, match, numSources=len(pair.science.stars))
        return pair, Made(difference=difference, chosen=chosen, aligned=aligned, registration=registration, match=match)

    def _registered(self, pair: Pair, template: Characterized) -> Pair:
        """The pair with the template's WCS fitted anew."""
        science, order = pair.science, self.config.templateSipOrder
        found = self.register.run(science.exposure, template.exposure, science.stars, template.stars, sipOrder=order)
        if self.config.doDebugRegister:
            reference = self._reference()
            if reference is None:
                raise UsageError(f"doDebugRegister = True needs a reference catalogue: {REFERENCE_CURE}")
            colours = self.config.sourceSelector["diacatalog"].selector()
            for name, value in self.register.debugOffsets(found.registration, reference, colours).items():
                self.metadata[name] = value
        return replace(pair, template=replace(template, exposure=found.exposure), sip_registration=found.registration)

    def _chosen(
        self, pair: Pair, template: Characterized, selectSources: Table | None, templateSources: Table | None
    ) -> ChosenSources:
        """The stars that the kernel is fitted to; without doSelectSources the match chooses among all."""
        if not self.config.doSelectSources:
            return ChosenSources(pair.science.stars)
        return choose(
            self,
            pair.science,
            template,
            selectSources=selectSources,
            templateSources=templateSources,
            reference=self._reference(),
            registered=self.config.doUseRegister,
        )

    def _reference(self) -> ReferenceList | None:
        """The reference catalogue, if one was given."""
        return None if self.refCatalog is None else reference_list(self.refCatalog)

    def _with_scaled_variance(self, difference: Difference) -> Difference:
        """The difference with the variance that its pixels show."""
        scaled = self.scaleVariance.run(difference.exposure)
        self.metadata["scaleDiffimVarianceFactor"] = scaled.factor
        factor = difference.variance_factor * scaled.factor
        return replace(difference, exposure=scaled.exposure, variance_factor=factor)

    def _cleaned(self, made: Made) -> Made:
        """The same with cosmic rays and streaks flagged, where the detection does that."""
        if not self.config.doDetection or not hasattr(self.detection, "clean"):
            return made
        cleaned = self.detection.clean(made.difference)
        return replace(made, difference=cleaned.difference, cleaned=cleaned)

    def _with_score(self, pair: Pair, made: Made) -> Made:
        """The same with a score image, where one is asked for and can be made."""
        config = self.config
        if not config.useScoreImageDetection or made.match is None or made.aligned is None or made.chosen is None:
            return made
        whiten = getattr(config.decorrelate.value, "decorrelator", None) if config.doDecorrelation else None
        science = pair.science.exposure
        score = self.subtract.score(
            science if made.cleaned is None else masked_as(science, made.cleaned),
            made.aligned.exposure,
            made.chosen.stars,
            made.match,
            made.difference,
            useGaussian=config.useGaussianForPreConvolution,
            decorrelator=None if whiten is None else whiten(spatiallyVarying=config.doSpatiallyVarying),
            registration=made.registration,
        )
        return replace(made, score=score)

    def _detected(self, made: Made) -> Detections:
        """What is found on the score or on the difference."""
        searched = made.score or made.difference.exposure
        found = self.detection.run(
            searched,
            isScore=made.score is not None,
            mergeSigns=self.config.doMerge,
            growFootprint=self.config.growFootprint if self.config.doMerge else 0,
        )
        detections: Detections = found.detections
        return detections

    def _measured(self, pair: Pair, made: Made, detections: Detections, factory: Callable[[], int] | None) -> Table:
        """The table of what was detected, measured as far as the configuration says."""
        config, exposure, difference = self.config, pair.science.exposure, made.difference
        sky = None
        if config.doSkySources:
            info = exposure.info
            sky = self.skySources.run(detections, seed=(abs(info.visit), abs(info.detector))).footprints
        if config.doMeasurement:
            table = self.measurement.run(
                difference,
                detections,
                exposure,
                templatePsf=None if made.aligned is None else made.aligned.exposure.psf,
                stars=pair.science.stars,
                fitDipoles=config.doDipoleFitting,
                skyPlaces=sky,
            ).diaSources
        else:
            table = source_table_of_peaks(difference.exposure, detections, sky=sky)
        if config.doForcedMeasurement:
            table = self.forcedMeasurement.run(table, difference, exposure).catalog
        if config.doMeasurement and config.doApCorr:
            table = self.applyApCorr.run(table, difference.exposure, exposure).catalog
        if config.doMeasurement and config.doReliability:
            table = classify(difference, table, science=exposure, algorithm=BoostedTrees())
        renumbered(table, factory or IdFactory.of(exposure))
        return table

    def _matched_by_position(self, diaSources: Table, science: Characterized, selectSources: Table | None) -> Table:
        """The table with what stands at each place on the science image and in the reference catalogue."""
        if not self.config.doMatchSources:
            return diaSources
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
        for name, value in association_counts(matched).items():
            self.metadata[name] = value
        return matched

    def _results(self, pair: Pair, made: Made, diaSources: Table | None, selectSources: Table | None) -> Struct:
        """What `run` returns."""
        difference, aligned, match, chosen = made.difference, made.aligned, made.match, made.chosen
        warped = matched = result = None
        if aligned is not None and match is not None and chosen is not None:
            warped = aligned.exposure
            planes = difference.matched_template
            if planes is not None and not self.subtract.whitens:
                matched = replace(warped, masked_image=planes, psf=difference.exposure.psf)
            selectSources = chosen.table if selectSources is None else selectSources
            if self.config.doAddMetrics and chosen.selection is not None:
                selectSources = self._with_metrics(pair, made, chosen, aligned.exposure)
            result = Struct(
                difference=difference,
                match=match,
                registration=made.registration,
                sipRegistration=pair.sip_registration,
                aligned=aligned,
                psfMatchingKernel=match.kernel,
                backgroundModel=match.background,
                selection=chosen.selection,
                science=pair.science,
                template=pair.template,
            )
        return Struct(
            subtractedExposure=difference.exposure,
            scoreExposure=made.score,
            warpedExposure=warped,
            matchedExposure=matched,
            subtractRes=result,
            diaSources=diaSources,
            selectSources=selectSources,
        )

    def _with_metrics(self, pair: Pair, made: Made, chosen: ChosenSources, template: Exposure) -> Table:
        """The table of sources with how well each star of the kernel was subtracted."""
        assert chosen.selection is not None
        table, averages = with_metrics(
            chosen.selection,
            made.match,
            pair.science.exposure,
            template,
            algorithm=self.subtract.config.matcher(convolveTemplate=self.config.convolveTemplate, isSelected=True),
            registration=pair.sip_registration,
        )
        for name, value in averages.items():
            self.metadata[name] = value
        return table


def _characterized(science: Exposure, sources: Table | None) -> Characterized:
    """Everything about the science image; what `CharacterizeTask` found and wrote is not sought again."""
    if sources is not None and is_known(science, sources) and sources["psfFlux"].unit in (None, science.unit):
        return known(science, sources)
    return characterize(science)
