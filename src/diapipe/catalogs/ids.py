"""Identifiers of DIA sources: 63 bits that hold visit, detector and a running number, and can be taken apart again.

They are unique for one instrument, as Rubin's are, whose packer of visit and detector holds the instrument fixed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from diapipe.errors import InputError
from diapipe.numerics.arrays import IntArray

VISIT_BITS, DETECTOR_BITS, COUNTER_BITS = 41, 8, 14
"""LSST visits (yyyymmddNNNNN) fit until the year 2198, cameras of up to 256 detectors, 16384 sources an image."""

MAX_SOURCES = 1 << COUNTER_BITS


class SourceIdParts(NamedTuple):
    """What an identifier is made of; arrays of one shape."""

    visit: IntArray
    detector: IntArray
    counter: IntArray


def dia_source_ids(*, visit: int, detector: int, n: int) -> IntArray:
    """Identifiers of the ``n`` sources of one image, in their order; never 0.

    Raises
    ------
    InputError
        If a part does not fit its bits.
    """
    for name, value, bits in (("visit", visit, VISIT_BITS), ("detector", detector, DETECTOR_BITS)):
        if not 0 <= value < 1 << bits:
            raise InputError(f"{name} {value} does not fit an identifier; it must be from 0 to {(1 << bits) - 1}")
    if n >= MAX_SOURCES:
        raise InputError(f"{n} sources on one image do not fit its identifiers; at most {MAX_SOURCES - 1} do")
    high = (visit << DETECTOR_BITS | detector) << COUNTER_BITS
    return high + np.arange(1, n + 1, dtype=np.int64)


def parts_of(ids: IntArray) -> SourceIdParts:
    """Take identifiers apart."""
    values = np.asarray(ids, dtype=np.int64)
    return SourceIdParts(
        values >> (DETECTOR_BITS + COUNTER_BITS),
        (values >> COUNTER_BITS) & ((1 << DETECTOR_BITS) - 1),
        values & (MAX_SOURCES - 1),
    )


TRACT_BITS, PATCH_BITS, OBJECT_BITS = 24, 16, 22
"""Up to 16 million tracts, 65,536 patches in each, 4 million sources of a patch."""


def template_object_ids(*, tract: int, patch: int, n: int) -> IntArray:
    """Identifiers of the ``n`` sources of a template coadd, in their order; never 0, unique in a band of a sky map.

    Raises
    ------
    InputError
        If a part does not fit its bits.
    """
    for name, value, bits in (("tract", tract, TRACT_BITS), ("patch", patch, PATCH_BITS)):
        if not 0 <= value < 1 << bits:
            raise InputError(f"{name} {value} does not fit an identifier; it must be from 0 to {(1 << bits) - 1}")
    if n >= 1 << OBJECT_BITS:
        raise InputError(f"{n} sources of one patch do not fit its identifiers; at most {(1 << OBJECT_BITS) - 1} do")
    return (((tract << PATCH_BITS) | patch) << OBJECT_BITS) + np.arange(1, n + 1, dtype=np.int64)
