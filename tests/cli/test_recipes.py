"""Settings become a recipe, or one sentence."""

import dataclasses
import re
import tomllib
from pathlib import Path

import pytest

from diapipe.cli.recipes import by_method, by_searched, families, merged, read_settings, recipe_of
from diapipe.errors import ReadError, UsageError
from diapipe.recipe import Recipe
from diapipe.steps.detect import MatchedFilter, ScoreThreshold
from diapipe.steps.match import BrightestInCells, CandidateCuts, DeltaFunction, LeastRisk, PrincipalComponents
from diapipe.steps.subtract import GaussianFilter, OneSided, Zogy
from diapipe.steps.template import RegisterSip


def test_no_settings_give_the_default_recipe():
    assert recipe_of({}) == Recipe()


def test_settings_reach_their_fields(tmp_path):
    """Whole numbers serve as real ones, lists as tuples, groups nest; what is not named keeps its default."""
    path = tmp_path / "settings.toml"
    path.write_text(
        'n_threads = 2\n[matcher]\nmethod = "al"\ndegrees = [3, 2]\nspatial_order = 1\nconvolve = "science"\n'
        '[detector]\nthreshold_sigma = 4\n[decorrelator]\nmethod = "none"\n'
    )
    recipe = recipe_of(read_settings(path))
    assert recipe.n_threads == 2
    assert recipe.matcher == dataclasses.replace(Recipe().matcher, degrees=(3, 2), spatial_order=1, convolve="science")
    assert recipe.detector.threshold_sigma == 4.0
    assert isinstance(recipe.detector.threshold_sigma, float)
    assert recipe.decorrelator is None
    assert recipe.characterize == Recipe().characterize


def test_the_template_can_be_registered_by_a_wcs():
    """By name, with its own parameters."""
    assert recipe_of({"register": {"method": "sip", "sip_order": 3}}).register == RegisterSip(sip_order=3)


def test_groups_within_a_section_are_sections(tmp_path):
    default = Recipe().characterize
    group = next(f.name for f in dataclasses.fields(default) if dataclasses.is_dataclass(getattr(default, f.name)))
    fields = dataclasses.fields(getattr(default, group))
    value = getattr(getattr(default, group), fields[0].name)
    assert recipe_of({"characterize": {group: {fields[0].name: value}}}) == Recipe()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"kernel": {}}, "no setting is called 'kernel'; there are characterize, .*matcher"),
        ({"matcher": {"size": 3}}, r"\[matcher\] has no setting 'size'; there are .*kernel_half_px"),
        ({"matcher": {"method": "magic"}}, "no way to match is called 'magic'; choose one of al"),
        ({"matcher": {"spatial_order": 1.5}}, r"matcher.spatial_order must be a whole number, not 1.5"),
        ({"matcher": {"convolve": "both"}}, r"matcher.convolve must be auto or template or science, not 'both'"),
        ({"detector": {"threshold_sigma": "five"}}, r"detector.threshold_sigma must be a number, not 'five'"),
        ({"detector": 5}, r"detector must be a section \(\[detector\]\), not 5"),
        ({"n_threads": {"a": 1}}, "n_threads is a single value, not a section"),
        ({"n_threads": True}, "n_threads must be a whole number, not True"),
        ({"measure": {"method": "x"}}, r"\[measure\] has one method only"),
    ],
)
def test_wrong_settings_are_told_in_a_sentence(settings, sentence):
    with pytest.raises(UsageError, match=sentence):
        recipe_of(settings)


def test_options_stand_above_the_configuration():
    both = merged(
        {"matcher": {"method": "al", "beta": 3.0}, "n_threads": 2}, {"matcher": {"method": None, "beta": 4.0}}
    )
    assert both == {"matcher": {"method": "al", "beta": 4.0}, "n_threads": 2}
    with pytest.raises(UsageError, match=r"\[matcher\] of the configuration must be a section"):
        merged({"matcher": 3}, {"matcher": {"beta": 4.0}})


def test_a_configuration_that_is_missing_or_damaged_is_told_in_a_sentence(tmp_path):
    with pytest.raises(ReadError, match=r"cannot read the configuration .*: No such file"):
        read_settings(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("a = = 3")
    with pytest.raises(ReadError, match=r"is not TOML: .*line 1"):
        read_settings(tmp_path / "bad.toml")


def test_every_method_stands_in_the_help():
    from click.testing import CliRunner

    from diapipe.cli.main import cli

    text = " ".join(CliRunner().invoke(cli, ["subtract", "--help"]).output.split())
    of_method = text[text.index("How it is done") :].split(".")[0]
    for name in (*families()["matcher"], "zogy"):
        assert name in of_method.replace(",", " ").split()
    assert f"Detection threshold in sigma. [default: {Recipe().detector.threshold_sigma:g}]" in text
    assert f"[default: {Recipe().n_threads};" in text or f"[default: {Recipe().n_threads}]" in text


def test_a_method_is_a_matcher_or_a_subtractor():
    """``--method`` al or delta asks for the one-sided subtraction where the file has zogy; zogy leaves the matcher."""
    from_file = {"subtractor": {"method": "zogy"}, "matcher": {"method": "delta"}}
    assert type(recipe_of(merged(from_file, by_method("al"))).subtractor) is OneSided
    recipe = recipe_of(merged({"matcher": {"method": "delta"}}, by_method("zogy")))
    assert (type(recipe.subtractor), type(recipe.matcher)) == (Zogy, DeltaFunction)
    assert recipe_of({"subtractor": {"method": "zogy", "psfs": "models"}}).subtractor == Zogy(psfs="models")
    assert by_method(None) == {}
    with pytest.raises(UsageError, match="no way to subtract is called 'magic'; choose one of al, delta, psf, zogy"):
        by_method("magic")


def test_the_image_to_detect_on_is_a_detector():
    """``--detect-on`` chooses the detector that searches it; its other settings stay."""
    recipe = recipe_of(merged({"detector": {"threshold_sigma": 6.0}}, by_searched("score")))
    assert recipe.detector == ScoreThreshold(threshold_sigma=6.0)
    from_file = {"detector": {"method": "score"}, "preconvolution": {"method": "gaussian", "order": 1}}
    recipe = recipe_of(merged(from_file, by_searched("difference")))
    assert recipe.detector == MatchedFilter()
    assert recipe.preconvolution == GaussianFilter(order=1)
    assert recipe_of({"preconvolution": {"method": "none"}}).preconvolution is None
    assert by_searched(None) == {}


def test_parts_of_an_algorithm_have_methods_of_their_own():
    """As the page on parameters shows them: sections in the section of the matcher."""
    page = (Path(__file__).parents[2] / "docs" / "howto" / "parameters.md").read_text()
    example = next(block for block in re.findall(r"```toml\n(.*?)```", page, re.DOTALL) if "matcher.strength" in block)
    matcher = recipe_of(tomllib.loads(example)).matcher
    assert matcher == DeltaFunction(
        strength=LeastRisk(),
        reduction=PrincipalComponents(n_components=3),
        candidates=BrightestInCells(per_cell=5),
        cuts=CandidateCuts(max_kernel_sum_sigma=3.0, max_single_residual_std=1.5),
    )
    with pytest.raises(UsageError, match="no way to regularise is called 'luck'; choose one of relative"):
        recipe_of({"matcher": {"method": "delta", "strength": {"method": "luck"}}})
