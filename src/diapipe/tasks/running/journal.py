"""Journal: what a run leaves on disk so that a killed one loses nothing; and the lock that lets one run at a time.

It is a folder beside the data, ``.diapipe/<output>`` in the root of the repository. The graph of a step lies there
while the step runs. A graph found there by the next run is that of a run that was killed: what its quanta wrote and
nobody registered is then registered, and what half-done quanta wrote is removed.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from io import FileIO
from itertools import count
from pathlib import Path
from typing import Any

from lsst.daf.butler import ButlerConfig
from lsst.pipe.base.quantum_graph import PredictedQuantumGraphComponents

from diapipe.errors import UsageError, WriteError
from diapipe.tasks.running.ledger import Ledger

POLL_SECONDS = 1.0
_GLANCE_SECONDS, _N_GLANCES = 0.02, 3
"""Whoever asks for the `Journal.writer` holds the lock for less than this."""


class Journal:
    """The folder of one output chain.

    Parameters
    ----------
    folder
        Made by the first run; one that is not there holds nothing yet.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def of(cls, repo: str, output: str) -> Journal:
        """The journal of an output chain of a repository; each output has a folder of its own."""
        one_name = output.replace("%", "%25").replace(".", "%2E").replace("/", ".")
        return cls(folder_of(repo) / one_name)

    @contextmanager
    def locked(self, *, wait: bool = False) -> Iterator[None]:
        """Be the only run of this output in the block; the system frees the lock of a process that died.

        Raises
        ------
        UsageError
            If another run has it and ``wait`` is false.
        WriteError
            If the lock cannot be made.
        """
        with self._lock_file() as file:
            tries = count()
            while not _locked(file.fileno()):
                if next(tries) < _N_GLANCES:
                    time.sleep(_GLANCE_SECONDS)
                    continue
                if not wait:
                    file.seek(0)
                    raise UsageError(
                        f"another run writes this output ({file.read().decode().strip() or 'it just began'}); "
                        "wait for it (--wait does), or give another --output"
                    )
                time.sleep(POLL_SECONDS)
            file.truncate(0)
            with suppress(OSError):  # on a full disk it is not said who runs, and the lock holds all the same
                file.write(f"process {os.getpid()} on {socket.gethostname()}, since {_now()}\n".encode())
            yield

    def writer(self) -> str:
        """Who runs into this output at this moment, and which step; empty where nobody does."""
        try:
            file = FileIO(self.folder / "lock")
        except OSError:
            return ""
        with file:
            try:
                fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                steps = [path.name.split(".")[-2] for path in self.folder.glob("*.qg")]
                who = file.read().decode().strip() or "a run that just began"
                return f"{who}, step {steps[-1]}" if steps else who
        return ""

    def _lock_file(self) -> FileIO:
        """The file that is locked; the folder and it are made where they are missing."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            return FileIO(self.folder / "lock", "a+")
        except OSError as error:
            raise WriteError(f"{self.folder} cannot be written: {error.strerror}") from error

    def open_step(self, run: str, step: str, graph: PredictedQuantumGraphComponents) -> Path:
        """Keep the graph of a step that begins."""
        path = self.folder / f"{run.rpartition('/')[2]}.{step}.qg"
        partial = path.with_name(path.name + ".partial.qg")
        graph.write(str(partial))
        partial.replace(path)
        return path

    def unfinished(self) -> list[Path]:
        """Graphs of steps that ended without saying so, oldest first."""
        for partial in self.folder.glob("*.partial.qg"):
            partial.unlink()
        return sorted(self.folder.glob("*.qg"), key=lambda path: path.stat().st_mtime)

    def ledger(self) -> Ledger:
        """How the quanta of this output ended."""
        return Ledger(self.folder / "ledger.jsonl")

    def camera(self, instrument: str) -> Path:
        """Where the description of a camera is kept that this output was begun with."""
        return self.folder / "cameras" / f"{instrument}.yaml"

    def cameras(self) -> list[Path]:
        """The descriptions that are kept."""
        return sorted(self.folder.glob("cameras/*.yaml"))

    def record(self, entry: dict[str, Any]) -> None:
        """Add a line to the history of runs."""
        with (self.folder / "history.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def history(self) -> list[dict[str, Any]]:
        """The runs so far, oldest first; a line cut short by a full disk is left out."""
        path = self.folder / "history.jsonl"
        entries = []
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
            try:
                entries.append(json.loads(line))
            except json.JSONDecodeError:
                continue
        return entries


def folder_of(repo: str) -> Path:
    """Where the journals of a repository lie."""
    root = ButlerConfig(repo).configDir
    if root is None or not root.isLocal:
        raise UsageError(f"diapipe run needs a repository in a local folder, not {root}; use pipetask or bps there")
    return Path(root.ospath) / ".diapipe"


def _locked(descriptor: int) -> bool:
    """Try to lock."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
