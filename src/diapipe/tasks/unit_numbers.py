"""Numbers of the detectors of visits, out of visit summaries, metadata of tasks, and how these ended."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from astropy.table import Table
from lsst.pipe.base import TaskMetadata

from diapipe.tasks.running.outcome import Ended, Outcome

_OF_SUMMARY = ("band", "mjd", "skyBg", "zeroPoint", "magLim", "pixelScale", "raCorners", "decCorners")
_OF_METADATA = {
    "templateMagLim": "subtract:templateLimitingMagnitude",
    "differenceMagLim": "subtract:diffimLimitingMagnitude",
    "nKernelStars": "subtract:numGoodCandidates",
    "starReducedChi2": "starReducedChi2",
    "noiseRatio": "noiseRatio",
    "nSources": "measurement:nSources",
}
"""By column: subtask and name in the metadata of the image difference."""
_IN_PIXELS = {
    "templateFwhm": "subtract:templateFwhm",
    "differenceFwhm": "subtract:diffimFwhm",
    "registrationRms": "registrationRms",
}
"""The same of lengths."""
_UNIT = re.compile(r"visit=(\d+) detector=(\d+)")
_TASKS = ("characterize", "imageDifference")
"""In this order, the first that did not end well says why there is no difference."""


def numbers_of_summary(row: Table.Row) -> dict[str, Any]:
    """What a row of a visit summary knows; the width of a PSF in arc seconds."""
    found = {name: row[name] for name in _OF_SUMMARY}
    return found | {"psfFwhm": float(row["psfFwhm"]) * float(row["pixelScale"])}


def numbers_of_metadata(metadata: TaskMetadata, *, pixel_scale_arcsec: float) -> dict[str, float]:
    """What the image difference told of itself; what it did not tell is left out."""
    found = {column: _number(metadata, name) for column, name in _OF_METADATA.items()}
    found |= {column: _number(metadata, name) * pixel_scale_arcsec for column, name in _IN_PIXELS.items()}
    by_kernel, by_stars = (_number(metadata, f"subtract:nJyPerCountBy{what}") for what in ("Kernel", "Stars"))
    return found | {"kernelScale": by_kernel / by_stars if by_stars > 0 else np.nan}


def seconds_of(metadata: TaskMetadata) -> float:
    """CPU time of a task; NaN where nobody took it."""
    quantum: Mapping[str, Any] = metadata.get("quantum", {})
    times = [quantum.get(name, np.nan) for name in ("startCpuTime", "endCpuTime")]
    start, end = (float(np.ravel(time)[-1]) for time in times)
    return end - start


def without_result(outcomes: Iterable[Outcome]) -> dict[tuple[int, int], tuple[str, str]]:
    """By visit and detector: how the work on those ended that have no difference, and why."""
    found: dict[tuple[int, int], tuple[str, str]] = {}
    of_units = [outcome for outcome in outcomes if outcome.task in _TASKS and outcome.ended is not Ended.DONE]
    for outcome in sorted(of_units, key=lambda one: _TASKS.index(one.task)):
        if matched := _UNIT.search(outcome.data_id):
            visit, detector = map(int, matched.groups())
            found.setdefault((visit, detector), (str(outcome.ended), f"{outcome.task}: {outcome.reason}"))
    return found


def _number(metadata: TaskMetadata, name: str) -> float:
    """An entry of the image difference, NaN where there is none; ``subtract:x`` is that of its subtask."""
    subtask, _, key = name.rpartition(":")
    part: Any = metadata.get(f"imageDifference:{subtask}" if subtask else "imageDifference", {})
    value = part.get(key)
    return float(value) if isinstance(value, int | float) else np.nan
