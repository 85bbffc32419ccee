"""The features by which sources are judged: pure numbers, of cut-outs alone, whatever unit, pixel scale or depth."""

from __future__ import annotations

import numpy as np

from diapipe.images.triplets import Triplets
from diapipe.numerics.arrays import FloatArray
from diapipe.steps.classify.end_features import end_features
from diapipe.steps.classify.light_features import light_features
from diapipe.steps.classify.line_features import line_features
from diapipe.steps.classify.point_features import point_features
from diapipe.steps.classify.seen import seen_on
from diapipe.steps.classify.surrounding_features import surrounding_features


def feature_columns(triplets: Triplets) -> dict[str, FloatArray]:
    """Every feature by name, each of shape (n,); NaN where too little of a source is seen to judge by."""
    seen = seen_on(triplets)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        columns = point_features(seen) | light_features(seen) | surrounding_features(seen, triplets.mask)
        columns |= line_features(seen) | end_features(seen)
    told = seen.is_told
    return {name: np.where(told, np.nan_to_num(values), np.nan) for name, values in columns.items()}


def feature_table(triplets: Triplets, names: tuple[str, ...]) -> FloatArray:
    """Some features in a given order; shape (n, k)."""
    columns = feature_columns(triplets)
    return np.stack([columns[name] for name in names], axis=1)
