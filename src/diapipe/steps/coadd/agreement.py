"""The levels of the inputs of a coadd made to agree."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from diapipe.images import Box, ChebyshevField
from diapipe.images.fields import field_terms
from diapipe.numerics.levels import matched_levels
from diapipe.steps.coadd.base import AbstractCoadder
from diapipe.steps.coadd.facts import Facts, cell_centres, level_cell_px


def own_levels(facts: Sequence[Facts], box: Box, options: AbstractCoadder) -> list[ChebyshevField | None]:
    """The field of each input that is to be subtracted from it; None for nothing."""
    order = options.level_order
    if order is None or len(facts) < 2:
        return [None] * len(facts)
    x, y = cell_centres(box, level_cell_px(box, options))
    found = matched_levels(
        np.array([fact.levels for fact in facts]),
        np.array([fact.level_weights for fact in facts]),
        field_terms(box, order, x=x, y=y),
        np.array([fact.weight for fact in facts]),
    )
    return [ChebyshevField(coefficients, box) for coefficients in found]
