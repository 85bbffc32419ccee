"""Data as the older drivers choose it becomes a condition of the Butler."""

from __future__ import annotations

import pytest

from diapipe.errors import UsageError
from diapipe.tasks.data_ids import condition, meant, parsed


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("visit=1^2", "visit IN (1, 2)"),
        ("visit=431306 ccd=0..188", "visit IN (431306) AND detector IN (0..188)"),
        ("visit=1..9:2^20 detector=5", "visit IN (1..9:2, 20) AND detector IN (5)"),
        ("tract=48 patch=1,2 filter=r", "tract IN (48) AND (patch.cell_x = 1 AND patch.cell_y = 2) AND band IN ('r')"),
        ("patch=0,1^2,0", "((patch.cell_x = 0 AND patch.cell_y = 1) OR (patch.cell_x = 2 AND patch.cell_y = 0))"),
        ("filter=u^g", "band IN ('u', 'g')"),
        ("patch=3^5", "patch IN (3, 5)"),
        ("raftName=R22 detectorName=S11", "detector.raft IN ('R22') AND detector.name_in_raft IN ('S11')"),
        ("", ""),
    ],
)  # fmt: skip
def test_words_become_a_condition(words, expected):
    assert condition([parsed(words.split())]) == expected


def test_several_mean_any_of_them():
    """One without keys means everything; detectors can be left out of whatever is meant."""
    first, second = parsed(["visit=1", "detector=0"]), parsed(["visit=2"])
    assert condition([first, second]) == "(visit IN (1) AND detector IN (0)) OR (visit IN (2))"
    assert condition([first, second], left_out=[9, 3, 9]) == (
        "((visit IN (1) AND detector IN (0)) OR (visit IN (2))) AND detector NOT IN (3, 9)"
    )
    assert condition([first, {}]) == ""
    assert condition([], left_out=[7]) == "detector NOT IN (7)"


def test_the_key_of_the_detector_can_be_another():
    assert parsed(["sensor=4"], ccd_key="sensor") == {"detector": ["4"]}


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("visit", r"key=value, such as visit=1\^2"),
        ("visit=", "key=value"),
        ("visit=r", "visit takes numbers and ranges"),
        ("visit=1...3", "visit takes numbers and ranges"),
        ("visit=1..9:0", "visit takes numbers and ranges"),
        ("patch=1,2,3", "patch takes column,row"),
        ("filter=r'", "filter takes a name"),
        ("ra=3", "knows visit, expId, .* and not 'ra'"),
    ],
)
def test_what_cannot_be_understood_is_named(word, sentence):
    with pytest.raises(UsageError, match=sentence):
        parsed([word])


def test_which_detectors_are_meant():
    """Ranges with their ends and steps; without a detector all are."""
    ids = [parsed(["visit=1", "detector=0..8:4^20"])]
    assert meant(ids, [0, 2, 4, 8, 20, 21]) == [0, 4, 8, 20]
    assert meant([parsed(["visit=1"])], [5, 3]) == [3, 5]
    assert meant([*ids, {}], [2]) == [2]
