"""The documentation's tables are those of the code, and every field has its test."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from diapipe.tasks import ImageDifferenceConfig
from diapipe.tasks.field_table import plain_fields, subtask_fields, with_tables

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reference" / "image-difference-task.md"

DOCUMENTED = {
    "coaddName": "template", "controlRandomSeed": 10, "controlStepSize": 5, "convolveTemplate": True,
    "diaSourceMatchRadius": 0.5, "doAddCalexpBackground": False, "doAddMetrics": False, "doApCorr": True,
    "doDebugRegister": False, "doDecorrelation": True, "doDetection": True, "doDipoleFitting": True,
    "doForcedMeasurement": True, "doMatchSources": False, "doMeasurement": True, "doMerge": True,
    "doPreConvolve": False, "doScaleDiffimVariance": True, "doScaleTemplateVariance": False,
    "doSelectDcrCatalog": False, "doSelectSources": False, "doSelectVariableCatalog": False, "doSkySources": False,
    "doSpatiallyVarying": False, "doSubtract": True, "doUseRegister": False, "doWriteMatchedExp": False,
    "doWriteScoreExp": False, "doWriteSources": True, "doWriteSubtractedExp": True, "doWriteWarpedExp": False,
    "growFootprint": 2, "kernelSourcesFromRef": False, "requiredTemplateFraction": 0.1, "saveLogOutput": True,
    "saveMetadata": True, "templateSipOrder": 2, "useGaussianForPreConvolution": False,
    "useScoreImageDetection": False,
}  # fmt: skip
"""Defaults on the page of the older task, but for coaddName; with ``connections`` there are forty fields."""

OURS = {"doReliability": True}
"""Fields that the older task had not."""

SUBTASKS = {
    "applyApCorr", "astrometer", "decorrelate", "detection", "forcedMeasurement", "getTemplate", "measurement",
    "register", "scaleVariance", "skySources", "sourceSelector", "subtract",
}  # fmt: skip


def test_the_fields_are_those_of_the_older_task():
    """Names, types and defaults, none left out, and few more."""
    fields = plain_fields()
    assert set(fields) == {*DOCUMENTED, *OURS, "connections"}
    assert len(fields) == 40 + len(OURS)
    for name, default in (DOCUMENTED | OURS).items():
        assert fields[name].default == default
        assert fields[name].dtype is type(default)
    assert set(subtask_fields()) == SUBTASKS
    config = ImageDifferenceConfig()
    assert (config.subtract.name, set(config.subtract.types)) == ("al", {"al", "zogy"})
    assert config.sourceSelector.name == "objectSize"
    assert config.detection.thresholdValue == 5.0


def test_the_tables_of_the_page_are_those_of_the_code():
    """After a change: ``diapipe.tasks.field_table.rewrite(page)``."""
    page = PAGE.read_text(encoding="utf-8")
    assert with_tables(page) == page
    assert len(re.findall(r"^\| `\w+` \|", page, re.MULTILINE)) == 40 + len(OURS) + len(SUBTASKS)


def test_every_field_has_its_test():
    """A function of the field's name, with a docstring that says what it changes."""
    functions = [
        node
        for path in sorted((ROOT / "tests" / "tasks").glob("test_fields_*.py"))
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef)
    ]
    tests = {node.name: ast.get_docstring(node) for node in functions}
    missing = [name for name in plain_fields() if not tests.get(f"test_{name}")]
    assert not missing
