"""What a repository holds: visits and tracts, and how each task's quanta of an output ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from lsst.daf.butler import Butler, CollectionInfo, DatasetRef, MissingCollectionError, MissingDatasetTypeError
from lsst.daf.butler._collection_type import CollectionType

from diapipe.errors import UsageError
from diapipe.tasks.repository import open_repository
from diapipe.tasks.repository.ingest_sorting import changed_files
from diapipe.tasks.running.camera_changes import camera_changes
from diapipe.tasks.running.execution import in_words
from diapipe.tasks.running.journal import Journal
from diapipe.tasks.running.ledger import Ledger
from diapipe.tasks.running.outcome import Ended, Outcome
from diapipe.tasks.running.outputs import own_runs
from diapipe.tasks.running.reasons import failure_reason, had_no_work, no_work_reason
from diapipe.tasks.running.run_request import CHAINS

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
    camera_changes
        A sentence for each camera that is described otherwise than when the output was begun.
    writer
        Who runs into it now; empty where nobody does.
    """

    chain: str
    outcomes: tuple[Outcome, ...]
    history: tuple[dict[str, Any], ...]
    camera_changes: tuple[str, ...] = ()
    writer: str = ""

    def counts(self) -> dict[str, Counter[Ended]]:
        """For each task, how many ended how."""
        counts: dict[str, Counter[Ended]] = {}
        for outcome in self.outcomes:
            counts.setdefault(outcome.task, Counter())[outcome.ended] += 1
        return counts


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryStatus:
    """What a repository holds: numbers of records by dimension, and its outputs.

    Parameters
    ----------
    lost_files
        Ingested files outside of the repository that are ``gone`` or ``changed``, by their paths.
    """

    n_records: dict[str, int]
    lost_files: tuple[tuple[str, str], ...] = ()
    outputs: tuple[OutputStatus, ...] = field(default=())


def status_of(repo: str, *, output: str = "") -> RepositoryStatus:
    """Look through a repository.

    Parameters
    ----------
    repo
        Its root.
    output
        Only this output; all where empty.

    Raises
    ------
    UsageError
        If there is no such output.
    """
    with open_repository(repo) as butler:
        counted = ("instrument", "exposure", "visit", "detector", "skymap", "tract", "patch")
        n_records = {name: _n_records(butler, name) for name in counted}
        runs = _runs_of_outputs(butler)
        if output:
            name = _named(output, runs)
            runs = {name: runs[name]}
        outputs = [_output(butler, repo, name, runs[name]) for name in sorted(runs)]
        lost = tuple(changed_files(butler))
        return RepositoryStatus(n_records=n_records, lost_files=lost, outputs=tuple(outputs))


def output_status(butler: Butler, repo: str, chain: str) -> OutputStatus | None:
    """How the work on one output ended, without a look at all the rest; None where no task ran.

    Parameters
    ----------
    butler, repo
        The repository, and its root.
    chain
        Full name of the output.
    """
    runs = _runs_of_outputs(butler).get(chain)
    return None if runs is None else _output(butler, repo, chain, runs)


def _n_records(butler: Butler, dimension: str) -> int:
    with butler.query() as query:
        return sum(1 for _ in query.dimension_records(dimension))


def _runs_of_outputs(butler: Butler) -> dict[str, list[str]]:
    """Every output, whatever program made it, with its RUNs, newest first.

    An output is a chain of ours, or one that holds RUNs of its own name in which tasks ran, as `pipetask` and bps make
    them, or such a RUN that is in no chain.
    """
    infos = list(butler.collections.query_info("*", include_summary=True))
    chains = {info.name for info in infos if info.type is CollectionType.CHAINED}
    left = {info.name for info in infos if info.type is CollectionType.RUN and _labels([info])}
    found: dict[str, list[str]] = {}
    for chain in sorted(chains, key=len, reverse=True):  # a RUN of u/me/deep belongs to that, not to u/me
        runs = [run for run in own_runs(butler, chain) if run in left]
        left.difference_update(runs)
        if runs or chain.startswith(f"{CHAINS}/"):
            found[chain] = runs
    return found | {run: [run] for run in left}


def _named(output: str, known: Collection[str]) -> str:
    """The full name of an output; UsageError where there is none."""
    for name in (output, f"{CHAINS}/{output}"):
        if name in known:
            return name
    raise UsageError(f"the repository has no output {output}; it has {', '.join(sorted(known)) or 'none yet'}")


def _output(butler: Butler, repo: str, chain: str, runs: list[str]) -> OutputStatus:
    journal = Journal.of(repo, chain)
    outcomes = tuple(_outcomes(butler, runs, journal.ledger())) if runs else ()
    return OutputStatus(
        chain=chain,
        outcomes=outcomes,
        history=tuple(journal.history()),
        camera_changes=tuple(camera_changes(butler, journal)),
        writer=journal.writer(),
    )


def _outcomes(butler: Butler, runs: list[str], ledger: Ledger) -> Iterator[Outcome]:
    """The outcome of every quantum with metadata or a log."""
    infos = [butler.collections.get_info(run, include_summary=True) for run in runs]
    for label in sorted(_labels(infos), key=ledger.rank):
        done = _newest(butler, label + METADATA, runs)
        logs = _newest(butler, label + LOG, runs)
        for data_id, ref in sorted((done | {d: r for d, r in logs.items() if d not in done}).items()):
            yield _outcome(butler, ledger, label, ref, logs.get(data_id), is_done=data_id in done)


def _labels(infos: Iterable[CollectionInfo]) -> list[str]:
    """The tasks that left something in some collections, by their summaries."""
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
