"""The two ways that diapipe compiles a function: serial, without the GIL, cached on disk, NaN kept, always the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numba

_OPTIONS: dict[str, Any] = {
    "cache": True,
    "nogil": True,
    "error_model": "numpy",
    "fastmath": {"contract", "reassoc", "nsz", "arcp"},
    "no_cfunc_wrapper": True,  # for callers in C, of which there are none: a fifteenth of the time to compile
}


def jit[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """Compile a flat, module-level function with Numba.

    Reassociation and contraction are allowed, assumptions about NaN and infinity are not, so a NaN pixel stays NaN.
    Threads are made outside (`diapipe.numerics.threads`): the GIL is released while the function runs.
    """
    return cast("Callable[P, R]", numba.njit(**_OPTIONS)(function))


def inlined[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function that compiled functions call, and put it into each of them.

    Left outside, it would be found by its name: where the process has loaded it by itself, that code would be called,
    else the copy in the caller, which was optimised once more and rounds otherwise. The last bits of a result would
    depend on what a process compiled, or did, before.
    """
    return cast("Callable[P, R]", numba.njit(**_OPTIONS, forceinline=True)(function))
