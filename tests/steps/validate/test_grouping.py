"""A survey is judged in parts, and its parts add up."""

import json
from dataclasses import replace

import numpy as np
import pytest
from test_validation import _judged

from diapipe.errors import InputError
from diapipe.steps.validate import NO_VISIT, validate, validate_groups

JUDGED = [
    replace(_judged(400, seed=visit + 10 * detector, half=half, name=f"{visit}/{detector}"), visit=visit, band=band)
    for visit, band, half in ((2, "r", 5.0), (1, "g", 9.0), (3, "r", 5.0))
    for detector in (0, 1)
]
"""Of two bands; what is found in one is brighter."""


def test_each_part_is_judged_by_its_own():
    """The numbers of a band, of a visit and of all are those that `validate` gives of them alone."""
    found = validate_groups(JUDGED)
    assert found.whole.numbers == validate(JUDGED).numbers
    assert list(found.bands) == ["g", "r"]
    assert found.bands["g"].numbers == validate([one for one in JUDGED if one.band == "g"]).numbers
    assert list(found.visits) == [1, 2, 3]
    assert found.visits[3].numbers == validate([one for one in JUDGED if one.visit == 3]).numbers
    assert found.bands["g"].numbers["half_complete"]["value"] > found.bands["r"].numbers["half_complete"]["value"] + 2


def test_visits_in_their_own_template_are_told_by_visit_alone():
    """All and the bands are those of the other visits; where there are no others, of these."""
    mixed = [replace(one, in_template=one.visit == 3) for one in JUDGED]
    found = validate_groups(mixed)
    others = [one for one in JUDGED if one.visit != 3]
    assert found.n_own == 2
    assert found.whole.numbers == validate(others).numbers
    assert found.bands["r"].numbers == validate([one for one in others if one.band == "r"]).numbers
    assert found.visits[3].numbers == validate([one for one in JUDGED if one.visit == 3]).numbers
    alone = validate_groups([replace(one, in_template=True) for one in JUDGED])
    assert alone.whole.numbers == validate(JUDGED).numbers


@pytest.mark.parametrize("which", ["completeness", "accuracy"])
def test_tables_hold_all_parts(which):
    """Rows of all, of each band and of each visit; each kind sums to the same."""
    table = getattr(validate_groups(JUDGED), which)
    rows = (
        table[(table["by"] == "snr") & (table["kind"] == "all")]
        if which == "completeness"
        else table[table["by"] == "snr"]
    )
    band, visit = np.asarray(rows["band"]), np.asarray(rows["visit"])
    n = np.asarray(rows["n"])
    whole = n[band == ""].sum()
    assert whole == n[(band != "") & (visit == NO_VISIT)].sum() == n[visit != NO_VISIT].sum() > 0
    assert set(band[visit == 1]) == {"g"}


def test_json_has_them_too():
    """Plain values, with the band of each visit."""
    plain = json.loads(json.dumps(validate_groups(JUDGED).plain))
    assert set(plain["bands"]) == {"g", "r"}
    assert {visit: part["band"] for visit, part in plain["visits"].items()} == {"1": "g", "2": "r", "3": "r"}
    assert plain["completeness_bins"]


def test_nothing_is_refused():
    """As of one difference."""
    with pytest.raises(InputError, match="at least one"):
        validate_groups([])
