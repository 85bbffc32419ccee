"""AbstractSelector: a way to choose, among the sources of an image, those fit to make a matching kernel."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from diapipe.catalogs.sources import ReferenceList, SourceList
from diapipe.numerics.arrays import BoolArray, FloatArray
from diapipe.steps.limits import Limited


@dataclass(frozen=True, slots=True, kw_only=True)
class AbstractSelector(Limited, ABC):
    """Choice of sources by their own measurements and, where it is known, by their entry in a reference catalogue.

    Attributes
    ----------
    bad_flags
        Sources with any of these flags are left out; in Rubin's spelling or that of afw tables (badFlags).
    """

    bad_flags: tuple[str, ...] = ()

    @abstractmethod
    def chosen(self, sources: SourceList, reference: ReferenceList | None) -> BoolArray:
        """Which sources are chosen; shape (n,).

        Parameters
        ----------
        sources
            Of the science image.
        reference
            Catalogue entry of each, in the order of the sources; None where there is no catalogue.

        Raises
        ------
        InputError
            If the sources lack a measurement or the catalogue that this choice is made by.
        """


def within(values: FloatArray, least: float | None, most: float | None) -> BoolArray:
    """Finite values not below ``least`` nor above ``most``, None being no limit."""
    good = np.isfinite(values)
    if least is not None:
        good &= values >= least
    if most is not None:
        good &= values <= most
    return good
