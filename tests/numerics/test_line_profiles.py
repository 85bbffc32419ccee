"""How even a line is: 1 for one line, whatever stands on it; little for points in a row."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.numerics.line_profiles import profile
from diapipe.numerics.line_sums import Line

N, LEVEL = 400, 3.0
COLUMN = 30


def evenness(along, *, rng, dark: bool = False):
    """Of a vertical line three pixels wide, with this light along it, on noise of unit scatter."""
    image = rng.normal(size=(N, 61))
    image[:, COLUMN - 1 : COLUMN + 2] += (-1 if dark else 1) * np.asarray(along)[:, None]
    line = Line(-30.0 if dark else 30.0, True, 0, N, float(COLUMN), 0.0)
    return profile(image, line, max_width=35.0, least_level=0.4).evenness


@pytest.mark.parametrize("dark", [False, True])
def test_a_line_is_even(dark, rng):
    """The quartile and the median of n rows of noise 1/sqrt(3) are known to 1.36 and 1.25 / sqrt(3 n); four of both."""
    error = np.hypot(1.36, 1.25) / np.sqrt(3 * N) / LEVEL
    assert evenness(np.full(N, LEVEL), rng=rng, dark=dark) == pytest.approx(1.0, abs=4 * error)


def test_stars_on_a_line_leave_it_even(rng):
    """On a quarter of its rows is a star of ten times its light: both levels rise by less than the noise of a row."""
    light = np.full(N, LEVEL)
    light[rng.permutation(N)[: N // 4]] *= 11.0
    assert evenness(light, rng=rng) > 1 - 1 / np.sqrt(3) / LEVEL


def test_a_line_that_ends_is_as_even_as_it_is_where_it_is_seen(rng):
    """Light on 0.7 of the rows: the rest is not looked at."""
    light = np.where(np.arange(N) < 0.7 * N, LEVEL, 0.0)
    assert evenness(light, rng=rng) > 0.9


def test_points_in_a_row_are_not_even(rng):
    """Ten stars of 30 sigma with dark sky between them, a third of the rows: the quartile of all is sky, nothing.

    It is within three of the noise of a row, 1/sqrt(3), of it.
    """
    light = np.where(np.arange(N) % (N // 10) < 0.67 * (N // 10), 10 * LEVEL, 0.0)
    assert evenness(light, rng=rng) < 3 / np.sqrt(3) / (10 * LEVEL)


def test_what_is_bright_in_a_few_places_cannot_be_told(rng):
    """Light on a third of the rows, in one piece, and none where nothing is known."""
    light = np.where(np.abs(np.arange(N) - N / 2) < N / 6, 10 * LEVEL, LEVEL / 30)
    assert evenness(light, rng=rng) == 0.0
    assert evenness(np.full(N, np.nan), rng=rng) == 0.0
