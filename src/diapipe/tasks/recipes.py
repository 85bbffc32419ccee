"""From a configuration of `ImageDifferenceTask` to the recipe of the two-image program, as far as it applies there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from diapipe.errors import ReadError, UsageError
from diapipe.recipe import Recipe
from diapipe.steps.classify import BoostedTrees
from diapipe.steps.decorrelate import Afterburner
from diapipe.steps.subtract import GaussianFilter, PsfFilter
from diapipe.steps.template import Register
from diapipe.tasks.driver import ImageDifferenceDriverConfig
from diapipe.tasks.fields import options_of
from diapipe.tasks.image_difference_config import ImageDifferenceConfig

_OF_TWO_IMAGES: dict[str, Any] = {
    "doSubtract": True,
    "doDetection": True,
    "doMeasurement": True,
    "doForcedMeasurement": True,
    "doAddCalexpBackground": False,
    "doUseRegister": False,
    "doSelectSources": False,
    "doScaleTemplateVariance": False,
    "doMatchSources": False,
    "doAddMetrics": False,
}
"""Fields of which two images without catalogues allow one value."""

_OWN_TARGETS = (
    "scaleVariance",
    "skySources",
    "decorrelate",
    "detection",
    "measurement",
    "applyApCorr",
    "forcedMeasurement",
)


def recipe_of_file(path: Path) -> Recipe:
    """The recipe that a configuration file in pex_config's syntax asks for.

    Parameters
    ----------
    path
        Lines about ``config``, an `ImageDifferenceConfig`, or about ``config.imageDifference``.

    Raises
    ------
    ReadError
        If the file cannot be read or its lines fail.
    UsageError
        If it asks for what two images do not bring, or contradicts itself.
    """
    try:
        lines = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ReadError(f"cannot read the configuration {path}: {error.strerror}", path=str(path)) from error
    of_driver = re.search(r"^\s*config\.imageDifference\b", lines, re.MULTILINE) is not None
    kind: Any = ImageDifferenceDriverConfig if of_driver else ImageDifferenceConfig
    root = kind()
    try:
        root.loadFromString(lines, filename=str(path))
    except UsageError:
        raise
    except Exception as error:  # the file is a program: anything may come out of it
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ReadError(f"the configuration {path} cannot be loaded: {said}", path=str(path)) from error
    return recipe_of_config(root.imageDifference.value if of_driver else root, name=str(path))


def recipe_of_config(config: Any, *, name: str = "the configuration") -> Recipe:
    """The recipe that a configuration asks for.

    Parameters
    ----------
    config
        An `ImageDifferenceConfig`.
    name
        What messages call it.

    Raises
    ------
    UsageError
        If it asks for what two images do not bring, or contradicts itself.
    """
    config.validate()
    _require_two_images(config, name)
    algorithm = config.subtract.active
    decorrelator: Afterburner | None = config.decorrelate.decorrelator(spatiallyVarying=config.doSpatiallyVarying)
    return Recipe(
        pixel_unit=algorithm.pixelUnit,
        check=algorithm.check(),
        register=_register(algorithm),
        warp=algorithm.warpingConfig.warp(requiredTemplateFraction=config.requiredTemplateFraction),
        matcher=algorithm.matcher(convolveTemplate=config.convolveTemplate),
        subtractor=algorithm.subtractor(),
        decorrelator=decorrelator if config.doDecorrelation else None,
        preconvolution=GaussianFilter() if config.useGaussianForPreConvolution else PsfFilter(),
        clean=config.detection.cleaning(),
        sky_sources=config.skySources.places() if config.doSkySources else None,
        detector=config.detection.detector(
            isScore=config.useScoreImageDetection, mergeSigns=config.doMerge, growFootprint=config.growFootprint
        ),
        classifier=BoostedTrees() if config.doReliability else None,
        measure=config.measurement.options(
            fitDipoles=config.doDipoleFitting,
            corrections=config.applyApCorr.corrections() if config.doApCorr else None,
        ),
    )


def _register(algorithm: Any) -> Register:
    """How stars are registered; where that is not asked for, with a significance that no displacement reaches."""
    if algorithm.doRefineAlignment:
        return options_of(algorithm.alignment, Register)
    return Register(least_significance=float("inf"))


def _require_two_images(config: Any, name: str) -> None:
    """Refuse what needs more than two images, or a task of the user's own."""
    for field, needed in _OF_TWO_IMAGES.items():
        value = getattr(config, field)
        if value != needed:
            raise UsageError(
                f"{field} = {value} in {name} has no meaning for two images on the command line; "
                f"set it to {needed}, or run ImageDifferenceTask in Python",
                field=field,
            )
    for subtask in _OWN_TARGETS:
        proxy, own = getattr(config, subtask), config._fields[subtask].target
        if proxy.target is not own:
            raise UsageError(
                f"{subtask} is retargeted to {proxy.target.__name__} in {name}; the command line has "
                f"{own.__name__} only: run ImageDifferenceTask in Python",
                field=subtask,
            )
