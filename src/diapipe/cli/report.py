"""``diapipe report``: the page of an earlier result, made again from its files."""

from __future__ import annotations

from pathlib import Path

import click

from diapipe.cli.options import FILE, talk


@click.command(short_help="Make the page of an earlier result again.")
@click.argument("folder", type=FILE)
@talk
def report(folder: Path, quiet: bool, verbose: bool) -> None:
    """Make the page of the result in FOLDER again.

    It needs the files that subtract wrote there, and the science image where it was then.
    """
    from diapipe.io import write_text
    from diapipe.report import content_of_folder, render_page

    content = content_of_folder(folder)
    write_text(folder / "report.html", render_page(content))
    if content.science is None and not quiet:
        click.echo(
            "diapipe: the science image is no longer where it was; the page shows the difference alone", err=True
        )
    if not quiet:
        click.echo(f"Look at the page:    {folder / 'report.html'}")
