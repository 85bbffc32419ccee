"""What a repository holds: visits and tracts, and how each task's quanta of an output ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from lsst.daf.butler import Butler, DatasetRef, MissingCollectionError, MissingDatasetTypeError
from lsst.daf.butler._collection_type import CollectionType

from diapipe.tasks.repository import open_repository
from diapipe.tasks.running.execution import in_words
from diapipe.tasks.running.journal import Journal
from diapipe.tasks.running.ledger import Ledger
from diapipe.tasks.running.outcome import Ended, Outcome
from diapipe.tasks.running.reasons import failure_reason, had_no_work, no_work_reason
from diapipe.tasks.running.survey_run import CHAINS, own_runs

METADATA, LOG = "_metadata", "_log"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputStatus:
    """What one output holds.

    Parameters
    ----------
    outcomes
        The last of each quantum that has one.
    history
        The runs, oldest first, as the journal has them.
    """

    chain: str
    outcomes: tuple[Outcome, ...]
    history: tuple[dict[str, Any], ...]

    def counts(self) -> dict[str, Counter[Ended]]:
        """For each task, how many ended how."""
        counts: dict[str, Counter[Ended]] = {}
        for outcome in self.outcomes:
            counts.setdefault(outcome.task, Counter())[outcome.ended] += 1
        return counts


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryStatus:
    """What a repository holds: numbers of records by dimension, and its outputs."""

    n_records: dict[str, int]
    outputs: tuple[OutputStatus, ...] = field(default=())


def status_of(repo: str, *, output: str = "") -> RepositoryStatus:
    """Look through a repository.

    Parameters
    ----------
    repo
        Its root.
    output
        Only this output; all where empty.
    """
    with open_repository(repo) as butler:
        counted = ("instrument", "exposure", "visit", "detector", "skymap", "tract", "patch")
        n_records = {name: _n_records(butler, name) for name in counted}
        chains = [output if "/" in output else f"{CHAINS}/{output}"] if output else _chains(butler)
        return RepositoryStatus(n_records=n_records, outputs=tuple(_output(butler, repo, chain) for chain in chains))


def _n_records(butler: Butler, dimension: str) -> int:
    with butler.query() as query:
        return sum(1 for _ in query.dimension_records(dimension))


def _chains(butler: Butler) -> list[str]:
    """The outputs that `diapipe run` made."""
    return sorted(butler.collections.query(f"{CHAINS}/*", collection_types={CollectionType.CHAINED}))


def _output(butler: Butler, repo: str, chain: str) -> OutputStatus:
    runs = own_runs(butler, chain)
    journal = Journal.of(repo, chain)
    outcomes = tuple(_outcomes(butler, runs, journal.ledger())) if runs else ()
    return OutputStatus(chain=chain, outcomes=outcomes, history=tuple(journal.history()))


def _outcomes(butler: Butler, runs: list[str], ledger: Ledger) -> Iterator[Outcome]:
    """The outcome of every quantum with metadata or a log."""
    for label in sorted(_labels(butler, runs), key=ledger.rank):
        done = _newest(butler, label + METADATA, runs)
        logs = _newest(butler, label + LOG, runs)
        for data_id, ref in sorted((done | {d: r for d, r in logs.items() if d not in done}).items()):
            yield _outcome(butler, ledger, label, ref, logs.get(data_id), is_done=data_id in done)


def _labels(butler: Butler, runs: list[str]) -> list[str]:
    """The tasks that left something in the runs."""
    infos = [butler.collections.get_info(run, include_summary=True) for run in runs]
    names = {name for info in infos for name in info.dataset_types or ()}
    return sorted({name.removesuffix(end) for name in names for end in (METADATA, LOG) if name.endswith(end)})


def _newest(butler: Butler, kind: str, runs: list[str]) -> dict[tuple[Any, ...], DatasetRef]:
    """The newest dataset of a kind for each data id."""
    try:
        found = butler.query_datasets(kind, collections=runs, find_first=True, limit=None, explain=False)
    except (MissingDatasetTypeError, MissingCollectionError):
        return {}
    return {tuple(ref.dataId.required_values): ref for ref in found}


def _outcome(
    butler: Butler, ledger: Ledger, task: str, ref: DatasetRef, log: DatasetRef | None, *, is_done: bool
) -> Outcome:
    """From the ledger where it speaks of this very run, else from the repository."""
    entry = ledger.get(task, ref.dataId)
    if entry is not None and entry.run == ref.run:
        ended, reason = entry.ended, entry.reason
    elif not is_done:
        ended, reason = Ended.FAILED, failure_reason(butler.get(ref))
    elif had_no_work(butler.get(ref)):
        ended, reason = Ended.NO_WORK, no_work_reason(butler.get(log)) if log is not None else ""
    else:
        ended, reason = Ended.DONE, ""
    return Outcome(quantum_id=ref.id, task=task, data_id=in_words(ref.dataId), ended=ended, reason=reason)
