"""``diapipe submit``: the pipeline of a survey on a cluster, by bps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from diapipe.cli.options import FILE
from diapipe.cli.run import run_steps, what_to_run

if TYPE_CHECKING:
    from diapipe.tasks.running import RunRequest
    from diapipe.tasks.running.batch import BatchExecutor


@click.command(short_help="Run the survey's pipeline on a cluster, by bps.")
@what_to_run
@click.option(
    "--site", default="one_machine", show_default=True, metavar="SITE", help="one_machine, slurm, htcondor or a file."
)
@click.option(
    "--submit-folder", type=FILE, default=Path("submit"), show_default=True, help="For submit files and logs of jobs."
)
def submit(repo: str, steps: str, site: str, submit_folder: Path, **options: Any) -> int:
    """Run the pipeline as diapipe run does, with the work of each step done by jobs of bps with Parsl.

    It stays until the last job has ended. Exit status: 0 all done, 1 something failed, 130 interrupted; the same
    command again does what is missing.
    """

    def executor_of(request: RunRequest) -> BatchExecutor:
        from diapipe.tasks.running.batch import BatchExecutor
        from diapipe.tasks.running.submission import site_file

        return BatchExecutor(site=site_file(site), folder=submit_folder, chain=request.chain, cores=request.n_workers)

    return run_steps(repo, tuple(filter(None, steps.split(","))), options, executor_of=executor_of)
