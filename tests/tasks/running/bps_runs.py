"""Runs through `bps submit` on this machine, for tests that compare them with others."""

from __future__ import annotations

from pathlib import Path

from diapipe.tasks.running import RunRequest, RunSummary, run_survey
from diapipe.tasks.running.batch import BatchExecutor
from diapipe.tasks.running.submission import site_file


def run_by_bps(request: RunRequest, folder: Path) -> RunSummary:
    """Run what is asked for as jobs of Parsl on this machine; about 10 s of CPU for each step, whatever it holds."""
    executor = BatchExecutor(site=site_file("one_machine"), folder=folder, chain=request.chain, cores=request.n_workers)
    return run_survey(request, executor=executor)
