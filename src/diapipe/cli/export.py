"""``diapipe export``: objects and light curves in the formats of other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from diapipe.cli.options import FILE, positive, talk
from diapipe.errors import UsageError, counted

FORMATS = ("csv", "votable", "ds9", "sncosmo", "snana", "hats")
"""Of `diapipe.io.exports.EXPORTS`, named here so that help costs no import."""

TABLES = ("dia_object", "dia_source", "dia_object_forced_source")
"""What can be exported."""

OF_FORMATS = {"survey": ("snana",), "radius": ("ds9",), "band_names": ("sncosmo", "snana")}
"""Options that some formats have."""

EXAMPLES = """\b
Examples:
  diapipe export dia_sources.parquet --format ds9 --out sources.reg
  diapipe export REPO --format hats --out dia_object_lc
  diapipe export REPO --format sncosmo --band-names 'lsst{band}' --out curves
"""


@click.command(short_help="Write objects and light curves for other programs.", epilog=EXAMPLES)
@click.argument("sources", nargs=-1, required=True, metavar="REPO|FILE...")
@click.option("--format", "kind", required=True, type=click.Choice(FORMATS), help="What to write.")
@click.option("--out", required=True, type=FILE, help="File or folder to write.")
@click.option("--output", default="default", show_default=True, help="Of a repository: name of its results.")
@click.option(
    "--tables", default="", metavar="NAMES", help="Only these: dia_object, dia_source, dia_object_forced_source."
)
@click.option("--objects", default="", metavar="LIST", help="Only these diaObjectIds.")
@click.option("--survey", help="snana: its name of the survey.")
@click.option("--band-names", help="sncosmo, snana: their bands, lsst{band} or g=ztfg,r=ztfr.")
@click.option("--radius", type=float, callback=positive, help="ds9: radius of circles in arcsec.")
@talk
def export(
    sources: tuple[str, ...], kind: str, out: Path, output: str, tables: str, objects: str, **options: Any
) -> None:
    """Write DIA objects, their sources and forced sources in a format of others.

    From parquet files, known by their columns, or from the results of a repository.
    """
    from diapipe.io.exports import EXPORTS, export_tables

    algorithm = EXPORTS.make(kind, **_parameters(kind, options))
    found = tables_of(sources, output).only(_names(tables), _ids(objects))
    export_tables(found, out, export=algorithm)
    if not options["quiet"]:
        rows = ", ".join(f"{name} with {counted(len(table), 'row')}" for name, table in found.named().items())
        click.echo(f"{out}: {rows}")


def _parameters(kind: str, options: dict[str, Any]) -> dict[str, Any]:
    """Parameters of the format that were given; those of other formats are refused."""
    from diapipe.io.exports import BandNames

    given = {name: options[name] for name in OF_FORMATS if options[name] is not None}
    for name in given:
        if kind not in OF_FORMATS[name]:
            formats, option = " and ".join(OF_FORMATS[name]), name.replace("_", "-")
            raise UsageError(f"--{option} is an option of --format {formats}, not of {kind}")
    if "radius" in given:
        given["radius_arcsec"] = given.pop("radius")
    if "band_names" in given:
        given["band_names"] = BandNames.of(given["band_names"])
    return given


def tables_of(sources: tuple[str, ...], output: str) -> Any:
    """Tables of the files, or of the repository, as `diapipe.io.exports.SurveyTables`."""
    from diapipe.io import read_parquet
    from diapipe.io.exports import SurveyTables

    if len(sources) == 1 and not Path(sources[0]).is_file():
        from diapipe.tasks.survey_tables import survey_tables

        return survey_tables(sources[0], output=output)
    return SurveyTables.of((Path(name).name, read_parquet(name)) for name in sources)


def _names(text: str) -> tuple[str, ...]:
    """Names of a list."""
    return tuple(filter(None, text.split(",")))


def _ids(text: str) -> tuple[int, ...]:
    """Identifiers of a list."""
    try:
        return tuple(int(word) for word in _names(text))
    except ValueError as error:
        raise UsageError(f"--objects is a list of diaObjectIds, such as 12,15, not {text!r}") from error
