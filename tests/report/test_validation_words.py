"""What a validation says to a reader: the sentence and the rows of the grade."""

import numpy as np

from diapipe.report.validation import grade_rows, validation_sentence

SHARE = {"value": 0.95, "low": 0.9, "high": 0.97, "n_of": 19, "n": 20}
NUMBERS = {
    "n_true": 30,
    "completeness": {"all": SHARE},
    "half_complete": {"value": 5.0, "low": 4.9, "high": 5.1},
    "expected_noise": 4.0,
    "n_unexplained": {"noise": 3},
    "brighter_21": {"bias": -0.00591, "bias_err": 0.00456, "scatter": 0.0126, "scatter_by_noise": 0.0213},
}


def test_values_are_told_as_they_are_read():
    """Parts in percent, shares and S/N with three digits, counts as whole numbers."""
    rows = {row.name: row for row in grade_rows(NUMBERS)}
    bias, scatter = (rows[f"{what} of fluxes brighter than 21 mag"] for what in ("bias", "scatter"))
    assert (bias.limit, bias.value) == (
        "at most 0.184%",
        "\N{MINUS SIGN}0.591% (\N{MINUS SIGN}1.05 to \N{MINUS SIGN}0.135)",
    )
    assert (scatter.limit, scatter.value) == ("at most 1.842%", "1.26%; 2.13% by noise alone")
    assert rows["S/N of 50% completeness"].value == "5.00 (4.90 to 5.10)"
    noise = rows["sources like noise (4.0 expected)"]
    assert (noise.limit, noise.value) == ("at most 9", "3")


def test_the_sentence_says_what_is_known():
    """How many of how many and the interval; where nothing is bright enough, that."""
    said = validation_sentence(NUMBERS)
    assert "30 sources of known truth on usable pixels; of the 20 above S/N 6, 19 were found" in said
    assert "(95%; 90% to 97% within one sigma)" in said
    nothing = {"value": np.nan, "low": np.nan, "high": np.nan, "n_of": 0, "n": 0}
    few = {**NUMBERS, "n_true": 1, "completeness": {"all": nothing}, "half_complete": {"value": None}}
    assert validation_sentence(few) == "1 source of known truth on usable pixels, none of them above S/N 6."
