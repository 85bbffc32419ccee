"""PageContent: everything that a page is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table import Table

from diapipe.images import Difference
from diapipe.numerics.arrays import Float32Array
from diapipe.numerics.stats import median, thinned

if TYPE_CHECKING:
    from diapipe.flow import DifferenceResult

_SAMPLE = 100_000


@dataclass(frozen=True, kw_only=True, eq=False)
class PageContent:
    """What the page of one difference shows.

    Attributes
    ----------
    summary
        The content of `summary.json`.
    dia_sources
        The catalogue.
    difference
        The result, with the kernel.
    science
        Pixels of the science image on the same grid, or None if they are at hand no more.
    matched_template
        Pixels of the template as it was subtracted, or None.
    """

    summary: Mapping[str, Any]
    dia_sources: Table
    difference: Difference
    science: Float32Array | None = None
    matched_template: Float32Array | None = None

    @property
    def inputs(self) -> dict[str, Float32Array]:
        """Science image and template by these names, those that are at hand."""
        planes = {"science": self.science, "template": self.matched_template}
        return {name: plane for name, plane in planes.items() if plane is not None}

    @cached_property
    def skies(self) -> dict[str, np.float32]:
        """Level of the sky of each of them."""
        return {name: np.float32(median(thinned(plane, _SAMPLE))) for name, plane in self.inputs.items()}


def content_of_result(result: DifferenceResult, summary: Mapping[str, Any] | None = None) -> PageContent:
    """What a page shows of a result in memory.

    Parameters
    ----------
    result
        Of `diapipe.difference_pair`.
    summary
        Its summary with more in it; that of the result unless given.
    """
    matched = result.difference.matched_template
    return PageContent(
        summary=result.summary if summary is None else summary,
        dia_sources=result.dia_sources,
        difference=result.difference,
        science=result.science.exposure.masked_image.image,
        matched_template=None if matched is None else matched.image,
    )
