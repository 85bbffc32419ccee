"""rescaled: which visits have another flux scale than they had."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table

from diapipe.catalogs.photometric_scales import rescaled


def scales(*rows):
    """Visit, detector, nJy of a count, its error."""
    return Table(rows=rows, names=("visit", "detector", "nJyPerCount", "nJyPerCountErr"))


@pytest.mark.parametrize(
    ("was", "is_now", "moved"),
    [
        ((2.0, 0.0), (2.008, 0.0), False),  # 0.4% is nothing
        ((2.0, 0.0), (2.012, 0.0), True),
        ((2.0, 0.0), (1.988, 0.0), True),
        ((2.0, 0.02), (2.025, 0.02), False),  # 1.25%, of errors of 1.4%
        ((2.0, 0.02), (2.032, 0.02), True),
        ((2.0, np.nan), (2.012, np.nan), True),
        ((np.nan, np.nan), (2.0, 0.0), False),  # nothing was made on it
        ((2.0, 0.0), (np.nan, np.nan), False),  # and nothing can be
    ],
)
def test_a_scale_has_moved_when_it_did_by_more_than_its_error(was, is_now, moved):
    """And by half a percent at least."""
    assert rescaled(scales((7, 1, *was)), scales((7, 1, *is_now))) == ({7} if moved else set())


def test_one_detector_moves_its_visit_and_others_stay():
    """Images are compared by visit and detector, whatever their order; new ones have not moved."""
    then = scales((1, 0, 1.0, 0.0), (1, 1, 1.0, 0.0), (2, 0, 1.0, 0.0))
    now = scales((3, 0, 9.0, 0.0), (2, 0, 1.0, 0.0), (1, 1, 1.3, 0.0), (1, 0, 1.0, 0.0))
    assert rescaled(then, now) == {1}
    now["nJyPerCount"] = MaskedColumn(now["nJyPerCount"], mask=[False, False, True, False])
    assert rescaled(then, now) == set()
