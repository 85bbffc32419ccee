"""Row bands on threads: the same result for any number of them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

BAND_ROWS = 256
"""Rows of a band. Fixed, so that the split of the work, and so every bit of the result, never depends on threads."""


def over_bands(
    work: Callable[[int, int], None], n_rows: int, *, n_threads: int = 1, band_rows: int = BAND_ROWS
) -> None:
    """Call ``work(first_row, last_row)`` for consecutive half-open bands that cover ``n_rows`` rows.

    Parameters
    ----------
    work
        Fills the rows ``[first_row, last_row)`` of an output it holds; it must release the GIL to gain from threads.
    n_rows
        Rows in all.
    n_threads
        Threads to run at once; one runs in the caller's thread.
    band_rows
        Rows of a band, the unit of work.
    """
    bands = [(first, min(first + band_rows, n_rows)) for first in range(0, n_rows, band_rows)]
    if n_threads <= 1 or len(bands) == 1:
        for first, last in bands:
            work(first, last)
        return
    with ThreadPoolExecutor(n_threads) as pool:
        for done in [pool.submit(work, first, last) for first, last in bands]:
            done.result()
