"""From labelled features to a model: boosted trees by scikit-learn, calibrated on fields that they have not seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize

from diapipe.errors import UsageError
from diapipe.numerics.arrays import BoolArray, FloatArray
from diapipe.numerics.forest import Forest, forest_sums
from diapipe.steps.classify import Model


@dataclass(frozen=True, slots=True, kw_only=True)
class Boosting:
    """How the trees are grown.

    Attributes
    ----------
    n_trees, n_leaves
        How many trees, of how many leaves at most.
    rate
        Part of what a tree finds that is added.
    least_samples
        Of a leaf.
    penalty
        On the squares of what leaves add.
    feature_share
        Part of the features that each split may choose among.
    seed
        Of that choice.
    """

    n_trees: int = 300
    n_leaves: int = 16
    rate: float = 0.05
    least_samples: int = 30
    penalty: float = 5.0
    feature_share: float = 0.3
    seed: int = 1


def grown(table: FloatArray, is_real: BoolArray, *, weight: FloatArray, options: Boosting) -> tuple[Forest, float]:
    """A forest whose sums, plus the constant, are log-odds of being real.

    Raises
    ------
    UsageError
        If scikit-learn is not installed.
    """
    try:
        from sklearn.ensemble import HistGradientBoostingClassifier
    except ImportError as error:
        raise UsageError("training needs scikit-learn: pip install 'diapipe[train]'") from error
    trees = HistGradientBoostingClassifier(
        learning_rate=options.rate,
        max_iter=options.n_trees,
        max_leaf_nodes=options.n_leaves,
        min_samples_leaf=options.least_samples,
        l2_regularization=options.penalty,
        max_features=options.feature_share,
        early_stopping=False,
        random_state=options.seed,
    ).fit(table, is_real, sample_weight=weight)
    return _flat([stage[0].nodes for stage in trees._predictors]), float(trees._baseline_prediction[0, 0])


def _flat(trees: list[Any]) -> Forest:
    """Scikit-learn's trees one after the other; leaves become their own children."""
    sizes = [len(nodes) for nodes in trees]
    roots = np.cumsum([0, *sizes])[:-1]
    nodes = np.concatenate(trees)
    first = np.repeat(roots, sizes)
    own, is_leaf = np.arange(len(nodes)), nodes["is_leaf"].astype(bool)
    left, right = (np.where(is_leaf, own, first + nodes[side].astype(np.int64)) for side in ("left", "right"))
    return Forest(
        feature=np.where(is_leaf, 0, nodes["feature_idx"]).astype(np.int64),
        # as the file keeps it
        threshold=np.where(is_leaf, 0.0, nodes["num_threshold"]).astype(np.float32).astype(np.float64),
        left=left,
        right=right,
        value=np.where(is_leaf, nodes["value"], 0.0).astype(np.float32).astype(np.float64),
        roots=roots,
        depth=int(nodes["depth"].max()),
    )


def calibrated(forest: Forest, table: FloatArray, is_real: BoolArray) -> tuple[float, float]:
    """Constant and slope that make true log-odds of the sums on samples that the forest has not seen (Platt 1999)."""
    sums = forest_sums(forest, table)
    sign = np.where(is_real, -1.0, 1.0)

    def loss(line: FloatArray) -> float:
        return float(np.logaddexp(0.0, sign * (line[0] + line[1] * sums)).mean())

    constant, slope = minimize(loss, np.array([0.0, 1.0]), method="BFGS").x
    return float(constant), float(slope)


def trained(
    table: FloatArray,
    is_real: BoolArray,
    *,
    names: tuple[str, ...],
    for_calibration: BoolArray,
    weight: FloatArray,
    version: str,
    options: Boosting | None = None,
) -> Model:
    """A model of labelled samples.

    Parameters
    ----------
    table, is_real
        Features, shape (n, k), and truth.
    names
        Of the features.
    for_calibration
        Samples that the trees are not grown on but calibrated with: of fields of their own.
    weight
        Of each sample as the trees grow; the calibration counts each once.
    version
        Of the model.
    options
        How the trees are grown.
    """
    growing = ~for_calibration
    forest, _ = grown(table[growing], is_real[growing], weight=weight[growing], options=options or Boosting())
    return Model(version, names, forest, calibrated(forest, table[for_calibration], is_real[for_calibration]))
