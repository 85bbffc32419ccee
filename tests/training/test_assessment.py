"""What a model is said to be worth is what counting gives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.training.made_samples import made_samples

from diapipe.numerics.forest import Forest
from diapipe.steps.classify import Model
from diapipe.training import assess
from diapipe.training.assessment import calibration_table


def by_sign():
    """Believes what has a positive first feature, with odds of e³."""
    forest = Forest(
        feature=np.array([0, 0, 0]), threshold=np.array([0.0, 0, 0]), left=np.array([1, 1, 2]),
        right=np.array([2, 1, 2]), value=np.array([0.0, -3.0, 3.0]), roots=np.array([0]), depth=1,
    )  # fmt: skip
    return Model("by sign", ("a", "b", "idle"), forest, (0.0, 1.0))


def test_shares_are_counts():
    """Purity, completeness and that of each kind, above S/N 6, of sources on usable pixels."""
    samples, _ = made_samples()
    found = assess(by_sign(), samples)
    judged = (samples.snr > 6) & ~samples.is_on_bad_pixel
    kept = judged & (samples.table[:, 0] > 0)
    assert found["n_judged"] == judged.sum()
    assert found["score"]["purity"].value == pytest.approx(samples.is_real[kept].mean())
    assert found["score"]["completeness"].n == (judged & samples.is_real).sum()
    hosted = judged & (samples.kind == "hosted")
    assert found["score"]["hosted"].value == pytest.approx(kept[hosted].mean())
    assert found["plain cut"]["hosted"].value == pytest.approx((~samples.is_bad)[hosted].mean())


def test_a_calibration_counts_real_ones_by_score():
    """Two scores, two rows; every sample in one of them."""
    samples, _ = made_samples()
    rows = assess(by_sign(), samples)["calibration"]
    assert [row["score"] for row in rows] == pytest.approx([1 / (1 + np.exp(3)), 1 / (1 + np.exp(-3))])
    assert sum(row["n"] for row in rows) == len(samples)
    assert rows[1]["real"] == pytest.approx(samples.is_real[samples.table[:, 0] > 0].mean())


def test_the_ends_belong_to_the_outer_bins():
    rows = calibration_table(np.array([0.0, 1.0, 1.0]), np.array([False, True, True]))
    assert [(row["n"], row["real"]) for row in rows] == [(1, 0.0), (2, 1.0)]


def test_nothing_real_is_no_division_by_zero():
    """Shares of nothing are NaN."""
    samples, _ = made_samples(50)
    nothing = replace(samples, is_real=np.zeros(50, bool), kind=np.full(50, ""))
    assert np.isnan(assess(by_sign(), nothing)["score"]["completeness"].value)
