"""Rules between the fields of `ImageDifferenceConfig`: which settings contradict each other, and the cure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from diapipe.tasks.fields import SettingsError

type Condition = Callable[[Any], bool]


@dataclass(frozen=True, slots=True)
class Rule:
    """Something that a configuration must not be.

    Attributes
    ----------
    name
        What tests and docs call it.
    field
        The field that the error is about.
    broken
        Whether a configuration breaks it.
    sentence
        The fields, why not, and the cure.
    """

    name: str
    field: str
    broken: Condition
    sentence: str


def _is(algorithm: str) -> Condition:
    return lambda config: bool(config.subtract.name == algorithm)


def _on(*fields: str) -> Condition:
    """All of these fields are set."""
    return lambda config: all(getattr(config, field) for field in fields)


def _off(*fields: str) -> Condition:
    """None of these fields is set."""
    return lambda config: not any(getattr(config, field) for field in fields)


def _both(*conditions: Condition) -> Condition:
    return lambda config: all(condition(config) for condition in conditions)


def _needs_detection(field: str) -> Rule:
    return Rule(
        f"{field}_needs_doDetection",
        field,
        _both(_on(field), _off("doDetection")),
        f"{field} = True needs sources: set doDetection = True, or {field} = False",
    )


def _not_with_zogy(field: str, why: str) -> Rule:
    return Rule(
        f"{field}_not_with_zogy",
        field,
        _both(_is("zogy"), _on(field)),
        f"{field} = True cannot go with subtract.name = 'zogy', {why}: set {field} = False, or subtract.name = 'al'",
    )


def _with_al(name: str, field: str, broken: Condition, sentence: str) -> Rule:
    return Rule(name, field, _both(_is("al"), broken), sentence)


RULES: tuple[Rule, ...] = (
    Rule(
        "something_to_do",
        "doSubtract",
        _off("doSubtract", "doDetection"),
        "doSubtract = False and doDetection = False leave nothing to do: set one of them to True",
    ),
    _needs_detection("doMeasurement"),
    _needs_detection("doMerge"),
    _needs_detection("doSkySources"),
    Rule(
        "doUseRegister_needs_doSelectSources",
        "doUseRegister",
        _both(_on("doUseRegister"), _off("doSelectSources")),
        "doUseRegister = True needs the selected stars: set doSelectSources = True, or doUseRegister = False",
    ),
    Rule(
        "one_variance_is_scaled",
        "doScaleDiffimVariance",
        _on("doScaleDiffimVariance", "doScaleTemplateVariance"),
        "doScaleDiffimVariance = True and doScaleTemplateVariance = True scale the same noise twice: "
        "set one of them to False",
    ),
    _not_with_zogy("doWriteMatchedExp", "which has no matched template"),
    _not_with_zogy("doAddMetrics", "which has no kernel to judge at stars"),
    _not_with_zogy("doSelectSources", "which is not fitted to chosen stars"),
    _not_with_zogy("useGaussianForPreConvolution", "whose score is made with the PSFs themselves"),
    _with_al(
        "score_needs_convolveTemplate",
        "useScoreImageDetection",
        lambda config: config.useScoreImageDetection and not config.convolveTemplate,
        "useScoreImageDetection = True matches the template to a science image that was convolved with its PSF: "
        "set convolveTemplate = True, or useScoreImageDetection = False",
    ),
    _with_al(
        "difference_or_score",
        "doWriteSubtractedExp",
        _on("doWriteSubtractedExp", "useScoreImageDetection"),
        "useScoreImageDetection = True with subtract.name = 'al' writes a score image in place of the difference: "
        "set doWriteSubtractedExp = False, or useScoreImageDetection = False",
    ),
    _with_al(
        "doWriteScoreExp_needs_useScoreImageDetection",
        "doWriteScoreExp",
        _both(_on("doWriteScoreExp"), _off("useScoreImageDetection")),
        "doWriteScoreExp = True with subtract.name = 'al' needs a score image: set useScoreImageDetection = True, "
        "or doWriteScoreExp = False",
    ),
    _with_al(
        "doAddMetrics_needs_doSubtract",
        "doAddMetrics",
        _both(_on("doAddMetrics"), _off("doSubtract")),
        "doAddMetrics = True judges the kernel that is fitted: set doSubtract = True, or doAddMetrics = False",
    ),
    _with_al(
        "doAddMetrics_needs_stars",
        "doAddMetrics",
        lambda config: config.doAddMetrics and config.subtract["al"].kernel.name == "PSF",
        "doAddMetrics = True judges a kernel that is fitted to stars: set subtract['al'].kernel.name = 'AL' or 'DF', "
        "or doAddMetrics = False",
    ),
    _with_al(
        "useGaussianForPreConvolution_needs_useScoreImageDetection",
        "useGaussianForPreConvolution",
        _both(_on("useGaussianForPreConvolution"), _off("useScoreImageDetection")),
        "useGaussianForPreConvolution = True is about the score image: set useScoreImageDetection = True, "
        "or useGaussianForPreConvolution = False",
    ),
    Rule(
        "one_coaddName",
        "coaddName",
        lambda config: (getattr(config.getTemplate, "coaddName", None) or config.coaddName) != config.coaddName,
        "coaddName and getTemplate.coaddName name two coadds: set both to the same",
    ),
)
"""In this order; the first that is broken is told."""


def broken_rule(config: Any) -> SettingsError | None:
    """The error for the first rule that a configuration breaks, or None."""
    for rule in RULES:
        if rule.broken(config):
            return SettingsError(config._fields[rule.field], config, rule.sentence)
    return None


def _idle_without(field: str, needed: str) -> tuple[str, Condition, str]:
    """A field that says something about what another one would do."""
    sentence = f"{field} = True is without effect as long as {needed} = False"
    return field, _both(_on(field), _off(needed)), sentence


IDLE: tuple[tuple[str, Condition, str], ...] = (
    (
        "doDecorrelation",
        _both(_is("zogy"), _on("doDecorrelation")),
        "doDecorrelation = True has nothing to do with subtract.name = 'zogy': a proper difference is white by itself",
    ),
    _idle_without("kernelSourcesFromRef", "doSelectSources"),
    _idle_without("doAddMetrics", "doSelectSources"),
    _idle_without("doDebugRegister", "doUseRegister"),
    _idle_without("doSelectDcrCatalog", "doSelectSources"),
    _idle_without("doSelectVariableCatalog", "doSelectSources"),
)
"""Settings that are allowed, do nothing, and are told of once: field, whether it is so, the sentence."""


def idle_settings(config: Any) -> list[str]:
    """A sentence for every setting that does nothing in this configuration."""
    return [sentence for _, is_idle, sentence in IDLE if is_idle(config)]
