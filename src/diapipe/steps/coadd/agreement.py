"""The levels of the inputs of a coadd made to agree."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from diapipe.images import Box, ChebyshevField
from diapipe.images.fields import field_terms
from diapipe.numerics.levels import matched_levels
from diapipe.numerics.polynomials import n_terms
from diapipe.steps.coadd.base import AbstractCoadder
from diapipe.steps.coadd.facts import Facts, cell_centres, level_cell_px

_CELLS_PER_TERM = 3


def own_levels(facts: Sequence[Facts], box: Box, options: AbstractCoadder) -> list[ChebyshevField | None]:
    """The field of each input that is to be subtracted from it; None for nothing.

    An input that covers few cells has a polynomial of lower degree.
    """
    order = options.level_order
    if order is None or len(facts) < 2:
        return [None] * len(facts)
    x, y = cell_centres(box, level_cell_px(box, options))
    numbers = [_terms(int(np.count_nonzero(fact.level_weights)), order) for fact in facts]
    found = matched_levels(
        np.array([fact.levels for fact in facts]),
        np.array([fact.level_weights * fact.weight for fact in facts]),
        field_terms(box, order, x=x, y=y),
        numbers,
        np.array([fact.weight for fact in facts]),
    )
    return [ChebyshevField(coefficients, box) if len(coefficients) else None for coefficients in found]


def _terms(n_cells: int, order: int) -> int:
    """Terms of the polynomial of the highest degree, up to ``order``, that so many cells determine."""
    while order >= 0 and n_cells < _CELLS_PER_TERM * n_terms(order):
        order -= 1
    return n_terms(order) if order >= 0 else 0
