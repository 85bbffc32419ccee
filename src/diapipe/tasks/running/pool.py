"""WorkerPool: processes that outlive their quanta, so that none pays for a start; a crash costs one quantum."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, cast

from diapipe.tasks.running.outcome import Ended
from diapipe.tasks.running.worker import Bench, Job, Report, work

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
PRELOADED: tuple[str, ...] = ("diapipe.tasks.running.preload",)


@dataclass(eq=False, slots=True)
class _Worker:
    """A process, the pipe to it, and what it does."""

    process: BaseProcess
    connection: Connection
    bench: Bench | None = None
    job: Job | None = None
    begun: float = 0.0


class WorkerPool:
    """Processes that execute quanta.

    Parameters
    ----------
    n_workers
        Processes at once.
    preload
        Modules that every worker has imported before its first quantum.
    limit_seconds
        A quantum that takes longer is ended and has failed; None for no limit.

    Notes
    -----
    Where there is a fork server, it imports the modules once and forks the workers: a new one, after a crash, takes
    milliseconds. Elsewhere each is a new interpreter.
    """

    def __init__(self, n_workers: int, *, preload: Iterable[str] = (), limit_seconds: float | None = None) -> None:
        methods = multiprocessing.get_all_start_methods()
        self._context: Any = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
        self._context.set_forkserver_preload([*PRELOADED, *preload])
        self._n_workers, self._limit_seconds = n_workers, limit_seconds
        self._workers: list[_Worker] = []
        self._bench: Bench | None = None

    def start(self) -> None:
        """Start the workers now, so that they import while something else is done."""
        with _one_thread():
            while len(self._workers) < self._n_workers:
                self._workers.append(self._new())

    def equip(self, bench: Bench) -> None:
        """What the jobs from now on share; for when none runs."""
        self._bench = bench

    @property
    def n_running(self) -> int:
        """Jobs handed out and not reported."""
        return sum(worker.job is not None for worker in self._workers)

    @property
    def has_room(self) -> bool:
        """Whether one more job would begin at once."""
        return self.n_running < self._n_workers

    def submit(self, job: Job) -> None:
        """Hand a job to a free worker."""
        self.start()
        worker = next(worker for worker in self._workers if worker.job is None)
        worker.job, worker.begun = job, time.monotonic()
        try:
            if worker.bench is not self._bench:
                worker.connection.send_bytes(pickle.dumps(self._bench))
                worker.bench = self._bench
            worker.connection.send_bytes(pickle.dumps(job))
        except OSError:
            pass  # it died idle: `wait` finds it dead and says so

    def wait(self, timeout_seconds: float) -> list[Report]:
        """Reports that came within a time, crashes and quanta over the limit among them."""
        busy = [worker for worker in self._workers if worker.job is not None]
        sources = [source for worker in busy for source in (worker.connection, worker.process.sentinel)]
        ready = set(wait(sources, self._nearest(busy, timeout_seconds)))
        reports = []
        for worker in busy:
            if worker.connection in ready or worker.process.sentinel in ready:
                reports.append(self._collect(worker))
            elif self._limit_seconds is not None and time.monotonic() - worker.begun > self._limit_seconds:
                reports.append(self._end(worker, f"took longer than the limit of {self._limit_seconds:g} s"))
        return reports

    def close(self) -> list[Job]:
        """End all workers at once; the jobs that were running."""
        running = [worker.job for worker in self._workers if worker.job is not None]
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.join()
            worker.connection.close()
        self._workers = []
        return running

    def _new(self) -> _Worker:
        ours, theirs = multiprocessing.Pipe()
        process = self._context.Process(target=work, args=(theirs,), daemon=True)
        process.start()
        theirs.close()
        return _Worker(process, ours)

    def _nearest(self, busy: list[_Worker], timeout_seconds: float) -> float:
        """The time until something is to be done even if nothing arrives."""
        if self._limit_seconds is None or not busy:
            return timeout_seconds
        first = min(worker.begun for worker in busy) + self._limit_seconds - time.monotonic()
        return max(0.0, min(timeout_seconds, first + 0.01))

    def _collect(self, worker: _Worker) -> Report:
        """What a worker sent, or how it died."""
        try:
            report = cast(Report, worker.connection.recv())
        except (EOFError, OSError):
            worker.process.join()
            return self._end(worker, _cause_of_death(worker.process.exitcode))
        worker.job = None
        return report

    def _end(self, worker: _Worker, reason: str) -> Report:
        """Kill a worker, dead or not, and report its job as failed."""
        worker.process.kill()
        worker.process.join()
        worker.connection.close()
        self._workers.remove(worker)
        assert worker.job is not None
        return Report(worker.job.quantum_id, Ended.FAILED, reason, time.monotonic() - worker.begun)


def _cause_of_death(exit_code: int | None) -> str:
    """Why a process ended that should not have."""
    if exit_code is None or exit_code >= 0:
        return f"its process ended with status {exit_code}"
    name = signal.Signals(-exit_code).name
    hint = " (the system does so where memory runs out)" if name == "SIGKILL" else ""
    return f"its process was killed by {name}{hint}"


@contextmanager
def _one_thread() -> Iterator[None]:
    """Processes started in the block use one thread in each library: their number is what keeps the cores busy."""
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
