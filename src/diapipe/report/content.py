"""PageContent: everything that a page is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from astropy.table import Table

from diapipe.images import Difference
from diapipe.numerics.arrays import Float32Array


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
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
