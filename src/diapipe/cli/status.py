"""``diapipe status``: what a repository holds, and what became of what was run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from diapipe.cli.options import talk
from diapipe.cli.run_progress import duration
from diapipe.errors import counted

if TYPE_CHECKING:
    from diapipe.tasks.running.status import OutputStatus

N_RUNS = 5
"""Runs that are told of each output."""
_CURES = {
    "gone": "bring them back to where they were",
    "changed": "results that are there are of the old ones; put them back, or forget them (butler prune-datasets) and "
    "ingest the new ones",
}


@click.command(short_help="Tell what a survey's repository holds.")
@click.argument("repo")
@click.option("--output", default="", help="Only this collection of results.")
@click.option("--failed", is_flag=True, help="Show each failure with its reason.")
@click.option("--no-work", is_flag=True, help="Show each quantum without work with its reason.")
@talk
def status(repo: str, output: str, failed: bool, no_work: bool, quiet: bool, verbose: bool) -> None:
    """Show visits and tracts, and for each task how many are done, failed or without work, and why."""
    from diapipe.tasks.running import status_of

    found = status_of(repo, output=output)
    click.echo(
        f"{repo}: "
        + ", ".join(counted(n, name).replace("patchs", "patches") for name, n in found.n_records.items() if n)
    )
    for kind, cure in _CURES.items():
        paths = [path for path, what in found.lost_files if what == kind]
        if paths:
            click.echo(f"{counted(len(paths), 'ingested file')} {kind} since, as {paths[0]}: {cure}")
    if not found.outputs:
        click.echo("nothing was run yet")
    for one in found.outputs:
        _show(one, failed=failed, no_work=no_work)


def _show(output: OutputStatus, *, failed: bool, no_work: bool) -> None:
    """One output: a table of its tasks, reasons, and the last runs."""
    from rich.console import Console
    from rich.table import Table

    from diapipe.tasks.running.outcome import reasons_of

    table = Table(title=output.chain, title_justify="left", box=None, pad_edge=False)
    for heading in ("", "done", "no work", "failed"):
        table.add_column(heading, justify="right" if heading else "left")
    for task, counts in output.counts().items():
        table.add_row(task, *(str(counts[kind]) for kind in ("done", "no work", "failed")))  # type: ignore[index]
    Console(highlight=False).print(table)
    for kind, each in (("no work", no_work), ("failed", failed)):
        chosen = [outcome for outcome in output.outcomes if outcome.ended.value == kind]
        lines = [f"{o.task} {o.data_id}: {o.reason}" for o in chosen] if each else reasons_of(chosen)
        for line in lines:
            click.echo(f"{kind}: {line}")
    for sentence in output.camera_changes:
        click.echo(sentence)
    for run in output.history[-N_RUNS:]:
        click.echo(_run_line(run))
    if output.writer:
        click.echo(f"running now: {output.writer}; what it does is counted as it is registered")


def _run_line(run: dict[str, object]) -> str:
    """One run of the history in a line."""
    counts = ", ".join(f"{run[kind]} {kind}" for kind in ("done", "no work", "failed", "skipped") if run.get(kind))
    name = str(run["run"]).rpartition("/")[2] or "nothing to do"
    end = "interrupted, " if run.get("interrupted") else ""
    seconds = run["seconds"]
    return f"run {name} ({' '.join(map(str, run['steps']))}): {end}{counts or 'nothing'} in " + (  # type: ignore[call-overload]
        duration(float(seconds)) if isinstance(seconds, int | float) else "?"
    )
