"""What it costs to plan, hand out and register work, without the work: toy tasks on synthetic records.

``python -m benchmarks.machinery`` prints a Markdown table of CPU times for surveys of growing size. All of them are
CPU times in one process each, so that they mean something on a busy machine too; with ``N`` workers the last column is
spent ``N`` times at once, the others in the one process that hands out.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from lsst.daf.butler import Butler
from lsst.pipe.base import Pipeline

from benchmarks.toy_survey import INSTRUMENT, PIPELINE, ToySurvey
from diapipe.tasks.running import DataSelection, RunRequest, run_survey
from diapipe.tasks.running.graph import plan

HEADINGS = (
    "visit-detectors",
    "quanta of all steps",
    "plan all [s]",
    "plan, all done [s]",
    "hand out and register [ms/quantum]",
    "in the worker [ms/quantum]",
    "memory [MB]",
)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """CPU times of one survey, in the order of the headings."""

    n_detectors: int
    n_quanta: int
    plan_s: float
    plan_done_s: float
    register_ms: float
    worker_ms: float
    memory_mb: float

    def row(self) -> str:
        """A line of the table."""
        return (
            f"| {self.n_detectors} | {self.n_quanta} | {self.plan_s:.2f} | {self.plan_done_s:.2f} "
            f"| {self.register_ms:.1f} | {self.worker_ms:.1f} | {self.memory_mb:.0f} |"
        )


def main() -> None:
    """Measure surveys of some sizes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--visits", type=int, nargs="+", default=[10, 100, 1000], help="numbers of visits")
    parser.add_argument("--detectors", type=int, default=1, help="detectors of a visit")
    arguments = parser.parse_args()
    write_line("| " + " | ".join(HEADINGS) + " |")
    write_line("|" + "---:|" * len(HEADINGS))
    measured(5, arguments.detectors)  # imports, and what the middleware keeps after its first query
    for n_visits in arguments.visits:
        write_line(measured(n_visits, arguments.detectors).row())


def measured(n_visits: int, n_detectors: int) -> Cost:
    """Build a survey, plan all of it, run its first step."""
    with tempfile.TemporaryDirectory() as folder:
        root = ToySurvey(n_visits=n_visits, n_detectors=n_detectors, n_tracts=2, n_patches=4).build(Path(folder) / "r")
        plan_s, n_quanta = planning(root)
        step = RunRequest(repo=str(root), pipeline=str(PIPELINE), steps=("visits",))
        begun = time.process_time()
        n_done = len(run_survey(step).outcomes)
        running_s = time.process_time() - begun
        begun = time.process_time()
        run_survey(step)
        again_s = time.process_time() - begun
        return Cost(
            n_detectors=n_visits * n_detectors,
            n_quanta=n_quanta,
            plan_s=plan_s,
            plan_done_s=again_s,
            register_ms=1e3 * (running_s - again_s) / n_done,
            worker_ms=1e3 * worker_seconds(root),
            memory_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        )


def planning(root: Path) -> tuple[float, int]:
    """CPU seconds to plan all steps as one graph, and its quanta."""
    begun = time.process_time()
    with Butler.from_config(root) as butler:
        pipeline = Pipeline.from_uri(str(PIPELINE)).to_graph()
        inputs = [f"{INSTRUMENT}/raw", "skymaps"]
        graph = plan(pipeline, butler, DataSelection(), inputs=inputs, done_in=(), run="benchmark/run")
    return time.process_time() - begun, graph.header.n_quanta


def worker_seconds(root: Path) -> float:
    """CPU seconds of a quantum in the only worker, from the clock that each quantum leaves in its metadata."""
    with Butler.from_config(root) as butler:
        refs = butler.query_datasets("characterize_metadata", collections="diapipe/default", limit=None)
        clocks = sorted(float(butler.get(ref)["quantum"]["endCpuTime"]) for ref in refs)
    return (clocks[-1] - clocks[0]) / (len(clocks) - 1)


def write_line(line: str) -> None:
    """To the terminal, at once."""
    print(line, flush=True)


if __name__ == "__main__":
    main()
