"""What a result is worth where a reliability decides, and not the plain cut."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy.table import Table

from diapipe.numerics.arrays import BoolArray, FloatArray
from diapipe.numerics.proportions import share
from diapipe.steps.validate.bins import GOOD_SNR
from diapipe.steps.validate.completeness import plain, shares_by_kind

RELIABLE = 0.5
"""Sources of at least this reliability are kept."""
RELIABILITY = "reliability"


def score_numbers(truth: Table, snr: FloatArray, sources: Table, *, truth_is_all: bool) -> dict[str, Any]:
    """Shares above the S/N that counts of what the score keeps; nothing where sources have no score.

    Parameters
    ----------
    truth, snr
        Usable rows of the truth and their absolute S/N.
    sources
        Of all differences.
    truth_is_all
        Whether what the truth does not explain is false.

    Returns
    -------
    dict
        ``with_score``: ``threshold``; ``completeness`` of all and by kind, of all that is true; ``of_detected``, the
        same of what was detected; ``n_sources`` kept, and ``purity`` where it is known.
    """
    if RELIABILITY not in sources.colnames or RELIABILITY not in truth.colnames:
        return {}
    above, detected = snr > GOOD_SNR, np.asarray(truth["diaSourceId"]) != 0
    kept, reliable = _is_reliable(truth), _is_reliable(sources)
    bright = np.abs(np.asarray(sources["snr"])) > GOOD_SNR
    numbers: dict[str, Any] = {
        "threshold": RELIABLE,
        "completeness": shares_by_kind(truth, above, kept),
        "of_detected": shares_by_kind(truth, above & detected, kept),
        "n_sources": int(np.count_nonzero(reliable)),
    }
    if truth_is_all:
        true = np.asarray(sources["is_true"], dtype=np.bool_)
        judged = reliable & bright
        numbers["purity"] = plain(share(int(np.count_nonzero(judged & true)), int(np.count_nonzero(judged))))
    return {"with_score": numbers}


def _is_reliable(table: Table) -> BoolArray:
    """Rows with a score that is high enough."""
    score = np.ma.filled(np.ma.asarray(table[RELIABILITY]).astype(np.float64), np.nan)
    return np.asarray(score >= RELIABLE, dtype=np.bool_)
