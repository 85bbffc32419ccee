"""doAddMetrics: how well each star of the kernel, and each control, was subtracted."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy.table import Table

from diapipe.catalogs.source_tables import source_table
from diapipe.images import Exposure
from diapipe.steps.match import Match, StarMatcher, candidate_quality, quality_summary
from diapipe.steps.select import Selection
from diapipe.steps.template import SipRegistration, residual_columns

KERNEL, CONTROL = "kernel", "control"


def with_metrics(
    selection: Selection,
    match: Match | None,
    science: Exposure,
    template: Exposure,
    *,
    algorithm: StarMatcher,
    registration: SipRegistration | None = None,
) -> tuple[Table, dict[str, float]]:
    """The table of sources with what the kernel left at those that made it and at the controls; and that in short.

    Parameters
    ----------
    selection
        Sources, and the part of each.
    match, algorithm
        The kernel, and what made it.
    science, template
        As they were matched.
    registration
        Residuals of which are told as well.

    Returns
    -------
    tuple
        Table of all sources, with ``kernelRole`` ("kernel", "control" or "") and the columns of `candidate_quality`,
        NaN for those that were not judged; and the averages over those that made the kernel, by the older names.
    """
    assert match is not None
    table = source_table(selection.sources)
    roles = np.full(len(table), "", dtype="U7")
    roles[selection.kernel], roles[selection.control] = KERNEL, CONTROL
    table["kernelRole"] = roles
    judged = np.flatnonzero(roles != "")
    quality = candidate_quality(match, science, template, selection.sources.select(judged), algorithm=algorithm)
    columns: dict[str, Any] = {name: np.asarray(quality[name]) for name in quality.colnames}
    for name, values in columns.items():
        table[name] = _spread(values, judged, len(table))
    if registration is not None:
        for name, values in residual_columns(registration, selection.sources).items():
            table[name] = values
    return table, quality_summary(quality[roles[judged] == KERNEL])


def _spread(values: Any, rows: Any, n: int) -> Any:
    """Values of some rows in a column of all; NaN, or 0 for whole numbers, elsewhere."""
    empty = np.nan if values.dtype.kind == "f" else 0
    column = np.full((n, *values.shape[1:]), empty, dtype=values.dtype)
    column[rows] = values
    return column
