"""Ledger: how each quantum of an output ended, in one file that is read at once.

The repository knows it too, one small file of metadata and one log for each quantum. The ledger spares reading them,
and keeps what the repository does not: from which inputs a quantum was made, so that one whose inputs have grown since
can be told. A quantum that the ledger does not know, because `pipetask` ran it, is looked up in the repository.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from lsst.daf.butler import DataCoordinate

from diapipe.tasks.running.outcome import Ended

type Key = tuple[str, tuple[object, ...]]
"""Task and the values of its required dimensions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """How a quantum ended the last time.

    Parameters
    ----------
    run
        The RUN it wrote to.
    inputs
        `digest_of` what it read.
    """

    run: str
    ended: Ended
    reason: str = ""
    inputs: str = ""


class Ledger:
    """Entries by task and data id, in a file that only grows.

    Parameters
    ----------
    path
        Lines of JSON; the last of a key counts. A line that was cut short is left out.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries: dict[Key, Entry] = {}
        self._settled: dict[Key, Entry] = {}
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                self._read(line)

    def _read(self, line: str) -> None:
        try:
            task, values, run, ended, reason, inputs = json.loads(line)
            entry = Entry(run=run, ended=Ended(ended), reason=reason, inputs=inputs)
        except ValueError:
            return
        self._keep((task, tuple(values)), entry)

    def _keep(self, key: Key, entry: Entry) -> None:
        self._entries[key] = entry
        if entry.ended in (Ended.DONE, Ended.NO_WORK):
            self._settled[key] = entry

    def write(self, entries: Iterable[tuple[Key, Entry]]) -> None:
        """Add entries, all with one write."""
        lines = []
        for (task, values), entry in entries:
            self._keep((task, values), entry)
            lines.append(json.dumps([task, list(values), entry.run, entry.ended.value, entry.reason, entry.inputs]))
        if lines:
            with self._path.open("a", encoding="utf-8") as file:
                file.write("\n".join(lines) + "\n")

    def get(self, task: str, data_id: DataCoordinate) -> Entry | None:
        """The entry of a quantum."""
        return self._entries.get(key_of(task, data_id))

    def rank(self, task: str) -> tuple[int, str]:
        """Sorts tasks as they first ran, unknown ones last."""
        tasks = list(dict.fromkeys(key[0] for key in self._entries))
        return (tasks.index(task) if task in tasks else len(tasks)), task

    def entries(self, task: str) -> Mapping[Key, Entry]:
        """All entries of a task."""
        return {key: entry for key, entry in self._entries.items() if key[0] == task}

    def settled(self, task: str) -> Mapping[Key, Entry]:
        """Of a task: how each quantum ended the last time that it did not fail, for these results are still there."""
        return {key: entry for key, entry in self._settled.items() if key[0] == task}


def key_of(task: str, data_id: DataCoordinate) -> Key:
    """The key of a quantum."""
    return task, tuple(data_id.required_values)


def digest_of(dataset_ids: Iterable[UUID]) -> str:
    """A short name for a set of datasets."""
    joined = b"".join(sorted(dataset_id.bytes for dataset_id in set(dataset_ids)))
    return hashlib.blake2b(joined, digest_size=8).hexdigest()
