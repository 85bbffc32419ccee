"""Configurations that come with diapipe, by name: those of dia_pipe for DC2 (Run 1.2i)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from diapipe.errors import UsageError

_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A configuration of tasks of the survey's pipeline.

    Attributes
    ----------
    meaning
        What it is for, in a sentence.
    files
        By label of a task: file of this folder with lines about its ``config``.
    """

    meaning: str
    files: Mapping[str, str]


PRESETS: Mapping[str, Preset] = {
    "dc2-run1.2i": Preset(
        meaning="Image differences as dia_pipe configured them for DC2 Run 1.2i.",
        files={"imageDifference": "dc2_run12i.py"},
    ),
    "dc2-best-seeing": Preset(
        meaning="Templates of the five sharpest images of each patch, none wider than 3.5 px.",
        files={"selectVisits": "dc2_best_seeing.py"},
    ),
    "dc2-time-best-seeing": Preset(
        meaning="Templates of the ten sharpest images of two years, 2.5 to 3.5 px wide.",
        files={"selectVisits": "dc2_time_best_seeing.py"},
    ),
}

DRIVER_FILES = {
    "imagedifferencedriver": "imageDifferenceDriver.py",
    "coadddriver_bestseeing": "coaddDriver_BestSeeing.py",
    "coadddriver_timebestseeing": "coaddDriver_TimeBestSeeing.py",
}
"""Configuration files of the older drivers by their names in small letters."""


def preset_settings(name: str) -> tuple[str, ...]:
    """A preset as ``label:file`` for each of its tasks, as ``diapipe run -C`` and ``pipetask run -C`` take it.

    Raises
    ------
    UsageError
        If there is none of that name.
    """
    if name not in PRESETS:
        raise UsageError(f"there is no preset {name}; there are {', '.join(PRESETS)}")
    return tuple(f"{label}:{_HERE / file}" for label, file in PRESETS[name].files.items())


def preset_file(name: str) -> str:
    """Path of a file of this folder."""
    return str(_HERE / name)


def driver_file(path: str) -> str:
    """The configuration file of a driver: the user's, or the one of that name that comes with diapipe.

    Raises
    ------
    UsageError
        If there is neither.
    """
    if Path(path).is_file():
        return path
    own = DRIVER_FILES.get(Path(path).stem.casefold())
    if own is None:
        raise UsageError(f"there is no configuration file {path}; diapipe brings {', '.join(DRIVER_FILES.values())}")
    return preset_file(own)
