"""Row bands: one split of the work for any number of threads."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diapipe.numerics.threads import BAND_ROWS, over_bands


@given(st.integers(0, 2000), st.integers(1, 700), st.integers(1, 4))
def test_the_bands_cover_each_row_once(n_rows, band_rows, n_threads):
    visits = np.zeros(n_rows, int)

    def work(first: int, last: int) -> None:
        visits[first:last] += 1

    over_bands(work, n_rows, n_threads=n_threads, band_rows=band_rows)
    assert (visits == 1).all()


@pytest.mark.parametrize("n_threads", [1, 2, 3, 7])
def test_the_split_does_not_depend_on_the_threads(n_threads, rng):
    """A float32 sum of a band depends on where the band ends: equal to the bit for any number of threads."""
    image = rng.normal(size=(1500, 40)).astype(np.float32)
    sums = np.zeros(1500, np.float32)

    def work(first: int, last: int) -> None:
        sums[first:last] = image[first:last].sum()

    over_bands(work, 1500, n_threads=n_threads)
    for first in range(0, 1500, BAND_ROWS):
        assert (sums[first : first + BAND_ROWS] == image[first : first + BAND_ROWS].sum()).all()


def test_an_error_in_a_band_reaches_the_caller():
    def work(first: int, last: int) -> None:
        raise ValueError(f"band {first} to {last}")

    for n_threads in (1, 3):
        with pytest.raises(ValueError, match="band 0 to 256"):
            over_bands(work, 1000, n_threads=n_threads)


def test_two_threads_work_at_the_same_time():
    """Two bands that wait for each other end only if both run at once."""
    meeting = threading.Barrier(2, timeout=20)

    def work(first: int, last: int) -> None:
        meeting.wait()

    over_bands(work, 2 * BAND_ROWS, n_threads=2)
