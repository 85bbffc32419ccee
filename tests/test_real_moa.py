"""Frames of a crowded field against a mean of others (all of them: benchmarks/real_moa.py)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from benchmarks.moa_field import MOA, VARIABLE, Epoch, epochs, magnitudes, mean_template, sharpest
from benchmarks.real_grading import RealGrade, forced_fluxes, grade
from benchmarks.real_moa import LOW_STATE_ADU

import diapipe
from diapipe.flow import DifferenceResult

pytestmark = [
    pytest.mark.realdata,
    pytest.mark.slow,
    pytest.mark.skipif(not MOA.is_dir(), reason="no real data beside the checkout (../shared/data)"),
]

FRAMES = ("0079", "0091", "0128", "0166")
"""Trailed; the sharpest, in twilight; an ordinary one; 7 px wide."""

NIGHT = 2456507
"""Of 0079: neither it nor that of the others, the variable's, is in the template."""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Epoch, DifferenceResult, RealGrade]]:
    """Every frame minus the mean of the eight sharpest."""
    frames = epochs()
    path: Path = tmp_path_factory.mktemp("moa") / "template.fits"
    diapipe.write_exposure(mean_template(sharpest(frames, n=8, night=NIGHT)), path)
    template, found = diapipe.read_exposure(path), {}
    for frame in frames:
        if frame.number in FRAMES:
            result = diapipe.difference_pair(diapipe.read_exposure(frame.path), template)
            found[frame.number] = frame, result, grade(result, known_variable=VARIABLE)
    return found


@pytest.mark.parametrize("number", FRAMES)
def test_a_crowded_frame(results, number):
    """What is asked of the median frame, of four that are harder: χ² at stars, detections, constant stars, sky and
    blanked pixels; the S/N map to 1.3 (1.15 asked), as three of the four are trailed. χ² below one is an error that
    claims too much: on 0091, where a noisy image is convolved, by a factor of 1.3.
    """
    found = results[number][2]
    assert 0.5 < found.chi2_stars < 1.5
    assert found.detections_good < 10.0
    assert found.score_sigma < 1.3
    assert 0.3 < found.constant_stars < 1.5
    assert 0.98 < found.sky < 1.03
    assert found.blanked < 0.06


def test_the_variable_follows_its_light_curve(results):
    """Changes of its flux from frame to frame as in the aperture light curve, in units of its low state, to 0.2: the
    aperture takes in 0.22 more for each px of FWHM (docs/real-data.md), of which the three frames have 0.7.
    """
    known = dict(zip((frame.number for frame in epochs()), magnitudes(), strict=True))
    flux, truth = [], []
    for number, (frame, result, _) in results.items():
        exposure = result.difference.exposure
        x, y = exposure.wcs.all_world2pix(*VARIABLE, 0)
        value, _ = forced_fluxes(exposure, np.array([float(x)]), np.array([float(y)]))
        if frame.fwhm_px < 6.5:
            flux.append(float(value[0]) / frame.flux_scale / LOW_STATE_ADU)
            truth.append(10.0 ** (-0.4 * known[number]))
    np.testing.assert_allclose(np.diff(flux), np.diff(truth), atol=0.2)
