"""Memory of freed arrays is used again: asking the system for fresh pages costs a second of a run on a 4k pair."""

from __future__ import annotations

import ctypes

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Numbers of glibc's ``mallopt``."""

LARGE = 2**30
"""Arrays up to this many bytes come from memory that is kept: an image plane is one of 65 MB."""


def keep_freed_memory() -> None:
    """Have the C library keep what is freed, where it is one that can; elsewhere nothing changes."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):  # no such library, on Windows; no such function, outside glibc
        return
    mallopt(TRIM_THRESHOLD, 2 * LARGE - 1)
    mallopt(MMAP_THRESHOLD, LARGE)
