"""``diapipe skymap``: tracts and patches for a survey."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

import click

from diapipe.cli.options import FILE, not_negative, positive, talk


@click.command(short_help="Cut the sky of a survey into tracts and patches.")
@click.argument("repository", type=FILE, metavar="REPO")
@click.option("--name", help="What the map is called.  [default: survey, or rings and their number]")
@click.option("--rings", type=click.IntRange(min=1), metavar="N", help="LSST's map of the whole sky; its N is 120.")
@click.option(
    "--tract",
    "tracts",
    type=(float, float, float),
    multiple=True,
    metavar="RA DEC SIDE",
    help="A tract at a position, with its side, in degrees; several may be given.",
)
@click.option("--pixel-scale", type=float, callback=positive, metavar="ARCSEC", help="[default: median of the data]")
@click.option("--patch-size", type=click.IntRange(min=1), metavar="PX", help="[default: equal parts of up to 4000]")
@click.option("--border", type=click.IntRange(min=0), default=100, show_default=True, metavar="PX")
@click.option("--overlap", type=float, callback=not_negative, metavar="DEG", help="Of tracts.  [default: 1/60]")
@click.option(
    "--max-tract", type=float, callback=positive, metavar="DEG", help="Largest tract around data.  [default: 4]"
)
@click.option("--all-tracts", is_flag=True, help="Register all tracts, not only those that visits touch.")
@talk
def skymap(repository: Path, quiet: bool, verbose: bool, **options: object) -> None:
    """Cut the sky of the survey in the repository REPO into tracts and patches, in which coadds are made.

    Without --rings and --tract the map is made around the data: as few tracts as hold all defined visits. A map that
    the repository has stays as it is; when visits have come, run this again to register the tracts that they touch.
    """
    from diapipe.tasks.repository.sky_map_request import SkyMapRequest, make_sky_map

    request = SkyMapRequest(**options)  # type: ignore[arg-type]
    lines = make_sky_map(repository, request)
    if not quiet:
        for line in (*lines, f"Next: diapipe run {quote(str(repository))}"):
            click.echo(line)
