"""Fields about the stars of the kernel: which are taken, which are kept as a control."""

from __future__ import annotations

import numpy as np
import pytest
from tests.tasks.conftest import configured

import diapipe
from diapipe.errors import UsageError
from diapipe.tasks import ImageDifferenceTask
from diapipe.tasks.fields import SettingsError
from diapipe.tasks.kernel_sources import choose


def selection(run, scene, **settings):
    """What is selected, without the subtraction."""
    task = ImageDifferenceTask(config=configured(doSelectSources=True, **settings), refCatalog=scene.reference)
    pair = run().result.subtractRes
    return choose(
        task, pair.science, pair.template, selectSources=None, templateSources=None, reference=task._reference()
    ).selection


def test_doSelectSources(run):
    """The kernel is fitted to none but selected stars, and the table of sources is returned."""
    chosen, own = run(doSelectSources=True), run()
    x = chosen.result.subtractRes.match.candidates.x
    table = chosen.result.selectSources
    assert own.result.selectSources is None
    assert len(x) <= chosen.metadata["nKernelSources"] < len(table)
    nearest = np.abs(x[:, None] - np.asarray(table["x"])[None, :]).min(axis=1)
    assert nearest.max() < 1e-6
    assert len(own.result.subtractRes.match.candidates) > len(x)


def test_controlStepSize(run, scene):
    """Every fifth of the chosen is a control, or every second, the first included; every one leaves no kernel."""
    for step in (5, 2):
        found = selection(run, scene, controlStepSize=step)
        n = len(found.kernel) + len(found.control)
        assert len(found.control) == -(-n // step)
    with pytest.raises(SettingsError, match="controlStepSize: control_step must be at least 2"):
        configured(controlStepSize=1).validate()


def test_controlRandomSeed(run, scene):
    """One seed gives one control sample, whatever ran before; another gives another of the same size."""
    first, again, other = (selection(run, scene, controlStepSize=3, controlRandomSeed=seed) for seed in (10, 10, 11))
    np.testing.assert_array_equal(first.control, again.control)
    assert len(first.control) == len(other.control)
    assert set(first.control) != set(other.control)


def test_kernelSourcesFromRef(run, scene):
    """Sources that the catalogue lacks make no kernel: here the ones in its left half."""
    half = scene.reference[scene.reference["ra"] < np.median(scene.reference["ra"])]
    task = ImageDifferenceTask(config=configured(doSelectSources=True, kernelSourcesFromRef=True), refCatalog=half)
    pair = run().result.subtractRes
    found = choose(
        task, pair.science, pair.template, selectSources=None, templateSources=None, reference=task._reference()
    ).selection
    assert 0 < len(found.kernel) < len(selection(run, scene).kernel)
    assert found.kernel_sources.ra.max() < half["ra"].max() + 1.0 / 3600
    with pytest.raises(UsageError, match="kernelSourcesFromRef = True needs a reference catalogue"):
        ImageDifferenceTask(config=configured(doSelectSources=True, kernelSourcesFromRef=True)).run(
            scene.science, None, scene.template
        )


@pytest.mark.parametrize("selector", ["objectSize", "diacatalog", "science"])
def test_every_selector_leaves_stars(run, scene, selector):
    """Each member of the registry chooses stars of the scene, and never one it has not been given."""
    task = ImageDifferenceTask(config=configured(doSelectSources=True), refCatalog=scene.reference)
    config = configured(doSelectSources=True)
    config.sourceSelector.name = selector
    task = ImageDifferenceTask(config=config, refCatalog=scene.reference)
    pair = run().result.subtractRes
    found = choose(
        task, pair.science, pair.template, selectSources=None, templateSources=None, reference=task._reference()
    )
    assert len(found.stars) >= 3
    assert task.sourceSelector.metadata["nSelected"] >= len(found.stars)


def extreme_of(scene, found):
    """Which of the controls the catalogue calls extremely coloured, and which variable."""
    ra, dec = np.asarray(scene.reference["ra"]), np.asarray(scene.reference["dec"])
    controls = found.control_sources
    return [np.argmin(np.hypot(ra - a, dec - d)) for a, d in zip(controls.ra, controls.dec, strict=True)]


def test_doSelectDcrCatalog(run, scene):
    """Every fourth star of the catalogue is too red, and becomes a control; the colour limits are diacatalog's."""
    without, with_ = (selection(run, scene, doSelectDcrCatalog=value) for value in (False, True))
    added = set(with_.control) - set(without.control)
    assert len(with_.control) > len(without.control)
    colour = -2.5 * np.log10(np.asarray(scene.reference["g_flux"] / scene.reference["r_flux"]))
    red = [colour[n] > 3.0 for n in extreme_of(scene, with_)]
    assert sum(red) >= len(added) - 4
    assert not set(with_.kernel) & set(with_.control)


def test_doSelectVariableCatalog(run, scene):
    """Every fifth star of the catalogue is variable, and becomes a control."""
    without, with_ = (selection(run, scene, doSelectVariableCatalog=value) for value in (False, True))
    variable = ~np.asarray(scene.reference["photometric"])
    n_with, n_without = (sum(variable[n] for n in extreme_of(scene, found)) for found in (with_, without))
    assert n_with > n_without
    assert len(with_.control) > len(without.control)


def test_doAddMetrics(run, tmp_path):
    """Stars of the kernel and controls are judged, the others not; the averages are in the metadata, χ² near 1."""
    judged, plain = (run(doSelectSources=True, doAddMetrics=value) for value in (True, False))
    judged.task.write(judged.result, tmp_path)
    assert len(diapipe.read_parquet(tmp_path / "difference_kernel_source.parquet")) == len(judged.result.selectSources)
    table = judged.result.selectSources
    assert "KCDiffimChiSq_SPATIAL" not in plain.result.selectSources.colnames
    roles = np.asarray(table["kernelRole"])
    chi2 = np.asarray(table["KCDiffimChiSq_SPATIAL"])
    assert (roles == "kernel").sum() == judged.metadata["nKernelSources"]
    assert (roles == "control").sum() == judged.metadata["nControlSources"]
    assert np.isnan(chi2[roles == ""]).all()
    assert np.isfinite(chi2[roles != ""]).mean() > 0.9
    assert judged.metadata["KCDiffimChiSq_LOCAL_MEDIAN"] == pytest.approx(1.0, abs=0.2)
    assert "KCDiffimChiSq_LOCAL_MEDIAN" not in plain.metadata


def test_doAddMetrics_tells_what_the_registration_left(run):
    """With doUseRegister the residual of each matched star is in the table as well, in radians."""
    table = run(doSelectSources=True, doAddMetrics=True, doUseRegister=True).result.selectSources
    distance = np.asarray(table["RegisterResidualDistance"])
    assert np.nanmedian(np.degrees(distance) * 3600) < 0.1
