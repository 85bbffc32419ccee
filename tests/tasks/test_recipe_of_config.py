"""A configuration of the older task as the recipe of the two-image program."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from diapipe.cli.main import cli
from diapipe.cli.recipes import read_recipe, recipe_of
from diapipe.errors import ReadError, UsageError
from diapipe.steps.decorrelate import Afterburner
from diapipe.steps.detect import ScoreThreshold
from diapipe.steps.match import DeltaFunction
from diapipe.steps.subtract import Zogy
from diapipe.tasks import ImageDifferenceConfig
from diapipe.tasks.recipes import recipe_of_config


def recipe_from(tmp_path: Path, lines: str):
    path = tmp_path / "config.py"
    path.write_text(lines)
    return read_recipe(path)


def test_the_defaults_are_those_of_the_older_task(tmp_path: Path):
    """Convolve the template, one whitening filter, 5 sigma, footprints grown by 2 px before signs merge."""
    recipe = recipe_from(tmp_path, "")
    assert recipe.matcher.convolve == "template"
    assert recipe.decorrelator == Afterburner(cells=1, order=0)
    assert recipe.detector.threshold_sigma == 5.0
    assert (recipe.detector.merge_signs, recipe.detector.merge_px) == (True, 2)
    assert recipe.warp.required_template_fraction == 0.1


def test_lines_about_the_task_and_about_the_driver_mean_the_same(tmp_path: Path):
    lines = (
        "{0}.subtract.name = 'zogy'\n{0}.detection.thresholdValue = 7\n{0}.subtract['zogy'].kernel.name = 'DF'\n"
        "{0}.useScoreImageDetection = True\n{0}.subtract['zogy'].doRefineAlignment = False\n"
    )
    recipes = [recipe_from(tmp_path, lines.format(root)) for root in ("config", "config.imageDifference")]
    assert recipes[0] == recipes[1]
    assert isinstance(recipes[0].subtractor, Zogy)
    assert isinstance(recipes[0].matcher, DeltaFunction)
    assert isinstance(recipes[0].detector, ScoreThreshold)
    assert recipes[0].detector.threshold_sigma == 7.0
    assert recipes[0].register.least_significance == float("inf")


def test_options_of_the_command_come_on_top(tmp_path: Path):
    base = recipe_from(tmp_path, "config.detection.thresholdValue = 7\n")
    assert recipe_of({"detector": {"threshold_sigma": 6.0}}, base=base).detector.threshold_sigma == 6.0
    assert recipe_of({}, base=base) == base


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("config.doSelectSources = True", r"doSelectSources = True in .* has no meaning for two images"),
        (
            "from diapipe.tasks.register import RegisterTask\nconfig.detection.retarget(RegisterTask)",
            "detection is retargeted to RegisterTask",
        ),
        ("config.doMerge = config.doMeasurement = config.doDetection = False", "doDetection = False"),
    ],
)
def test_what_two_images_do_not_bring_is_refused(tmp_path: Path, lines, said):
    with pytest.raises(UsageError, match=said):
        recipe_from(tmp_path, lines)


def test_a_rule_that_is_broken_is_told(tmp_path: Path):
    with pytest.raises(UsageError, match="set one of them to False"):
        recipe_from(tmp_path, "config.doScaleTemplateVariance = True")


@pytest.mark.parametrize("lines", ["config.nothing = 1", "import nothing_of_this_name", "config.doMerge = ", "1 / 0"])
def test_lines_that_fail_are_told_in_one_sentence(tmp_path: Path, lines):
    with pytest.raises(ReadError, match=r"config\.py cannot be loaded: ") as told:
        recipe_from(tmp_path, lines)
    assert "\n" not in str(told.value)


def test_a_missing_file_is_told(tmp_path: Path):
    with pytest.raises(ReadError, match="cannot read the configuration"):
        read_recipe(tmp_path / "none.py")


def test_the_command_takes_such_a_file(tmp_path: Path):
    """The exit status of a senseless one is that of wrong use; the sentence comes from the configuration."""
    path = tmp_path / "config.py"
    path.write_text("config.doMatchSources = True\n")
    done = CliRunner().invoke(
        cli, ["subtract", "a.fits", "b.fits", "--out", str(tmp_path / "o"), "--config", str(path)]
    )
    assert isinstance(done.exception, UsageError) or done.exit_code == 2
    assert "doMatchSources = True" in (done.output + str(done.exception))


def test_a_config_in_memory_serves_as_well():
    assert recipe_of_config(ImageDifferenceConfig()).detector.threshold_sigma == 5.0
