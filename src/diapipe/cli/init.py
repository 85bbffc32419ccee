"""``diapipe init``: an empty repository for a survey."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

import click

from diapipe.cli.options import FILE, talk


@click.command(short_help="Make an empty repository for a survey.")
@click.argument("repository", type=FILE, metavar="REPO")
@click.option(
    "--db",
    metavar="URL",
    help="Empty PostgreSQL database: postgresql://user@host/name.  [default: SQLite in the folder]",
)
@click.option("--compress", is_flag=True, help="Write images compressed to 1/16 of their noise: smaller and slower.")
@talk
def init(repository: Path, db: str | None, compress: bool, quiet: bool, verbose: bool) -> None:
    """Make an empty Butler repository in the folder REPO, which must not exist or be empty."""
    from diapipe.tasks.repository import create_repository

    place = create_repository(repository, db=db, compress=compress)
    if not quiet:
        click.echo(f"{place}: an empty repository in {'PostgreSQL' if db else 'SQLite'}")
        click.echo(f"Next: diapipe ingest {quote(str(repository))} FILES")
