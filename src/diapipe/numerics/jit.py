"""The one way that diapipe compiles a function: serial, without the GIL, cached on disk, NaN kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numba


def jit[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """Compile a flat, module-level function with Numba.

    Reassociation and contraction are allowed, assumptions about NaN and infinity are not, so a NaN pixel stays NaN.
    Threads are made outside (`diapipe.numerics.threads`): the GIL is released while the function runs.
    """
    compiled = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz", "arcp"})(
        function
    )
    return cast("Callable[P, R]", compiled)
