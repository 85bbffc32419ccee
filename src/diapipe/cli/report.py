"""``diapipe report``: the pages of an earlier result, made from its files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from diapipe.cli.options import FILE, talk
from diapipe.errors import UsageError

if TYPE_CHECKING:
    from diapipe.report import PageContent

NAMES = ("index.html", "assets", "data", "cutouts")
"""What a report consists of."""


EXAMPLES = """\b
Examples:
  diapipe report result
  diapipe report REPO --out pages --catalogue gaia.parquet
  diapipe report REPO --out pages --visit 9 --detector 0
"""


@click.command(short_help="Make the pages of a result or of a survey.", epilog=EXAMPLES)
@click.argument("source", type=FILE, metavar="FOLDER|REPO")
@click.option("--out", type=FILE, help="Folder for the report.  [default: FOLDER/report, or REPO-report]")
@click.option("--overwrite", is_flag=True, help="Replace files in that folder that an earlier report did not make.")
@click.option("--output", default="default", show_default=True, help="Of a repository: name of its results.")
@click.option("--visit", type=int, help="Of a repository: the page of this visit alone, with --detector.")
@click.option("--detector", type=int, help="Of a repository: see --visit.")
@click.option("--object", "number", type=int, metavar="ID", help="Of a repository: the page of this object alone.")
@click.option("--objects", "n_objects", type=click.IntRange(0), help="Of a repository: so many have pages.  [200]")
@click.option("--catalogue", type=FILE, help="Of a repository: table with ra, dec, name to show beside objects.")
@talk
def report(
    source: Path, out: Path | None, overwrite: bool, output: str, quiet: bool, verbose: bool, **chosen: Any
) -> None:
    """Make the report of a result: pages to look through, that need no network.

    Of two images, the folder of diapipe subtract: all its sources, to look through and label. It needs the files that
    subtract wrote there, and the science image where it was then. The page report.html is made again, too.

    Of a survey, its repository: the field, quality over the visits, a page for each visit and detector and for the most
    significant objects. One page alone is made into a report that is there, or into a new folder.
    """
    from diapipe.cli.report_survey import report_survey
    from diapipe.report.folder import is_repository

    if is_repository(source):
        place = out or source.with_name(f"{source.name}-report")
        report_survey(source, output=output, out=place, overwrite=overwrite, quiet=quiet, **chosen)
        return
    if given := [_OPTION_OF.get(name, name) for name, value in chosen.items() if value is not None]:
        raise UsageError(f"--{given[0]} is for a repository, and {source} is none")
    content = report_of_pair(source, out or source / "report", overwrite=overwrite)
    if quiet:
        return
    if content.science is None:
        click.echo(
            "diapipe: the science image is no longer where it was; the page shows the difference alone", err=True
        )
    click.echo(f"Look at the page:    {source / 'report.html'}")
    click.echo(f"Look at all sources: {(out or source / 'report') / 'index.html'}")


_OPTION_OF = {"number": "object", "n_objects": "objects"}
"""Options by the names that they have here."""


def report_of_pair(folder: Path, out: Path, *, overwrite: bool) -> PageContent:
    """Make both pages of a result of two images; what they show."""
    from diapipe.cli.landing import check_free, landing
    from diapipe.cli.report_survey import is_report
    from diapipe.io import write_text
    from diapipe.report import content_of_folder, render_page
    from diapipe.report.pair_report import write_pair_report

    check_free(out, names=NAMES, is_ours=is_report, overwrite=overwrite)
    content = content_of_folder(folder)
    with landing(out, names=NAMES) as aside:
        write_pair_report(aside, content)
    write_text(folder / "report.html", render_page(content))
    return content
