"""The rules between the fields: each is refused with one sentence that names its fields and the cure, which works."""

from __future__ import annotations

import pickle

import pytest

from diapipe.errors import UsageError
from diapipe.tasks import ImageDifferenceConfig, ImageDifferenceTask
from diapipe.tasks.fields import SettingsError
from diapipe.tasks.rules import RULES

BROKEN_BY = {
    "something_to_do": {"doSubtract": False, "doDetection": False, "doMeasurement": False, "doMerge": False},
    "doMeasurement_needs_doDetection": {"doDetection": False, "doMerge": False},
    "doMerge_needs_doDetection": {"doDetection": False, "doMeasurement": False},
    "doSkySources_needs_doDetection": {
        "doDetection": False, "doMeasurement": False, "doMerge": False, "doSkySources": True,
    },
    "doUseRegister_needs_doSelectSources": {"doUseRegister": True},
    "one_variance_is_scaled": {"doScaleTemplateVariance": True},
    "doWriteMatchedExp_not_with_zogy": {"subtract": "zogy", "doWriteMatchedExp": True},
    "doAddMetrics_not_with_zogy": {"subtract": "zogy", "doAddMetrics": True},
    "doSelectSources_not_with_zogy": {"subtract": "zogy", "doSelectSources": True},
    "useGaussianForPreConvolution_not_with_zogy": {"subtract": "zogy", "useGaussianForPreConvolution": True},
    "score_needs_convolveTemplate": {
        "useScoreImageDetection": True, "doWriteSubtractedExp": False, "convolveTemplate": False,
    },
    "difference_or_score": {"useScoreImageDetection": True},
    "doWriteScoreExp_needs_useScoreImageDetection": {"doWriteScoreExp": True},
    "doAddMetrics_needs_doSubtract": {"doSubtract": False, "doAddMetrics": True},
    "doAddMetrics_needs_stars": {"doAddMetrics": True, "subtract__kernel": "PSF"},
    "useGaussianForPreConvolution_needs_useScoreImageDetection": {"useGaussianForPreConvolution": True},
    "one_coaddName": {"coaddName": "goodSeeing", "getTemplate__coaddName": "deep"},
}  # fmt: skip


def config_with(**values: object) -> ImageDifferenceConfig:
    config = ImageDifferenceConfig()
    for name, value in values.items():
        if name == "subtract":
            config.subtract.name = value
        elif name == "subtract__kernel":
            config.subtract["al"].kernel.name = value
        elif name == "getTemplate__coaddName":
            config.getTemplate.coaddName = value
        else:
            setattr(config, name, value)
    return config


def test_the_documented_defaults_break_no_rule():
    ImageDifferenceConfig().validate()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_broken_rule_is_told_in_one_sentence(rule):
    """The first rule that is broken is told, as UsageError and as pex_config's own error, and survives a pickle."""
    config = config_with(**BROKEN_BY[rule.name])
    with pytest.raises(SettingsError) as told:
        config.validate()
    assert str(told.value) == rule.sentence
    assert rule.field in rule.sentence
    assert "set " in rule.sentence
    assert told.value.fieldName == rule.field
    assert str(pickle.loads(pickle.dumps(told.value))) == rule.sentence
    with pytest.raises(UsageError):
        ImageDifferenceTask(config=config)


def test_every_rule_is_tried():
    assert set(BROKEN_BY) == {rule.name for rule in RULES}


def test_zogy_works_with_the_documented_defaults(caplog):
    """The older task refused doDecorrelation = True, its own default, with zogy; here it is said to do nothing."""
    with caplog.at_level("INFO"):
        ImageDifferenceTask(config=config_with(subtract="zogy"))
    assert "doDecorrelation = True has nothing to do with subtract.name = 'zogy'" in caplog.text


def test_the_score_of_zogy_may_be_written_with_the_difference():
    """ZOGY makes both in one run; the rules about a score in place of a difference are those of al."""
    config_with(
        subtract="zogy", useScoreImageDetection=True, doWriteScoreExp=True, doWriteSubtractedExp=True
    ).validate()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("controlStepSize", 0),
        ("diaSourceMatchRadius", -1.0),
        ("growFootprint", -1),
        ("requiredTemplateFraction", 2.0),
        ("templateSipOrder", 0),
    ],
)
def test_a_value_out_of_range_is_told_when_the_configuration_is_validated(name, value):
    """In one sentence with the field's own name and the value, before an image is read."""
    config = ImageDifferenceConfig()
    setattr(config, name, value)
    with pytest.raises(UsageError, match=rf"^{name}\b.* not {value:g}") as told:
        config.validate()
    assert told.value.fieldName == name
