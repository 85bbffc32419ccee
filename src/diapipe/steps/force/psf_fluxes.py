"""PSF fluxes of many places, in chunks over threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from diapipe.images import UNUSABLE_DIFFERENCE
from diapipe.images.planes import Planes
from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.joint_fluxes import N_RESULTS, joint_fluxes
from diapipe.steps.force.places import Places

_CHUNK = 256
"""Places that a thread takes at a time."""


def fit(planes: Planes, places: Places, *, correlation: FloatArray | None, n_threads: int) -> FloatArray:
    """Columns of `diapipe.numerics.joint_fluxes`; shape (n, N_RESULTS)."""

    def chunk(first: int) -> FloatArray:
        return joint_fluxes(
            *planes.arrays,
            bits=int(UNUSABLE_DIFFERENCE),
            nodes=places.lattice.nodes,
            index=places.lattice.index,
            weights=places.lattice.weights,
            half=places.half,
            x=places.x,
            y=places.y,
            around=places.around,
            correlation=correlation,
            first=first,
            last=min(first + _CHUNK, len(places)),
        )

    firsts = range(0, len(places), _CHUNK)
    if n_threads <= 1 or len(firsts) <= 1:
        rows = [chunk(first) for first in firsts]
    else:
        with ThreadPoolExecutor(n_threads) as pool:
            rows = list(pool.map(chunk, firsts))
    return np.concatenate([np.empty((0, N_RESULTS)), *rows])
