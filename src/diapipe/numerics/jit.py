"""The one way that diapipe compiles a function: serial, without the GIL, cached on disk, NaN kept."""

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
