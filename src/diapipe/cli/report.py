"""``diapipe report``: the pages of an earlier result, made from its files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from diapipe.cli.options import FILE, talk

if TYPE_CHECKING:
    from diapipe.report import PageContent

NAMES = ("index.html", "assets", "data", "cutouts")
"""What a report consists of."""


@click.command(short_help="Make the pages of an earlier result.")
@click.argument("folder", type=FILE)
@click.option("--out", type=FILE, help="Folder for the report.  [default: FOLDER/report]")
@click.option("--overwrite", is_flag=True, help="Replace files in that folder that an earlier report did not make.")
@talk
def report(folder: Path, out: Path | None, overwrite: bool, quiet: bool, verbose: bool) -> None:
    """Make the report of the result in FOLDER, of diapipe subtract: pages to look through its sources and label them.

    It needs the files that subtract wrote there, and the science image where it was then. The page report.html is made
    again, too.
    """
    content = report_of_pair(folder, out or folder / "report", overwrite=overwrite)
    if quiet:
        return
    if content.science is None:
        click.echo(
            "diapipe: the science image is no longer where it was; the page shows the difference alone", err=True
        )
    click.echo(f"Look at the page:    {folder / 'report.html'}")
    click.echo(f"Look at all sources: {(out or folder / 'report') / 'index.html'}")


def report_of_pair(folder: Path, out: Path, *, overwrite: bool) -> PageContent:
    """Make both pages of a result of two images; what they show."""
    from diapipe.cli.landing import check_free, landing
    from diapipe.io import write_text
    from diapipe.report import content_of_folder, render_page
    from diapipe.report.pair_report import write_pair_report

    check_free(out, names=NAMES, is_ours=_is_report, overwrite=overwrite)
    content = content_of_folder(folder)
    with landing(out, names=NAMES) as aside:
        write_pair_report(aside, content)
    write_text(folder / "report.html", render_page(content))
    return content


def _is_report(folder: Path) -> bool:
    """Whether the command filled the folder: it alone leaves these scripts."""
    return (folder / "assets" / "sources.js").is_file()
