"""What is negative is called so: the original's "no negatives" compared the length of an array with itself.

Positive sources alone, negative ones alone, and both merged into one footprint: in the peaks and in the table.
"""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.images import ChebyshevField, Difference, Exposure, GaussianPsf, MaskedImage, MaskPlane, SpatialKernel
from diapipe.steps.detect import MatchedFilter, detect
from diapipe.steps.measure import measure
from gaussian_sky import drawn, exposure, with_planes

SIDE, SIGMA = 256, 2.0
FLUX_ERROR = np.sqrt(4.0 * np.pi) * SIGMA
AT = np.array([(x, y) for y in (40.0, 100.0, 160.0, 220.0) for x in (40.0, 100.0, 160.0, 220.0)]) + 0.3
MERGING = MatchedFilter(merge_px=12)
"""Sources 60 px apart stay apart; those 24 px apart become one footprint."""


def made(positions, snr, rng) -> tuple[Exposure, Difference]:
    """A difference of white noise with sources of the given signal-to-noise."""
    light = drawn((SIDE, SIDE), *np.asarray(positions).T, np.asarray(snr) * FLUX_ERROR, sigma=SIGMA)
    image = exposure("difference", light, 1.0, SIGMA, rng)
    science = exposure("science", np.zeros((SIDE, SIDE)), 0.7, SIGMA, rng)
    difference = Difference(
        exposure=image,
        kernel=SpatialKernel.constant(GaussianPsf(1.0, 15).kernel_image(x=0, y=0), image.box),
        background=ChebyshevField.constant(0.0, image.box),
        convolved="template",
        matched_template=MaskedImage.from_planes(np.zeros((SIDE, SIDE)), variance=0.5),
    )
    return science, difference


def found(positions, snr, rng):
    """Footprints and table, rows in the order of the positions."""
    science, difference = made(positions, snr, rng)
    detections = detect(difference.exposure, algorithm=MERGING)
    table = measure(difference, detections, science=science)
    assert len(table) == len(positions)
    near = np.array([np.hypot(table["x"] - x, table["y"] - y).argmin() for x, y in positions])
    assert sorted(near) == list(range(len(positions)))
    return detections, table[near]


@pytest.mark.parametrize("sign", [1, -1])
def test_one_sign_alone(sign, rng):
    """Sixteen sources of one sign, S/N 8 to 60: not one row, footprint or pixel of the other."""
    detections, table = found(AT, sign * np.geomspace(8.0, 60.0, 16), rng)
    negative = sign < 0
    np.testing.assert_array_equal(table["isNegative"], np.full(16, negative))
    np.testing.assert_array_equal(detections.footprints.is_negative, np.full(16, negative))
    assert (np.sign(table["psfFlux"]) == sign).all()
    planes = {1: MaskPlane.DETECTED, -1: MaskPlane.DETECTED_NEGATIVE}
    mask = detections.score.mask
    assert ((mask & int(planes[sign])) != 0).sum() > 16 * 30
    assert not (mask & int(planes[-sign])).any()


def test_merged_negatives_keep_their_sign(rng):
    """Four footprints of a positive source, three of a negative one, and two that hold one of each, 24 px apart: peaks
    are unique, the signs of all eleven rows are those put in, and only footprints without a positive peak are negative.
    """
    beside = AT[[8, 10]] + [24.0, 0.0]
    positions = np.vstack([AT[:3], AT[4:6], AT[[8, 10]], beside, AT[[12, 14]]])
    snr = np.array([20.0, 30.0, 10.0, -20.0, -12.0, 25.0, -40.0, -15.0, 18.0, -9.0, 35.0])
    detections, table = found(positions, snr, rng)
    footprints = detections.footprints
    np.testing.assert_array_equal(table["isNegative"], snr < 0)
    assert len(footprints) == 9
    assert int(footprints.is_negative.sum()) == 3
    assert int((~footprints.is_negative).sum()) == 6
    places = {(round(x), round(y)) for x, y in zip(footprints.peaks.x, footprints.peaks.y, strict=True)}
    assert len(places) == len(footprints.peaks) == 11
    pulls = (np.asarray(table["psfFlux"]) - snr * FLUX_ERROR) / FLUX_ERROR
    assert np.abs(pulls).max() < 4.5


def test_a_turned_difference_has_the_signs_turned(rng):
    """The same pixels times -1: the same peaks, each of the other sign."""
    _, difference = made(AT, np.geomspace(8.0, 60.0, 16) * (-1.0) ** np.arange(16), rng)
    image = difference.exposure
    turned = with_planes(image, image=-image.masked_image.image)
    one, other = (detect(exposure_, algorithm=MERGING).footprints for exposure_ in (image, turned))
    np.testing.assert_array_equal(one.peaks.x, other.peaks.x)
    np.testing.assert_array_equal(one.peaks.significance, -other.peaks.significance)
    assert one.is_negative.sum() == (~other.is_negative).sum() == 8
