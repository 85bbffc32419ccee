"""Runs of the toy survey, and what they left, for the tests of the machinery."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.toy_survey import PIPELINE
from lsst.daf.butler import Butler

from diapipe.tasks.running import DataSelection, Outcome, RunRequest, RunSummary, Settings, run_survey
from diapipe.tasks.running.outcome import Silence

STEPS = ("visits", "scale", "coadds", "differences")
N_VISITS, N_DETECTORS = 3, 2


def request(repo: Path, *, steps: tuple[str, ...] = STEPS, values: tuple[str, ...] = (), **options: Any) -> RunRequest:
    """A run of the toy pipeline on two workers; data are chosen by the fields of `DataSelection`."""
    chosen = {name: options.pop(name) for name in list(options) if name in DataSelection.__dataclass_fields__}
    options = {"n_workers": 2, "pipeline": str(PIPELINE)} | options
    return RunRequest(
        repo=str(repo),
        steps=steps,
        settings=Settings(values=values),
        data=DataSelection(**chosen),
        **options,
    )


def run(repo: Path, **options: Any) -> RunSummary:
    """Run the toy pipeline."""
    return run_survey(request(repo, **options))


def counts(summary: RunSummary) -> dict[str, int]:
    """How many ended how."""
    return {kind: n for kind in ("done", "no work", "failed", "skipped") if (n := len(ended(summary, kind)))}


def ended(summary: RunSummary, kind: str) -> list[Outcome]:
    """The outcomes of a kind."""
    return [outcome for outcome in summary.outcomes if outcome.ended.value == kind]


def values(
    repo: Path, name: str = "difference_image", collection: str = "diapipe/default"
) -> dict[tuple[Any, ...], Any]:
    """Every dataset of a name by its data id."""
    with Butler.from_config(repo) as butler:
        refs = butler.query_datasets(name, collections=collection, find_first=True, limit=None, explain=False)
        return {tuple(ref.dataId.required_values): butler.get(ref) for ref in refs}


def n_registered(repo: Path, name: str) -> int:
    """How many datasets of a name there are, in whatever run."""
    with Butler.from_config(repo) as butler:
        return len(butler.query_datasets(name, collections="*", find_first=False, limit=None, explain=False))


def strays(repo: Path) -> list[Path]:
    """Files of outputs that the repository does not know of."""
    with Butler.from_config(repo) as butler:
        infos = butler.collections.query_info("diapipe/*", include_summary=True, flatten_chains=True)
        kinds = {kind for info in infos for kind in info.dataset_types or ()}
        known = {
            Path(butler.getURI(ref).ospath)
            for kind in kinds
            for ref in butler.query_datasets(kind, collections="diapipe/*", find_first=False, limit=None, explain=False)
        }
    return [path for path in (repo / "diapipe").rglob("*") if path.is_file() and path not in known]


class Heard(Silence):
    """Keeps what a run says between its steps."""

    def __init__(self) -> None:
        self.sentences: list[str] = []

    def say(self, sentence: str) -> None:
        self.sentences.append(sentence)
