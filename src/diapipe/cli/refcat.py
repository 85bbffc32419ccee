"""``diapipe refcat``: a reference catalogue into a repository."""

from __future__ import annotations

from pathlib import Path

import click

from diapipe.cli.options import FILE, talk


@click.command(short_help="Give a repository its reference catalogue.")
@click.argument("repository", type=FILE, metavar="REPO")
@click.argument("catalogue", type=FILE, metavar="FILE")
@click.option("--replace", is_flag=True, help="Put it in the place of the one that is there.")
@talk
def refcat(repository: Path, catalogue: Path, replace: bool, quiet: bool, verbose: bool) -> None:
    """Put the reference catalogue in the parquet file FILE into the repository REPO.

    It needs columns ra and dec in degrees, and fluxes such as r_flux (nJy, unless they have another unit). It is used
    where a run says so: diapipe run REPO -c photometricScale:way=reference.
    """
    from diapipe.io import read_parquet
    from diapipe.tasks.repository import open_repository
    from diapipe.tasks.repository.reference_catalog import put_reference_catalog

    table = read_parquet(catalogue)
    with open_repository(repository, writeable=True) as butler:
        replaced = put_reference_catalog(butler, table, replace=replace)
    if not quiet:
        there = " in the place of the earlier one" if replaced else ""
        click.echo(f"{len(table)} reference stars{there}")
        click.echo(f"Use them: diapipe run {repository} -c photometricScale:way=reference")
