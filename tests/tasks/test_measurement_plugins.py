"""Plugins of the measurement, by the names that configurations for LSST's task have."""

from __future__ import annotations

import numpy as np
import pytest
from tests.tasks.conftest import Run, configured

from diapipe.errors import UsageError
from diapipe.steps.measure import Measure
from diapipe.tasks import ImageDifferenceConfig, ImageDifferenceTask
from diapipe.tasks.measurement import DipoleFitConfig
from diapipe.tasks.measurement_plugins import measurementPluginRegistry

DIPOLES = "ip_diffim_DipoleFit"


@pytest.fixture
def changed(scene):
    """Run the task on the scene with a configuration that a function changes."""

    def changed(change):
        config = configured()
        change(config)
        task = ImageDifferenceTask(config=config)
        return Run(task, task.run(scene.science, None, scene.template))

    return changed


def test_defaults_are_those_of_the_core() -> None:
    """A config that nobody touched makes the options that the flow has."""
    made = DipoleFitConfig().options(fitDipoles=True)
    assert (made.dipoles, made.trails) == (Measure().dipoles, Measure().trails)
    assert made.fit_dipoles
    assert made.fit_trails


def test_lines_of_older_configurations(tmp_path) -> None:
    """Names are added to the set; parameters of a plugin are set by its name; ``algorithms`` is the older word."""
    (tmp_path / "a.py").write_text(
        "config.measurement.plugins.names |= ['base_PeakLikelihoodFlux', 'base_LocalPhotoCalib', 'base_LocalWcs']\n"
        "config.measurement.algorithms.names.discard('ext_trailedSources_Naive')\n"
        f"config.measurement.plugins['{DIPOLES}'].maxFluxRatio = 0.7\n"
        f"config.measurement.plugins['{DIPOLES}'].fitAllDiaSources = True\n"
        f"config.measurement.plugins['{DIPOLES}'].fitBackground = 1\n"
        f"config.measurement.plugins['{DIPOLES}'].maxFootprintArea = 1200\n"
    )
    config = ImageDifferenceConfig()
    config.load(str(tmp_path / "a.py"))
    config.validate()
    config.save(str(tmp_path / "saved.py"))
    again = ImageDifferenceConfig()
    again.load(str(tmp_path / "saved.py"))
    for read in (config, again):
        options = read.measurement.value.options(fitDipoles=True)
        assert not options.fit_trails
        dipoles = options.dipoles
        assert (dipoles.largest_share, dipoles.candidates, dipoles.background) == (0.7, "all", "prefit")
        assert dipoles.largest_footprint_px == 1200.0


def test_a_name_that_is_none_is_refused() -> None:
    """The message names it."""
    with pytest.raises(Exception, match="base_Foo"):
        ImageDifferenceConfig().measurement.plugins.names = ["base_Foo"]


@pytest.mark.parametrize(
    ("name", "filled"),
    [
        ("base_PsfFlux", "psfFlux"),
        ("base_CircularApertureFlux", "apFlux"),
        ("base_SdssShape", "ixx"),
        ("base_ClassificationSizeExtendedness", "extendedness"),
        ("ext_trailedSources_Naive", None),
        (DIPOLES, "dp_dipoleSnr"),
    ],
)
def test_what_is_not_chosen_is_left_empty(run, changed, name, filled) -> None:
    """Its columns stay in the table, without a value."""

    def without(config) -> None:
        config.measurement.plugins.names = [other for other in config.measurement.plugins.names if other != name]

    whole, part = run().result.diaSources, changed(without).result.diaSources
    assert whole.colnames == part.colnames
    if filled is None:
        assert (part["trailNdata"] == 0).all()
        return
    assert np.isfinite(whole[filled]).any()
    assert np.isnan(part[filled]).all()


def test_pixel_flags_by_choice(run, changed) -> None:
    """Without the plugin no pixel flag is set."""

    def without(config) -> None:
        config.measurement.plugins.names.discard("base_PixelFlags")

    assert run().result.diaSources["pixelFlags"].any()
    assert not changed(without).result.diaSources["pixelFlags"].any()


def test_every_plugin_of_the_older_task_has_a_name() -> None:
    """Those that its configurations name."""
    names = "base_PeakLikelihoodFlux base_LocalPhotoCalib base_LocalWcs ext_trailedSources_Naive base_SdssCentroid"
    assert set(names.split()) <= set(measurementPluginRegistry)


LINES = """
config.measurement.doReplaceWithNoise = False
config.measurement.slots.apFlux = 'base_CircularApertureFlux_12_0'
config.measurement.slots.shape = None
config.measurement.plugins['base_PixelFlags'].masksFpAnywhere = ['STREAK']
config.forcedMeasurement.plugins.names = ['base_TransformedCentroid', 'base_PsfFlux']
config.forcedMeasurement.copyColumns = {'id': 'objectId', 'parent': 'parentObjectId'}
config.forcedMeasurement.slots.centroid = 'base_TransformedCentroid'
config.forcedMeasurement.doReplaceWithNoise = False
config.decorrelate.completeVarPlanePropagation = True
config.decorrelate.ignoreMaskPlanes = ['BAD']
"""


@pytest.mark.parametrize("line", LINES.split("\n")[1:-1])
def test_lines_without_effect_load(line, tmp_path) -> None:
    """They are part of older configurations; what they ask for is there in any case, and the field says why."""
    config = ImageDifferenceConfig()
    config.loadFromString(line)
    config.validate()
    config.save(str(tmp_path / "saved.py"))
    again = ImageDifferenceConfig()
    again.load(str(tmp_path / "saved.py"))
    assert again.compare(config)


def test_the_aperture_and_the_centroid_by_their_plugins() -> None:
    """A radius in pixels, and the distance from the peak at which a centroid is refused."""
    config = DipoleFitConfig()
    config.plugins["base_CircularApertureFlux"].radii = [12.0]
    config.plugins["base_SdssCentroid"].maxDistToPeak = 5.0
    options = config.options(fitDipoles=True)
    assert (options.aperture_px, options.max_shift_px) == (12.0, 5.0)
    assert DipoleFitConfig().options(fitDipoles=True).aperture_px is None


def test_one_aperture_only() -> None:
    """Two radii are refused in one sentence."""
    config = DipoleFitConfig()
    config.plugins["base_CircularApertureFlux"].radii = [3.0, 12.0]
    with pytest.raises(UsageError, match=r"radii holds one positive radius in pixels, not \[3.0, 12.0\]"):
        config.validate()
