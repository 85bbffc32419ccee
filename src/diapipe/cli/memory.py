"""Memory of freed arrays is used again: asking the system for fresh pages costs a second of a run on a 4k pair.

And cycles are looked for rarely: a run imports a million objects that stay.
"""

from __future__ import annotations

import ctypes
import gc

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Numbers of glibc's ``mallopt``."""

LARGE = 2**30
"""Arrays up to this many bytes come from memory that is kept: an image plane is one of 65 MB."""

COLLECT_AFTER = 20_000, 20, 20
"""Objects made before Python looks for cycles among the young ones, and such looks before one among the older."""

USUAL_TRIM, USUAL_MMAP = 2**26, 2**25
"""What glibc comes to by itself in a process that uses large arrays."""


def collect_rarely() -> None:
    """Let Python look for cycles less often than it would: a tenth of a second of every run."""
    gc.set_threshold(*COLLECT_AFTER)


def keep_freed_memory() -> None:
    """Have the C library keep what is freed, where it is one that can; elsewhere nothing changes."""
    _set(trim=2 * LARGE - 1, mmap=LARGE)


def return_freed_memory() -> None:
    """Have it give back what is freed, as usual: for processes that live long, beside others."""
    _set(trim=USUAL_TRIM, mmap=USUAL_MMAP)


def _set(*, trim: int, mmap: int) -> None:
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):  # no such library, on Windows; no such function, outside glibc
        return
    mallopt(TRIM_THRESHOLD, trim)
    mallopt(MMAP_THRESHOLD, mmap)
