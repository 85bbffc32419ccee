"""A simulated survey as files: raw exposures, the tables of its truth, and a note of what was asked for."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy import units
from astropy.table import Table, vstack

from diapipe.errors import ReadError, UsageError
from diapipe.io import read_parquet, write_parquet, write_plain_image, write_text
from diapipe.simulate import SimulatedSurvey, SurveyFrame, SurveySpec, simulate_survey

CAMERA = "Simulator"
"""What the cards call the camera; its description comes with diapipe."""
NOTE = "survey.json"
"""Written first, it says whose the folder is."""
_SCHEMA = "diapipe-survey-1"
_REFERENCE_ERROR = 0.002
_REFERENCE_FAINTEST_MAG = 22.0


@dataclass(frozen=True, slots=True)
class SurveyFolder:
    """Where everything of a survey lies."""

    root: Path

    @property
    def exposures(self) -> Path:
        """Folder of the raw exposures."""
        return self.root / "exposures"

    @property
    def repository(self) -> Path:
        """Butler repository."""
        return self.root / "repo"

    @property
    def report(self) -> Path:
        """Folder of the pages."""
        return self.root / "report"

    @property
    def reference(self) -> Path:
        """Catalogue of reference stars."""
        return self.root / "reference_stars.parquet"

    def truth(self, table: str) -> Path:
        """A table of the truth: ``stars``, ``galaxies``, ``objects``, ``visits``, ``fluxes`` or ``trails``."""
        return self.root / "truth" / f"{table}.parquet"

    def read_truth(self, table: str) -> Table:
        """The same, read."""
        return read_parquet(self.truth(table))

    @property
    def files(self) -> list[Path]:
        """The raw exposures, by visit and detector."""
        return sorted(self.exposures.glob("*.fits"))


def claim(folder: SurveyFolder, spec: SurveySpec, seed: int) -> bool:
    """Make the folder ours, or see that it holds the beginning of the same survey.

    Returns
    -------
    bool
        Whether an earlier run began it.

    Raises
    ------
    UsageError
        If it holds something else.
    """
    asked = json.loads(json.dumps({"schema": _SCHEMA, "seed": seed, "spec": asdict(spec)}))
    found = _note_of(folder)
    if found is None:
        if folder.root.exists() and (not folder.root.is_dir() or any(folder.root.iterdir())):
            raise UsageError(
                f"{folder.root} holds something that is no simulated survey of diapipe; give another --out"
            )
        folder.root.mkdir(parents=True, exist_ok=True)
        write_text(folder.root / NOTE, json.dumps(asked, indent=1) + "\n")
        return False
    if found != asked:
        raise UsageError(
            f"{folder.root} holds another survey, of seed {found.get('seed')}; "
            "give --overwrite to replace it, or another --out"
        )
    return True


def clear(folder: SurveyFolder) -> None:
    """Remove what an earlier simulation left, and what was made of it, and nothing else."""
    if _note_of(folder) is not None:
        for place in (folder.exposures, folder.repository, folder.report, folder.truth("stars").parent):
            shutil.rmtree(place, ignore_errors=True)
        for path in (folder.reference, folder.root / NOTE):
            path.unlink(missing_ok=True)


def _note_of(folder: SurveyFolder) -> dict[str, Any] | None:
    """What the note says; None if there is none."""
    try:
        found = json.loads((folder.root / NOTE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("schema") == _SCHEMA else None


def write_survey(
    folder: SurveyFolder, spec: SurveySpec, seed: int, *, progress: Callable[[str], None] = lambda stage: None
) -> None:
    """Simulate and write what is not there yet; the table of fluxes, which is written last, says that all is."""
    if _is_readable(folder.truth("fluxes")):
        return
    survey = simulate_survey(spec, rng=np.random.default_rng(seed))
    for place in (folder.exposures, folder.truth("stars").parent):
        place.mkdir(exist_ok=True)
    changes, trails = [], []
    for visit in survey.visits:
        progress(f"simulate visit {visit.id} of {len(survey.visits)}")
        for detector in range(spec.n_detectors):
            frame = survey.frame(visit.id, detector)
            _write_exposure(folder, frame)
            changes.append(frame.changes)
            trails.append(_trails(survey, frame))
    tables = {
        "stars": survey.stars,
        "galaxies": survey.galaxies,
        "objects": survey.objects,
        "visits": survey.visit_table,
    }
    for name, table in tables.items():
        write_parquet(table, folder.truth(name))
    write_parquet(reference_stars(survey, rng=np.random.default_rng([seed, 1])), folder.reference)
    write_parquet(vstack(trails), folder.truth("trails"))
    write_parquet(vstack(changes), folder.truth("fluxes"))


def reference_stars(survey: SimulatedSurvey, *, rng: np.random.Generator) -> Table:
    """Constant stars as an earlier survey would list them: positions, fluxes in nJy with errors of 0.2%."""
    stars, first = survey.stars, survey.spec.bands[0]
    table = stars[~stars["is_variable"] & (stars[f"mag_{first}"] < _REFERENCE_FAINTEST_MAG)]
    columns: dict[str, Any] = {name: table[name] for name in ("id", "ra", "dec")}
    for band in survey.spec.bands:
        flux = np.asarray(table[f"flux_{band}"])
        columns[f"{band}_flux"] = flux * (1.0 + _REFERENCE_ERROR * rng.standard_normal(len(flux))) * units.nJy
        columns[f"{band}_fluxErr"] = _REFERENCE_ERROR * flux * units.nJy
    return Table(columns)


def _write_exposure(folder: SurveyFolder, frame: SurveyFrame) -> None:
    """One raw file."""
    name = f"visit{frame.visit.id:04d}-detector{frame.detector}.fits"
    cards = {"INSTRUME": CAMERA, "OBJECT": "simulated field"}
    write_plain_image(frame.exposure, folder.exposures / name, cards=cards)


def _trails(survey: SimulatedSurvey, frame: SurveyFrame) -> Table:
    """Ends of the satellites' trails in pixels of a detector."""
    at, trails = survey.spec.detector_box(frame.detector), frame.visit.trails
    ends = np.array([[t.x0 - at.x0, t.y0 - at.y0, t.x1 - at.x0, t.y1 - at.y0] for t in trails]).reshape(-1, 4)
    numbers = {"visit": frame.visit.id, "detector": frame.detector}
    table = Table({name: np.full(len(trails), number) for name, number in numbers.items()})
    for name, column in zip(("x0", "y0", "x1", "y1"), ends.T, strict=True):
        table[name] = column * units.pix
    table["width"] = np.full(len(trails), frame.visit.fwhm_px) * units.pix
    return table


def _is_readable(path: Path) -> bool:
    """Whether a table is there, whole."""
    try:
        read_parquet(path)
    except ReadError:
        return False
    return True
