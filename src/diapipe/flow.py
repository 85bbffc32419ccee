"""The science from end to end: two exposures in, a difference and its sources out. This file alone knows the order."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from astropy.table import Table

from diapipe.catalogs.stars import StarList
from diapipe.errors import InputError
from diapipe.images.calibrated import calibrated
from diapipe.images.coadd_patch import CoaddPatch
from diapipe.images.exposure import Difference, Exposure
from diapipe.images.mask import MaskPlane
from diapipe.images.psf import Psf
from diapipe.recipe import Recipe
from diapipe.steps.characterize import Characterized, characterize
from diapipe.steps.classify import classify
from diapipe.steps.clean import Cleaned, Streak, clean, mask_streaks
from diapipe.steps.decorrelate import decorrelate
from diapipe.steps.detect import Detections, detect, sky_sources
from diapipe.steps.force import with_static_error
from diapipe.steps.inject import InjectedPair, Injection, choose, given_on, inject_pair, plus_light, why_none
from diapipe.steps.match import Match, match
from diapipe.steps.measure import measure, with_sky_sources
from diapipe.steps.subtract import (
    can_be_matched,
    correlated,
    preconvolve,
    subtract,
)
from diapipe.steps.summarize import footprint_ratios, refuse_bad_subtraction, summarize
from diapipe.steps.template import (
    AlignedTemplate,
    MultiTract,
    Registration,
    homogenize,
    register,
    template_for,
    warp_onto,
)
from diapipe.steps.validate import Validation, judge, validate


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DifferenceResult:
    """Everything that the pair gave, from its parts to the summary.

    Attributes
    ----------
    science
        The science image as characterized.
    template
        What was measured on the template on its own grid; its pixels are in ``aligned``.
    registration
        How template pixels lie on science pixels beyond what the WCSs say.
    aligned
        The template on the science grid.
    match
        Kernel, background, candidates.
    difference
        Science minus matched template.
    score
        The score image that was searched, in counts with its variance; None where the difference was searched.
    cleaned
        What was masked beyond the masks that the images came with.
    detections, dia_sources
        What changed.
    summary
        Plain values and words, as in ``summary.json``.
    seconds
        Wall-clock time of each stage.
    validation
        What became of injected sources; None where there are none.
    """

    science: Characterized
    template: Characterized
    registration: Registration
    aligned: AlignedTemplate
    match: Match
    difference: Difference
    score: Exposure | None
    cleaned: Cleaned
    detections: Detections
    dia_sources: Table
    summary: dict[str, Any]
    seconds: dict[str, float]
    validation: Validation | None = None


def no_progress(stage: str) -> None:
    """Say nothing."""


class _Stopwatch:
    """Announces each stage and keeps how long it took."""

    def __init__(self, progress: Callable[[str], None]) -> None:
        self.progress = progress
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        self.progress(stage)
        begun = time.perf_counter()
        yield
        self.seconds[stage] = time.perf_counter() - begun


def difference_pair(
    science: Exposure,
    template: Exposure | Sequence[Exposure],
    *,
    recipe: Recipe | None = None,
    injections: Table | None = None,
    progress: Callable[[str], None] = no_progress,
) -> DifferenceResult:
    """Science minus template, and what changed between them.

    Parameters
    ----------
    science
        The image whose grid, flux scale and time the result has.
    template
        What it is compared with, on any grid; or several images that cover the science image together, blended where
        they overlap.
    recipe
        Algorithms and parameters; the defaults where left out.
    injections
        Catalogue of sources of known truth (`diapipe.catalogs.injection_catalog.injection_catalog`), put into the
        images in place of those that ``recipe.inject`` would choose, whose seed is that of the photons.
    progress
        Called with the name of each stage as it begins.

    Returns
    -------
    DifferenceResult
        The difference, its sources, and every part that led to them.

    Raises
    ------
    InputError
        If an image cannot be used.
    NoWorkError
        If no difference can be made of the two.
    ReadError
        If the classifier's model cannot be read.
    """
    recipe = recipe or Recipe()
    _refuse_at_once(science, [template] if isinstance(template, Exposure) else template, recipe)
    n = recipe.n_threads
    stage = _Stopwatch(progress)
    with stage("characterize science"):
        of_science, trails = _characterized(science, recipe)
        del science  # whoever holds it no more gives its memory back here
    with stage("characterize template"):
        of_template, tiles = _characterized_template(template, of_science.exposure, recipe)
        del template
    injected: Table | None = None
    if recipe.inject is not None or injections is not None:
        with stage("inject"):
            of_science, of_template, injected = _injected(of_science, of_template, recipe.inject, injections, tiles)
    with stage("align template"):
        registration, aligned = _aligned(of_science, of_template, tiles, recipe)
        of_template = of_template.without_pixels()
        del tiles
    with stage("match PSFs"):
        matched = match(of_science.exposure, aligned.exposure, of_science.stars, algorithm=recipe.matcher)
    with stage("subtract"):
        difference = _subtracted(of_science.exposure, aligned.exposure, matched, recipe)
        difference = with_static_error(difference, of_science.stars)
        _checked(difference, of_science.exposure, matched, recipe)
    with stage("clean"):
        cleaned = clean(difference, options=recipe.clean)
        cleaned = replace(cleaned, streaks=(*trails, *cleaned.streaks))
        difference = cleaned.difference
    with stage("detect"):
        score = (
            None
            if recipe.detector.searches == "difference"
            else score_image(
                masked_as(of_science.exposure, cleaned),
                aligned.exposure,
                of_science.stars,
                matched,
                difference,
                recipe,
                registration_error_px=registration.error_px,
            )
        )
        detections = detect(score or difference.exposure, algorithm=recipe.detector, n_threads=n)
        difference = flagged(difference, detections)
    with stage("measure"):
        dia_sources = _measured(difference, detections, of_science, aligned.exposure.psf, recipe)
    parts: dict[str, Any] = {
        "science": of_science,
        "template": of_template,
        "registration": registration,
        "aligned": aligned,
        "match": matched,
        "difference": difference,
        "cleaned": cleaned,
        "detections": detections,
        "dia_sources": dia_sources,
        "seconds": stage.seconds,
    }
    return _validated(DifferenceResult(**parts, score=score, summary=summarize(**parts)), injected)


def _validated(result: DifferenceResult, injected: Table | None) -> DifferenceResult:
    """The result with what became of injected sources, where there are any."""
    if injected is None:
        return result
    threshold = result.detections.threshold_sigma
    quality = {name: result.summary[name] for name in ("noise", "stars")}
    judged = judge(result.difference, result.dia_sources, injected, threshold_sigma=threshold, quality=quality)
    validation = validate([judged])
    return replace(result, validation=validation, summary=result.summary | {"validation": validation.plain})


def _characterized(exposure: Exposure, recipe: Recipe) -> tuple[Characterized, list[Streak]]:
    """What is to be known of an image, and its bright trails, which are masked: no kernel is to be fitted to them."""
    found = characterize(_in_unit(exposure, recipe), options=recipe.characterize, n_threads=recipe.n_threads)
    if recipe.clean.among_stars is None:
        return found, []
    masked, trails = mask_streaks(found.exposure, options=recipe.clean.among_stars)
    return replace(found, exposure=masked), trails


def with_injections(
    science: Exposure,
    template: Exposure,
    *,
    options: Injection | None = None,
    catalog: Table | None = None,
    recipe: Recipe | None = None,
) -> InjectedPair:
    """Two images as they were given, with sources of known truth added.

    What has to be known for that (PSF, noise, stars) is measured on the images, but not put into them: who differences
    them later finds it out anew.

    Parameters
    ----------
    science, template
        On any grids.
    options
        Which sources; the defaults where left out.
    catalog
        Those of a catalogue instead (`diapipe.catalogs.injection_catalog.injection_catalog`); of ``options`` the seed
        of the photons counts.
    recipe
        How the images are characterized.

    Raises
    ------
    InputError
        If an image cannot be used.
    NoWorkError
        If it has not enough stars for a PSF.
    """
    recipe, options = recipe or Recipe(), options or Injection()
    of_science, of_template = (_characterized(image, recipe)[0] for image in (science, template))
    lit_science, lit_template, sources = _injected(of_science, of_template, options, catalog)
    return InjectedPair(
        science=plus_light(science, of_science.exposure, lit_science.exposure),
        template=plus_light(template, of_template.exposure, lit_template.exposure),
        sources=sources,
    )


def _chosen(science: Characterized, options: Injection, *, is_tiled: bool) -> Table:
    """Sources of a recipe; none fades in a template of several images, which are blended anew."""
    return choose(
        science.exposure,
        science.stars,
        options=replace(options, faded=0.0) if is_tiled else options,
        rng=_generator_of(science.exposure, seed=options.seed),
    )


def _given(science: Characterized, catalog: Table, *, is_tiled: bool) -> Table:
    """Sources of a catalogue that are on the science image."""
    sources = given_on(science.exposure, catalog)
    if is_tiled and sources["is_faded"].any():
        n = int(sources["is_faded"].sum())
        raise InputError(f"{n} of the catalogue's sources fade, and the template is of several images; one is needed")
    return sources


def _injected(
    science: Characterized,
    template: Characterized,
    options: Injection | None,
    catalog: Table | None,
    tiles: Sequence[CoaddPatch] = (),
) -> tuple[Characterized, Characterized, Table]:
    """Both images with sources in them, of a catalogue or chosen, and those that are on both."""
    options, is_tiled = options or Injection(), bool(tiles)
    given = None if catalog is None else _given(science, catalog, is_tiled=is_tiled)
    pair = inject_pair(
        science.exposure,
        science.stars,
        template.exposure,
        template.stars,
        sources=_chosen(science, options, is_tiled=is_tiled) if given is None else given,
        rng=_generator_of(science.exposure, seed=options.seed, of="photons"),
    )
    if catalog is not None and not len(pair.sources):
        name = science.exposure.name
        raise InputError(f"no source of the catalogue is on {name}: {why_none(science.exposure, catalog)}")
    return replace(science, exposure=pair.science), replace(template, exposure=pair.template), pair.sources


def _in_unit(exposure: Exposure, recipe: Recipe) -> Exposure:
    """An image in the unit that the recipe asks for."""
    return calibrated(exposure) if recipe.pixel_unit == "nJy" else exposure


def _refuse_at_once(science: Exposure, templates: Sequence[Exposure], recipe: Recipe) -> None:
    """Refuse what would end badly after all the work: a classifier without its model, a template of another band.

    Bands are compared where both are told by one letter: words for filters are not all alike.
    """
    if recipe.classifier is not None:
        recipe.classifier.check()
    for template in templates:
        bands = [exposure.info.band.strip() for exposure in (science, template)]
        if all(len(band) == 1 for band in bands) and bands[0].casefold() != bands[1].casefold():
            raise InputError(
                f"{science.name} was taken in band {bands[0]} and the template {template.name} in band {bands[1]}; the "
                "difference needs a template of the same band",
                science=bands[0],
                template=bands[1],
            )


def _characterized_template(
    template: Exposure | Sequence[Exposure], science: Exposure, recipe: Recipe
) -> tuple[Characterized, list[CoaddPatch]]:
    """What is to be known of the template, and the images of which it is blended, without their skies, if it is."""
    options, n = recipe.characterize, recipe.n_threads
    if isinstance(template, Exposure):
        return _characterized(template, recipe)[0], []
    tiles = [CoaddPatch.whole(_characterized(tile, recipe)[0].exposure, number) for number, tile in enumerate(template)]
    blended = template_for(science, tiles, algorithm=MultiTract(warp=recipe.warp), n_threads=n)
    return characterize(blended, options=options, n_threads=n), tiles


def _aligned(
    science: Characterized, template: Characterized, tiles: list[CoaddPatch], recipe: Recipe
) -> tuple[Registration, AlignedTemplate]:
    """The template on the science grid, as WCSs and stars say, with one PSF where that of a stack leaps.

    Tiles are blended again, not interpolated twice.
    """
    n, warp, target = recipe.n_threads, recipe.warp, science.exposure
    found = register(science.stars, template.stars, science=target, template=template.exposure, options=recipe.register)
    if tiles and found.is_significant and template.exposure.wcs is target.wcs:
        blended = template_for(target, tiles, algorithm=MultiTract(warp=warp), registration=found, n_threads=n)
        again = characterize(blended, options=recipe.characterize, n_threads=n).exposure
        aligned = replace(warp_onto(again, target, warp=warp, n_threads=n), registration_applied=True)
    else:
        aligned = warp_onto(template.exposure, target, registration=found, warp=warp, n_threads=n)
    return found, replace(aligned, exposure=homogenize(aligned.exposure, n_threads=n))


def _checked(difference: Difference, science: Exposure, matched: Match, recipe: Recipe) -> None:
    """Refuse a difference that leaves more of the stars than the recipe allows."""
    if recipe.check is not None:
        found = footprint_ratios(difference, science, matched)
        refuse_bad_subtraction(found, limits=recipe.check, name=science.name)


def _measured(
    difference: Difference, detections: Detections, science: Characterized, template_psf: Psf | None, recipe: Recipe
) -> Table:
    """The table of what was detected, with sky sources at its end and scores where they are asked for."""
    measured = partial(
        measure,
        difference,
        science=science.exposure,
        template_psf=template_psf,
        stars=science.stars,
        n_threads=recipe.n_threads,
    )
    found = measured(detections, options=recipe.measure)
    if recipe.sky_sources is not None:
        sky = sky_sources(detections, options=recipe.sky_sources, rng=_generator_of(difference.exposure))
        at_sky = measured(replace(detections, footprints=sky), options=recipe.measure.at_given_places())
        found = with_sky_sources(found, at_sky, info=difference.exposure.info)
    if recipe.classifier is None:
        return found
    return classify(difference, found, science=science.exposure, algorithm=recipe.classifier)


def _generator_of(exposure: Exposure, *, seed: int | None = None, of: str = "") -> np.random.Generator:
    """A generator for each exposure, the same every time; another for each seed, and for each thing drawn."""
    place = [abs(exposure.info.visit), abs(exposure.info.detector), *of.encode()]
    return np.random.default_rng(place if seed is None else [seed, *place])


def masked_as(science: Exposure, cleaned: Cleaned) -> Exposure:
    """The science image without the cosmic rays and streaks that the difference has shown, of either image."""
    if not cleaned.n_cosmic_ray_pixels and not cleaned.streaks:
        return science
    planes, found = science.masked_image, MaskPlane.CR | MaskPlane.STREAK
    seen = cleaned.difference.exposure.masked_image.mask
    mask = planes.mask | (seen & np.int32(int(found)))
    mask |= np.where(seen & np.int32(int(found.of_template)), np.int32(int(MaskPlane.CR)), np.int32(0))
    return replace(science, masked_image=replace(planes, mask=mask))


def flagged(difference: Difference, detections: Detections) -> Difference:
    """The difference with what was detected in its mask; where it was searched, the score's own plane and no copy."""
    planes, found = difference.exposure.masked_image, detections.score.mask
    if detections.searched != "difference":
        detected = np.int32(int(MaskPlane.DETECTED | MaskPlane.DETECTED_NEGATIVE))
        found = (planes.mask & ~detected) | (found & detected)
    return replace(difference, exposure=replace(difference.exposure, masked_image=replace(planes, mask=found)))


def score_image(
    science: Exposure,
    template: Exposure,
    stars: StarList,
    matched: Match,
    difference: Difference,
    recipe: Recipe,
    *,
    registration_error_px: float = 0.0,
) -> Exposure:
    """A likelihood image of what changed.

    That of a difference whose kernel was fitted to the pre-convolved science image, less the level that is known; but
    the difference at hand through its own PSF where the subtractor knows of no such kernel, and where the template is
    too blurred for one.

    Parameters
    ----------
    science, template
        On one grid, with PSFs.
    stars
        Sources of the science image, for the fit.
    matched, difference
        What the pair gave without a pre-convolution.
    recipe
        Algorithms and parameters.
    registration_error_px
        Scatter per axis, in science pixels, with which the images lie on each other; NaN if unknown.
    """
    n, filter_ = recipe.n_threads, None
    shift = registration_error_px if registration_error_px > 0.0 else 0.0
    if recipe.preconvolution is not None and not recipe.subtractor.whitens:
        filter_ = recipe.preconvolution.filter(science)
    if filter_ is None or not can_be_matched(template, science, filter_):
        return correlated(difference, science, template, template_astrometry_px=(shift, shift), n_threads=n)
    pixels = science.masked_image
    level = replace(science, masked_image=replace(pixels, image=pixels.image - difference.level))
    smooth, static = (preconvolve(image, filter_, n_threads=n) for image in (level, template))
    # how the kernel varies, and the level, are better told by pixels whose noise is their own
    again = match(smooth, static, stars, algorithm=recipe.matcher.again(matched))
    likely = _subtracted(level, template, replace(again, relative_error=matched.relative_error), recipe)
    return correlated(
        likely, level, template, preconvolution=filter_, template_astrometry_px=(shift, shift), n_threads=n
    )


def _subtracted(science: Exposure, template: Exposure, matched: Match, recipe: Recipe) -> Difference:
    """Find the whitening kernel, where one is needed, then subtract and whiten in one pass."""
    convolved, other = (template, science) if matched.convolved == "template" else (science, template)
    whitening = (
        None
        if recipe.decorrelator is None or recipe.subtractor.whitens
        else decorrelate(convolved, other, matched.kernel, algorithm=recipe.decorrelator)
    )
    return subtract(
        science,
        template,
        matched.kernel,
        matched.background,
        convolved=matched.convolved,
        whitening=whitening,
        relative_error=matched.relative_error,
        stars=(matched.candidates.x[matched.candidates.kept], matched.candidates.y[matched.candidates.kept]),
        algorithm=recipe.subtractor,
        n_threads=recipe.n_threads,
    )
