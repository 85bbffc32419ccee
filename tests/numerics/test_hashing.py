"""Hash tables of whole numbers: a set that grows."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from diapipe.numerics.hashing import NumberSet

NUMBERS = st.lists(st.integers(-(2**63) + 1, 2**63 - 1) | st.integers(-3, 3), max_size=80)


@given(lists=st.lists(NUMBERS, max_size=4))
def test_a_number_is_new_once(lists):
    """Python's own set says the same, list by list and within each, whatever the numbers."""
    twin, numbers = set(), NumberSet()
    for some in lists:
        expected = []
        for number in some:
            expected.append(number not in twin)
            twin.add(number)
        assert numbers.add(np.array(some, np.int64)).tolist() == expected
        assert len(numbers) == len(twin)
