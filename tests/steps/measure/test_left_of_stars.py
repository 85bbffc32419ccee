"""dp_bad: what a difference leaves of its own stars is no change of a star."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.steps.measure.quality import Cuts, residual_reasons

NOTHING = (
    "snr", "dp_sharpness", "dp_chi2Excess", "dp_templateRatio", "dp_psfMismatch", "dp_partnerRatio", "dp_starRatio",
    "dp_saturatedDistance", "dp_saturatedScatter", "dp_lineScore",
)  # fmt: skip


@pytest.mark.parametrize(
    ("static_error", "expected"),
    [
        (0.0, [True, False, False]),
        (0.04, [True, True, False]),
        (0.8, [True, True, False]),
        (-0.01, [True, False, False]),
    ],
)
def test_a_change_must_be_more_than_what_is_left_of_every_star(static_error, expected):
    """Changes of 1, 5 and 15% of a star: 5% is none where the difference leaves 4% of all; where its stars scatter by
    80% it is they that have changed, and no more than 10% is held against any; less than nothing is nothing.
    """
    columns = {name: np.full(3, np.nan) for name in NOTHING}
    columns |= {"dp_templateRatio": np.array([0.01, 0.05, 0.15]), "dp_psfMismatch": np.zeros(3)}
    found = residual_reasons(columns, cuts=Cuts(), static_error=static_error)
    assert found["dp_residual_static"].tolist() == expected
    assert not any(values.any() for name, values in found.items() if name != "dp_residual_static")
