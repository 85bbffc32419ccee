"""From labelled features to a model: boosted trees by scikit-learn, calibrated by trees that had not seen the field."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from scipy.optimize import minimize

from diapipe.errors import UsageError
from diapipe.numerics.arrays import BoolArray, FloatArray
from diapipe.numerics.forest import Forest, forest_sums
from diapipe.steps.classify import Model
from diapipe.steps.limits import Limited
from diapipe.training.samples import Samples

_PARTS = 5
"""Of the fields: each is judged by trees of the others, for the calibration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Boosting(Limited):
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

    may_be_zero = ("penalty", "seed")
    shares = ("rate", "feature_share")

    n_trees: int = 300
    n_leaves: int = 31
    rate: float = 0.05
    least_samples: int = 30
    penalty: float = 5.0
    feature_share: float = 0.3
    seed: int = 1


def trained(samples: Samples, *, options: Boosting | None = None) -> Model:
    """A model of labelled samples: trees grown on all fields, calibrated as trees do on fields left out.

    Parameters
    ----------
    samples
        Of many fields.
    options
        How the trees are grown.

    Raises
    ------
    UsageError
        If scikit-learn is not installed.
    """
    grown = options or Boosting()
    forest = _grown(samples, grown)
    calibration = _calibration(_sums_of_others(samples, grown), samples.is_real)
    return Model(_version(forest, calibration), samples.names, forest, calibration)


def _sums_of_others(samples: Samples, options: Boosting) -> FloatArray:
    """What trees say of each sample that were grown on the other parts of the fields."""
    part, sums, constant = samples.field % _PARTS, np.zeros(len(samples)), _log_odds(samples.is_real)
    for one in np.unique(part):
        left_out = part == one
        others = samples.select(~left_out)
        said = forest_sums(_grown(others, options), samples.table[left_out])
        sums[left_out] = said + _log_odds(others.is_real) - constant
    return sums


def _log_odds(is_real: BoolArray) -> float:
    """What scikit-learn's trees begin with, which a forest does not hold."""
    share = float(is_real.mean())
    return float(np.log(share / (1.0 - share)))


def needs_scikit_learn() -> None:
    """Refuse to begin where trees cannot be grown in the end; UsageError tells how to install what is missing."""
    if find_spec("sklearn") is None:
        raise UsageError("training needs scikit-learn: pip install 'diapipe[train]'")


def _grown(samples: Samples, options: Boosting) -> Forest:
    """A forest whose sums are log-odds of being real, but for a constant."""
    needs_scikit_learn()
    from sklearn.ensemble import HistGradientBoostingClassifier

    trees = HistGradientBoostingClassifier(
        learning_rate=options.rate,
        max_iter=options.n_trees,
        max_leaf_nodes=options.n_leaves,
        min_samples_leaf=options.least_samples,
        l2_regularization=options.penalty,
        max_features=options.feature_share,
        early_stopping=False,
        random_state=options.seed,
    ).fit(samples.table, samples.is_real)
    return _flat([stage[0].nodes for stage in trees._predictors])


def _flat(trees: list[Any]) -> Forest:
    """Scikit-learn's trees one after the other; a leaf becomes its own child. Numbers are as the file keeps them."""
    sizes = [len(nodes) for nodes in trees]
    roots = np.cumsum([0, *sizes])[:-1]
    nodes = np.concatenate(trees)
    first = np.repeat(roots, sizes)
    own, is_leaf = np.arange(len(nodes)), nodes["is_leaf"].astype(bool)
    left, right = (np.where(is_leaf, own, first + nodes[side].astype(np.int64)) for side in ("left", "right"))
    threshold, value = np.where(is_leaf, 0.0, nodes["num_threshold"]), np.where(is_leaf, nodes["value"], 0.0)
    return Forest(
        feature=np.where(is_leaf, 0, nodes["feature_idx"]).astype(np.int64),
        threshold=threshold.astype(np.float32).astype(np.float64),
        left=left,
        right=right,
        value=value.astype(np.float32).astype(np.float64),
        roots=roots,
        depth=int(nodes["depth"].max()),
    )


def _calibration(sums: FloatArray, is_real: BoolArray) -> tuple[float, float]:
    """Constant and slope of the true log-odds of sums: the likeliest (Platt 1999)."""
    sign = np.where(is_real, -1.0, 1.0)

    def loss(line: FloatArray) -> float:
        return float(np.logaddexp(0.0, sign * (line[0] + line[1] * sums)).mean())

    constant, slope = minimize(loss, np.array([0.0, 1.0]), method="BFGS").x
    return float(constant), float(slope)


def _version(forest: Forest, calibration: tuple[float, float]) -> str:
    """A name that is the model's own."""
    content = b"".join(np.ascontiguousarray(part).tobytes() for part in (*forest[:-1], np.array(calibration)))
    return f"trees-{hashlib.sha256(content).hexdigest()[:8]}"
