"""Sums along lines: each is that of the pixels it runs over; a line is found where it is, and noise has none."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.numerics import line_profiles, line_sums


def pixels_of_line(first: int, length: int, start: int, shift: int) -> list[tuple[int, int]]:
    """Row and column of every pixel of a digital line, by its definition: two halves, the second begun anew."""
    if length == 1:
        return [(first, start)]
    half = length // 2
    upper = pixels_of_line(first, half, start, shift // 2)
    return upper + pixels_of_line(first + half, half, start + (shift + 1) // 2, shift // 2)


def test_sums_are_those_of_the_pixels_of_each_line(rng):
    """The slow twin: all 16-row lines of a 16 x 20 image that stay on it, pixel by pixel, to rounding."""
    image = rng.normal(size=(16, 20)).astype(np.float32)
    (sums,) = line_sums._levels(image, 16)
    assert sums.shape == (1, 16, 20)
    for shift in range(16):
        for start in range(20 - shift):
            line = pixels_of_line(0, 16, start, shift)
            assert len({row for row, _ in line}) == 16
            assert line[-1][1] - line[0][1] == shift
            assert sums[0, shift, start] == pytest.approx(sum(image[p] for p in line), abs=1e-4)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("angle", np.radians([3, 40, 63, 91, 130, 178]))
def test_a_line_is_found_where_it_is(angle, sign, rng):
    """A line of one sigma a pixel, 200 long: within a pixel at both ends, with its sign, whatever its direction."""
    y, x = np.mgrid[:150, :200]
    across = (x - 100) * np.sin(angle) - (y - 75) * np.cos(angle)
    image = rng.normal(size=y.shape) + sign * np.exp(-0.5 * across**2)
    image[40:50, 60:70] = np.nan
    best = line_sums.brightest_lines(image, shortest=32)[0]
    assert best.sigma * sign > 7
    assert (abs(np.tan(angle)) > 1) == best.steep
    along = np.array([best.first, best.last - 1])
    beside = best.start + best.slope * (along - best.first)
    u, v = (beside, along) if best.steep else (along, beside)
    assert np.abs((u - 100) * np.sin(angle) - (v - 75) * np.cos(angle)).max() < 1.5


def test_points_are_cut_and_noise_has_no_line(rng):
    """Of 2e5 lines of noise none exceeds 6 sigma (1e-9 each); a point of 1000 sigma counts as the clip."""
    image = rng.normal(size=(128, 128))
    assert abs(line_sums.brightest_lines(image, shortest=32)[0].sigma) < 6
    image[64, 64] = 1000.0
    assert abs(line_sums.brightest_lines(image, shortest=32, clip=3.0)[0].sigma) < 6


def test_blocks_have_unit_noise_and_leave_out_what_is_unusable(rng):
    """Sum over noise of the usable pixels; NaN with less than half of them; halving keeps the unit."""
    variance = rng.uniform(1, 9, (64, 80)).astype(np.float32)
    image = (rng.normal(size=(64, 80)) * np.sqrt(variance)).astype(np.float32)
    mask = np.zeros((64, 80), np.int32)
    mask[:3, :4], mask[4:6, :2] = 1, 1
    blocks = line_sums.block_significance(image, variance, mask, bits=1, size=4)
    assert blocks.shape == (16, 20)
    assert np.isnan(blocks[0, 0])
    good = mask[4:8, :4] == 0
    expected = image[4:8, :4][good].sum() / np.sqrt(variance[4:8, :4][good].sum())
    assert blocks[1, 0] == pytest.approx(expected, rel=1e-5)
    assert np.isfinite(blocks).sum() == 319
    halves = line_sums.halved(blocks)
    assert halves.shape == (8, 10)
    assert halves[0, 0] == pytest.approx(np.nansum(blocks[:2, :2]) / np.sqrt(3), rel=1e-5)
    assert halves[3, 4] == pytest.approx(blocks[6:8, 8:10].sum() / 2, rel=1e-5)


def test_the_profile_is_followed_and_measured(rng):
    """A line 10 px wide, begun 2 px off and tilted: straight after, width to 1.5 px, blind to points on it."""
    y, x = np.mgrid[:300, :120]
    center = 40.3 + 0.12 * y
    image = rng.normal(size=y.shape) + 2.0 * (np.abs(x - center) < 5 * np.hypot(1, 0.12))
    image[::11, 30:90] += 500.0
    start = line_sums.Line(20.0, True, 0, 300, 38.5, 0.13)
    found = line_profiles.profile(image, start, max_width=40, least_level=0.3)
    assert found.line.start == pytest.approx(40.3, abs=0.3)
    assert found.line.slope == pytest.approx(0.12, abs=0.003)
    assert found.high - found.low == pytest.approx(10, abs=1.5)
    assert found.share == 1.0
    assert found.usable == pytest.approx(1.0)
    # a median of 300 pixels of unit noise has an error of 1.25/sqrt(300); the median of 12 medians 1.25 times that
    assert found.significance == pytest.approx(2.0 / (1.2533**2 / np.sqrt(300)), rel=0.15)


def test_too_wide_is_no_line(rng):
    """What fills all that is looked at has no significance."""
    image = rng.normal(size=(200, 100)) + 2.0
    found = line_profiles.profile(image, line_sums.Line(20.0, True, 0, 200, 50.0, 0.0), max_width=20, least_level=0.3)
    assert found.significance == 0.0
