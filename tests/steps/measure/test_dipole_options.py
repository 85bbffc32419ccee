"""What can be chosen of the dipole fit, each with its effect, and images that are not there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from diapipe.images import Exposure
from diapipe.numerics.dipole_fit import planes_of_frames
from diapipe.steps.detect import detect
from diapipe.steps.measure import Measure, measure
from diapipe.steps.measure.dipoles import Dipoles
from displaced_stars import FWHM, SIZE, UNIT, columns_of, lobes, places, scene

BACKGROUNDS = ("joint", "prefit", "none")


@pytest.mark.parametrize("missing", ["template", "science", "both"])
def test_images_that_are_not_there_are_done_without(missing, rng):
    """Resolved lobes, 5 px apart, are found on what is left, to their errors."""
    x, y = places(rng)
    dx, dy = np.full(len(x), 4.0), np.full(len(x), 3.0)
    made = scene(rng, (x + 2.0, y + 1.5, 60 * UNIT), (x - 2.0, y - 1.5, 60 * UNIT))
    static = False
    if missing == "science":
        template = made.difference.matched_template
        static = Exposure(name="template", masked_image=template, psf=made.science.psf)
    if missing != "template":
        made = replace(made, science=None)
    found = columns_of(made, lobes(x, y, dx, dy), static=static)
    for name, truth in (("Dx", dx), ("Dy", dy)):
        pulls = (found[f"dp_dipole{name}"] - truth) / found[f"dp_dipole{name}Err"]
        assert abs(pulls.mean()) < 4 / np.sqrt(len(x))
        assert abs(pulls.std() - 1) < 4 / np.sqrt(2 * len(x))
    assert found["isDipole"].mean() > 0.95
    n_images = 1 if missing == "both" else 2
    assert found["dipoleNdata"].max() == n_images * 17**2


def test_the_light_beneath_is_fitted_as_told(rng):
    """Stars on a slope of both images: planes fitted with them or before leave nothing of it, without them it tells.

    The mean flux of 121 stars scatters by 0.2%; what the planes around each have of a star's wings, by 1%.
    """
    x, y = places(rng)
    v, u = np.mgrid[:SIZE, :SIZE]
    made = scene(rng, (x + 1.0, y, 100 * UNIT), (x - 1.0, y, 100 * UNIT), beneath=30.0 + 0.05 * u - 0.03 * v)
    peaks, flux = lobes(x, y, np.full(len(x), 2.0), 0 * x), 100 * UNIT
    mean = {kind: columns_of(made, peaks, background=kind)["dipoleMeanFlux"] / flux for kind in BACKGROUNDS}
    assert mean["joint"].mean() == pytest.approx(1.0, abs=0.01)
    assert mean["prefit"].mean() == pytest.approx(1.0, abs=0.015)
    assert abs(np.nanmean(mean["none"]) - 1.0) > 0.05
    assert mean["prefit"].std() < mean["joint"].std()


def test_every_peak_is_fitted_by_option(rng):
    """Lone transients too, which are no dipoles for it; without the option none is attempted."""
    x, y = places(rng)
    made = scene(rng, (x, y, 40 * UNIT), (x, y, 0.0))
    detections = detect(made.difference.exposure)
    few, all_ = (
        measure(
            made.difference, detections, science=made.science, options=Measure(dipoles=Dipoles(candidates=candidates))
        )
        for candidates in ("opposite", "all")
    )
    assert few["dipoleFitAttempted"].mean() < 0.1
    assert all_["dipoleFitAttempted"].all()
    assert all_["isDipole"].sum() <= 0.01 * len(x)
    assert (all_["dp_dipole_flag"] == (all_["dipoleNdata"] == 0)).all()


def test_large_footprints_are_flagged_and_left(rng):
    """A footprint of more pixels than told is not tried, and says that it might have been one."""
    x, y = places(rng)
    made = scene(rng, (x + 0.5, y, 80 * UNIT), (x - 0.5, y, 80 * UNIT))
    peaks = lobes(x, y, np.ones_like(x), 0 * x)
    for areas, tried in ((200, True), (201, False)):
        found = columns_of(made, peaks, areas=areas, largest_footprint_px=200)
        assert (found["dipoleFitAttempted"] == tried).all()
        assert (found["dp_dipole_flag"] == ~found["isDipole"]).all()
        assert found["isDipole"].all() == tried


def test_each_limit_of_the_classification_has_its_effect(rng):
    """Significance, balance and separation, each with a limit that nothing meets; and a reach that is too short."""
    x, y = places(rng)
    made = scene(rng, (x + 1.5, y, 80 * UNIT), (x - 1.5, y, 80 * UNIT))
    peaks = lobes(x, y, np.full(len(x), 3.0), 0 * x)
    assert columns_of(made, peaks)["isDipole"].all()
    for limit in ({"least_snr": 1e3}, {"largest_share": 0.4}, {"least_separation_sigma": 1e3}, {"reach_fwhm": 0.2}):
        assert not columns_of(made, peaks, **limit)["isDipole"].any()
    wide = columns_of(made, peaks, reach_fwhm=3.0)
    assert wide["dipoleNdata"].max() == 3 * (2 * int(np.ceil(3.5 * FWHM)) + 1) ** 2


def test_the_weight_of_the_images_beneath(rng):
    """Half is within 2% of the best for the separation, a fiftieth loses a third of it; errors are honest at each."""
    x, y = places(rng)
    made = scene(rng, (x + 2.0, y, 60 * UNIT), (x - 2.0, y, 60 * UNIT), convolved="science")
    peaks, errors = lobes(x, y, np.full(len(x), 4.0), 0 * x), {}
    for weight in (0.02, 0.5, 1.0, 2.0):
        found = columns_of(made, peaks, image_weight=weight)
        pulls = (found["dp_dipoleDx"] - 4.0) / found["dp_dipoleDxErr"]
        assert abs(pulls.std() - 1) < 4 / np.sqrt(2 * len(x))
        errors[weight] = np.median(found["dp_dipoleDxErr"])
    assert errors[0.5] < 1.02 * min(errors.values())
    assert errors[0.02] > 1.3 * errors[0.5]


def test_planes_of_frames(rng):
    """Beside NumPy's least squares on the same pixels; a frame that is mostly masked tells nothing."""
    values = rng.normal(size=(5, 15, 15)).astype(np.float32)
    weights = np.where(rng.random(values.shape) < 0.2, 0.0, rng.uniform(0.5, 2.0, values.shape)).astype(np.float32)
    values[weights == 0.0] = 0.0
    weights[4, :13] = 0.0
    found = planes_of_frames(values, weights, 3)
    v, u = np.mgrid[-1.0:1.0:15j, -1.0:1.0:15j]
    frame = np.ones((15, 15), bool)
    frame[3:-3, 3:-3] = False
    for k in range(4):
        root = np.sqrt(weights[k][frame])
        design = np.stack([np.ones(frame.sum()), u[frame], v[frame]], axis=1)
        best = np.linalg.lstsq(design * root[:, None], values[k][frame] * root, rcond=None)[0]
        np.testing.assert_allclose(found[k], (best[0] + best[1] * u + best[2] * v)[3:-3, 3:-3], atol=1e-5)
    assert (found[4] == 0.0).all()
