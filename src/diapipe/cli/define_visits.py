"""``diapipe define-visits``: what the exposures of a repository saw of the sky."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

import click

from diapipe.cli.options import FILE, talk


@click.command("define-visits", short_help="Find what each exposure saw of the sky.")
@click.argument("repository", type=FILE, metavar="REPO")
@click.option("--instrument", metavar="NAME", help="Whose exposures.  [default: all]")
@click.option("-j", "threads", type=click.IntRange(min=1), default=1, show_default=True, help="Headers read at once.")
@talk
def define_visits(repository: Path, instrument: str | None, threads: int, quiet: bool, verbose: bool) -> int:
    """Define a visit for every exposure in the repository REPO, with the regions of its detectors on the sky.

    Visits that are there stay as they are; detectors that were ingested since are added to theirs. Sky maps get the
    tracts that new visits touch. A detector whose place on the sky is unknown is named, and the exit status is then 1.
    """
    from diapipe.cli.counts import counts_for
    from diapipe.tasks.repository import open_repository
    from diapipe.tasks.repository.sky_map_request import follow_visits
    from diapipe.tasks.repository.visits import define_visits as define

    with open_repository(repository, writeable=True) as butler, counts_for(quiet=quiet) as progress:
        done = define(butler, instrument=instrument, threads=threads, progress=progress)
        has_come = done.defined or done.completed
        told = follow_visits(butler) if has_come else []
    for sentence in done.refused:
        click.echo(f"diapipe: {sentence}", err=True)
    if not quiet:
        for sentence in (done.summary, *told):
            click.echo(sentence)
        if done.defined:
            click.echo(f"Next: diapipe skymap {quote(str(repository))}")
    return 1 if done.refused else 0
