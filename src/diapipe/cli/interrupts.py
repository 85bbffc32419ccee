"""Ctrl-C that is not lost.

An interrupt that arrives while a library calls back into Python from C, as Numba's loader does, is dropped there and
the command would go on. It is noted here as well, and raised again where the next stage begins.
"""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType

_SEEN = threading.Event()


def listen() -> None:
    """Note every interrupt from now on; for the main thread."""
    _SEEN.clear()
    signal.signal(signal.SIGINT, _note)
    sys.unraisablehook = _quiet_about_interrupts


def seen() -> bool:
    """Whether there was an interrupt since `listen`."""
    return _SEEN.is_set()


def raise_if_seen() -> None:
    """KeyboardInterrupt if there was one."""
    if _SEEN.is_set():
        raise KeyboardInterrupt


def _note(_signal: int, _frame: FrameType | None) -> None:
    _SEEN.set()
    raise KeyboardInterrupt


def _quiet_about_interrupts(unraisable: sys.UnraisableHookArgs, /) -> None:
    """A dropped interrupt needs no traceback; everything else is told as ever."""
    if unraisable.exc_type is not KeyboardInterrupt:
        sys.__unraisablehook__(unraisable)
