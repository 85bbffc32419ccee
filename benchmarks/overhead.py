"""What the machinery of a survey costs beside its science: where the CPU seconds of a run go.

``python -m benchmarks.overhead REPO`` runs the survey's pipeline on the repository that ``diapipe demo`` left, into an
output of its own, and prints a Markdown table; ``--visits 1..4`` takes a part of it. Kernels must be compiled before
(``diapipe warmup``). All are CPU times, of the run's process and all its workers; what is paid once a run is told apart
from what grows with its quanta.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

from lsst.daf.butler import Butler

from benchmarks import clocks
from benchmarks.machinery import write_line
from diapipe.cli.run import survey_pipeline
from diapipe.tasks.running import DataSelection, RunRequest, Settings, pool, registering, run_survey, survey_run
from diapipe.tasks.running.nursery import fork_here

STEPS = ("visits", "scale", "coadds", "differences", "objects", "forced", "lightcurves")


class Clock:
    """CPU seconds that functions of this process took."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def on(self, holder: Any, name: str) -> None:
        """Measure a function from now on."""
        function: Callable[..., Any] = getattr(holder, name)

        def timed(*arguments: Any, **options: Any) -> Any:
            begun = time.process_time()
            try:
                return function(*arguments, **options)
            finally:
                self.seconds += time.process_time() - begun

        setattr(holder, name, timed)


def main() -> None:
    """Run, and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("repo", help="the folder repo of a demo")
    parser.add_argument("--visits", default="", help="numbers and ranges; all where left out")
    parser.add_argument("--cores", type=int, default=2)
    arguments = parser.parse_args()
    request = RunRequest(
        repo=arguments.repo,
        pipeline=survey_pipeline(),
        steps=STEPS,
        settings=Settings(values=("photometricScale:way=reference",)),
        data=DataSelection(visits=arguments.visits),
        output=f"overhead_{os.getpid()}",
        n_workers=arguments.cores,
    )
    with tempfile.TemporaryDirectory() as folder:
        os.environ[clocks.PLACE], os.environ[clocks.OWNER] = str(Path(folder) / "clocks"), str(os.getpid())
        measured(request)


def measured(request: RunRequest) -> None:
    """Run, and print the table."""
    pipelines, opening, planning, registration = Clock(), Clock(), Clock(), Clock()
    pipelines.on(survey_run._Run, "_pipeline")
    opening.on(survey_run._Run, "_open_run")
    for name in ("plan", "outdated"):
        planning.on(survey_run, name)
    registration.on(registering.Registrar, "flush")
    pool.PRELOADED = (*pool.PRELOADED, "benchmarks.clocks")
    clocks.install()  # before workers are forked from here
    fork_here()
    imports = time.process_time()
    summary = run_survey(request)
    run = time.process_time() - imports
    forkserver._forkserver._stop()  # type: ignore[attr-defined]  # it reaps the workers, and is then reaped here
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    workers = used.ru_utime + used.ru_stime
    tasks, n_quanta, n_detectors = seconds_of_tasks(request)
    moved = clocks.sums(Path(os.environ[clocks.PLACE]))
    science = tasks - moved["butler"] + moved["files"]
    once = {
        "imports of the run's process": imports,
        "start of the workers": float(moved["start"]),
        "pipelines, with the imports of their tasks": pipelines.seconds,
        "configurations, versions of all packages": opening.seconds,
    }
    each = {
        "Butler's part of get and put": float(moved["butler"] - moved["files"]),
        "workers beside the tasks: quanta, logs, metadata": workers - tasks - moved["start"],
        "planning": planning.seconds,
        "registration": registration.seconds,
        "the rest of the run's process": run - sum(c.seconds for c in (pipelines, opening, planning, registration)),
    }
    rows = {
        "science: the tasks": tasks - moved["butler"],
        "their files, read and written": float(moved["files"]),
        **once,
        "**once a run**": sum(once.values()),
        **each,
        "**for the quanta**": sum(each.values()),
    }
    write_line(f"{n_quanta} quanta, {n_detectors} detectors differenced; exit status {summary.exit_status}\n")
    write_line("| | CPU s | ms a quantum | of the science |\n|---|---:|---:|---:|")
    for name, seconds in rows.items():
        write_line(f"| {name} | {seconds:.2f} | {1e3 * seconds / n_quanta:.1f} | {seconds / science:.1%} |")


def seconds_of_tasks(request: RunRequest) -> tuple[float, int, int]:
    """CPU seconds in the tasks' own code, from the metadata; quanta; and detectors that were differenced."""
    seconds, n_quanta = 0.0, 0
    with Butler.from_config(request.repo) as butler:
        kinds = [kind.name for kind in butler.registry.queryDatasetTypes("*_metadata")]
        for kind in kinds:
            for ref in butler.query_datasets(kind, collections=request.chain, limit=None, explain=False):
                clock = butler.get(ref)["quantum"]
                seconds += float(clock["endCpuTime"]) - float(clock["startCpuTime"])
                n_quanta += 1
        n = len(butler.query_datasets("dia_source", collections=request.chain, limit=None, explain=False))
    return seconds, n_quanta, n


if __name__ == "__main__":
    main()
