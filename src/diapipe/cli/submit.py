"""``diapipe submit``: the pipeline of a survey on a cluster, by bps."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import click

from diapipe.cli.options import FILE, talk
from diapipe.cli.run import STEPS, data_choice, how_to_run, request_of


@click.command(short_help="Run the survey's pipeline on a cluster, by bps.")
@click.argument("repo")
@click.option(
    "--site", default="one_machine", show_default=True, metavar="SITE", help="one_machine, slurm, htcondor or a file."
)
@click.option(
    "--submit-folder", type=FILE, default=Path("submit"), show_default=True, help="For submit files and logs of jobs."
)
@click.option("--steps", default=",".join(STEPS), show_default=True, help="Subsets of the pipeline, in this order.")
@data_choice
@how_to_run
@talk
def submit(repo: str, site: str, submit_folder: Path, steps: str, **options: Any) -> int:
    """Run the pipeline as diapipe run does, with the work of each step done by jobs of bps with Parsl.

    It stays until the last job has ended. Exit status: 0 all done, 1 something failed, 130 interrupted; the same
    command again does what is missing.
    """
    from diapipe.cli.run_progress import watcher_for
    from diapipe.cli.run_summary import tell
    from diapipe.tasks.running import run_survey
    from diapipe.tasks.running.batch import BatchExecutor
    from diapipe.tasks.running.submission import site_file

    request = request_of(repo, tuple(filter(None, steps.split(","))), **options)
    executor = BatchExecutor(site=site_file(site), folder=submit_folder, chain=request.chain, cores=request.n_workers)
    logging.getLogger("lsst").addHandler(logging.NullHandler())
    with watcher_for(quiet=bool(options["quiet"]), n_workers=request.n_workers) as watcher:
        summary = run_survey(request, watcher, executor=executor)
    if not options["quiet"] or summary.exit_status:
        tell(summary, repo=repo)
    return summary.exit_status
