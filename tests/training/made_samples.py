"""Samples of known odds."""

from __future__ import annotations

import numpy as np

from diapipe.training import Samples

KINDS = np.array(["hostless", "hosted", "variable", "trailed"])


def made_samples(n=4000, *, seed=1, n_fields=20):
    """Two features that matter and one that does not: log-odds of being real are 2 a - 3 b².

    The features have no more digits than float32.
    """
    rng = np.random.default_rng(seed)
    table = rng.normal(size=(n, 3)).astype(np.float32).astype(np.float64)
    odds = 2.0 * table[:, 0] - 3.0 * table[:, 1] ** 2 + 1.0
    is_real = rng.random(n) < 1.0 / (1.0 + np.exp(-odds))
    samples = Samples(
        names=("a", "b", "idle"),
        table=table,
        is_real=is_real,
        kind=np.where(is_real, KINDS[rng.integers(4, size=n)], ""),
        snr=np.exp(rng.uniform(np.log(5), np.log(50), n)),
        is_bad=rng.random(n) < 0.2,
        is_on_bad_pixel=rng.random(n) < 0.1,
        field=rng.integers(n_fields, size=n),
    )
    return samples, odds
