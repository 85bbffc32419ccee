"""Trees learn odds that are known, say them as probabilities, and are those of scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from tests.training.made_samples import made_samples

from diapipe.numerics.forest import forest_sums
from diapipe.training import Boosting, trained
from diapipe.training.boosting import _grown

ensemble = pytest.importorskip("sklearn.ensemble", reason="no training: scikit-learn is not installed")
FEW = Boosting(n_trees=100, n_leaves=8, rate=0.1, feature_share=1.0)


@pytest.fixture(scope="module")
def model():
    return trained(made_samples(12_000)[0], options=FEW)


def test_scores_are_probabilities(model):
    """On samples of another draw: in each tenth of the scores the share of real ones is the mean score.

    Within four standard errors of the share, and what 12,000 samples leave open, 0.02.
    """
    samples, _ = made_samples(20_000, seed=2)
    score = model.probability(samples.table)
    for low in np.arange(0.0, 1.0, 0.1):
        inside = (score >= low) & (score < low + 0.1)
        error = np.sqrt(max(score[inside].mean() * (1 - score[inside].mean()), 1e-3) / inside.sum())
        assert abs(samples.is_real[inside].mean() - score[inside].mean()) < 4 * error + 0.02


def test_they_follow_the_true_odds(model):
    """The mean loss exceeds that of the truth itself by less than a hundredth."""
    samples, odds = made_samples(20_000, seed=3)
    score = np.clip(model.probability(samples.table), 1e-6, 1 - 1e-6)

    def loss(p):
        return -np.mean(np.where(samples.is_real, np.log(p), np.log(1 - p)))

    assert loss(score) < loss(1.0 / (1.0 + np.exp(-odds))) + 0.01


def test_the_forest_is_that_of_scikit_learn():
    """Sums differ from its decision function by one constant; a threshold rounds to float32, which few samples meet."""
    samples, _ = made_samples(2000)
    forest = _grown(samples, FEW)
    theirs = ensemble.HistGradientBoostingClassifier(
        learning_rate=FEW.rate, max_iter=FEW.n_trees, max_leaf_nodes=FEW.n_leaves, min_samples_leaf=FEW.least_samples,
        l2_regularization=FEW.penalty, max_features=FEW.feature_share, early_stopping=False, random_state=FEW.seed,
    ).fit(samples.table, samples.is_real)  # fmt: skip
    off = theirs.decision_function(samples.table) - forest_sums(forest, samples.table)
    assert np.mean(np.abs(off - np.median(off)) < 1e-5) > 0.99


def test_one_set_of_samples_makes_one_model(model):
    """The same trees and version again; others of other samples."""
    again, other = trained(made_samples(12_000)[0], options=FEW), trained(made_samples(3000, seed=5)[0], options=FEW)
    assert again.version == model.version != other.version
    np.testing.assert_array_equal(again.forest.value, model.forest.value)
    assert again.calibration == model.calibration
