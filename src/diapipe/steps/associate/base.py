"""AbstractAssociator: a way to tell which sources of many images are one object."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from diapipe.catalogs.association import Association
from diapipe.catalogs.source_batch import SourceBatch
from diapipe.numerics.arrays import FloatArray
from diapipe.steps.limits import Limited


@dataclass(frozen=True, slots=True, kw_only=True)
class AbstractAssociator(Limited, ABC):
    """Choice of objects for sources.

    Attributes
    ----------
    error_floor_arcsec
        Least error of a position, along each axis: what registration, refraction and proper motion leave, however
        bright the source.
    error_fallback_arcsec
        Error of a position that brings none.
    """

    error_floor_arcsec: float = 0.05
    error_fallback_arcsec: float = 0.2

    @abstractmethod
    def associate(self, batches: Iterable[SourceBatch], known: Association) -> Association:
        """Which object each source belongs to.

        Parameters
        ----------
        batches
            One of each visit and detector; what founds objects and what joins them may depend on their order.
        known
            What was associated before: its sources and objects keep their identifiers.
        """

    def variances(self, batch: SourceBatch) -> FloatArray:
        """Squared errors of positions east and north, with floor and fallback, in square radians; shape (n, 2)."""
        errors = 3600.0 * np.stack([batch.ra_err, batch.dec_err], axis=1)
        known = np.isfinite(errors) & (errors > 0.0)
        arcsec = np.where(known, np.maximum(errors, self.error_floor_arcsec), self.error_fallback_arcsec)
        return np.asarray(np.radians(arcsec / 3600.0) ** 2)
