"""MaskPlane: what can be wrong with a pixel, one bit each."""

from __future__ import annotations

import enum
from collections.abc import Iterable

from diapipe.errors import UsageError

_N_PLANES = 11


class MaskPlane(enum.IntFlag):
    """Bits of a mask pixel, by LSST's names.

    A file's own bit numbers are translated by name when it is read; ``MP_<PLANE>`` cards tell them when written.
    A plane that the template brings to a difference has the name with ``_TEMPLATE`` and the bit 11 places higher.
    Two planes are a coadd's alone and keep their names on a difference: HIGH_VARIANCE, where it is made of far fewer
    exposures than elsewhere, and CLIPPED, where an exposure was left out for what it alone showed.
    """

    BAD = 1 << 0
    SAT = 1 << 1
    INTRP = 1 << 2
    CR = 1 << 3
    EDGE = 1 << 4
    DETECTED = 1 << 5
    DETECTED_NEGATIVE = 1 << 6
    SUSPECT = 1 << 7
    NO_DATA = 1 << 8
    STREAK = 1 << 9
    INJECTED = 1 << 10
    BAD_TEMPLATE = 1 << 11
    SAT_TEMPLATE = 1 << 12
    INTRP_TEMPLATE = 1 << 13
    CR_TEMPLATE = 1 << 14
    EDGE_TEMPLATE = 1 << 15
    DETECTED_TEMPLATE = 1 << 16
    DETECTED_NEGATIVE_TEMPLATE = 1 << 17
    SUSPECT_TEMPLATE = 1 << 18
    NO_DATA_TEMPLATE = 1 << 19
    STREAK_TEMPLATE = 1 << 20
    INJECTED_TEMPLATE = 1 << 21
    HIGH_VARIANCE = 1 << 22
    CLIPPED = 1 << 23

    @property
    def of_template(self) -> MaskPlane:
        """The same planes as the template brings them to a difference."""
        return MaskPlane((int(self) & ((1 << _N_PLANES) - 1)) << _N_PLANES) | (self & OF_COADDS)


OF_COADDS = MaskPlane.HIGH_VARIANCE | MaskPlane.CLIPPED
"""Planes that a template has under the same name as the difference."""

UNUSABLE = MaskPlane.BAD | MaskPlane.SAT | MaskPlane.CR | MaskPlane.EDGE | MaskPlane.NO_DATA | MaskPlane.STREAK
"""Planes whose pixels tell nothing about the sky: left out of every fit and every flux."""

UNUSABLE_DIFFERENCE = UNUSABLE | UNUSABLE.of_template
"""The same on a difference, where either image can spoil a pixel."""

SATURATED_DIFFERENCE = MaskPlane.SAT | MaskPlane.SAT_TEMPLATE
"""Saturation of either image."""


def planes_of(names: Iterable[str]) -> MaskPlane:
    """The planes of these names together; UsageError, with the names there are, if one does not exist."""
    planes = MaskPlane(0)
    for name in names:
        if name not in MaskPlane.__members__:
            raise UsageError(f"no mask plane is called {name!r}; there are {', '.join(MaskPlane.__members__)}")
        planes |= MaskPlane[name]
    return planes
