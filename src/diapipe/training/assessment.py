"""What a model is worth on fields that it has not seen."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from diapipe.catalogs.injections import KINDS
from diapipe.numerics.arrays import BoolArray, FloatArray
from diapipe.numerics.proportions import share
from diapipe.steps.classify import Model
from diapipe.training.samples import Samples

GOOD_SNR = 6.0
THRESHOLD = 0.5
_EDGES = (0.0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)


def assess(model: Model, samples: Samples) -> dict[str, Any]:
    """Completeness by kind and purity above an S/N of 6, by the score and by the plain cut, and whether scores hold.

    Only sources on usable pixels count. Completeness is that of what was detected.

    Returns
    -------
    dict
        ``score`` and ``plain cut``, each with ``purity``, ``completeness`` and that of each kind as `Share`;
        ``calibration``: rows of mean score, share of real ones and number; ``n_fields``, ``n``, ``version``.
    """
    score = model.probability(samples.table)
    usable = ~samples.is_on_bad_pixel
    bright = usable & (samples.snr > GOOD_SNR)
    return {
        "version": model.version,
        "n_fields": len(np.unique(samples.field)),
        "n": len(samples),
        "n_judged": int(bright.sum()),
        "score": _shares(samples, bright, score >= THRESHOLD),
        "plain cut": _shares(samples, bright, ~samples.is_bad),
        "calibration": calibration_table(score, samples.is_real),
    }


def calibration_table(score: FloatArray, is_real: BoolArray) -> list[dict[str, float]]:
    """Mean score and share of real sources in bins of the score, with the interval of one sigma of the share."""
    rows: list[dict[str, float]] = []
    for low, high in itertools.pairwise(_EDGES):
        inside = (score >= low) & ((score < high) | (high == 1.0))
        if inside.any():
            found = share(int(np.count_nonzero(inside & is_real)), int(inside.sum()))
            interval = {"real": found.value, "low": found.low, "high": found.high, "n": found.n}
            rows.append({"score": float(score[inside].mean()), **interval})
    return rows


def _shares(samples: Samples, judged: BoolArray, kept: BoolArray) -> dict[str, Any]:
    """Of sources that are judged, by whether they were kept."""
    real = judged & samples.is_real
    told = {
        "purity": share(int((kept & real).sum()), int((kept & judged).sum())),
        "completeness": share(int((kept & real).sum()), int(real.sum())),
    }
    for kind in KINDS:
        one = real & (samples.kind == kind)
        told[kind] = share(int((kept & one).sum()), int(one.sum()))
    return told
