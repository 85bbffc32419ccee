"""``diapipe lightcurve``: the light curve of one object as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from diapipe.cli.export import tables_of
from diapipe.cli.options import FILE, positive, talk
from diapipe.errors import UsageError

if TYPE_CHECKING:
    from diapipe.catalogs.light_curve import LightCurve

EXAMPLES = """\b
Examples:
  diapipe lightcurve REPO --at 273.8708,-25.2850 --out variable.png
  diapipe lightcurve forced.parquet --object 170028552192001 --magnitudes --out variable.pdf
"""


@click.command(short_help="Draw the light curve of an object.", epilog=EXAMPLES)
@click.argument("sources", nargs=-1, required=True, metavar="REPO|FILE...")
@click.option("--out", required=True, type=FILE, help="Picture to write: .png, .pdf or .svg.")
@click.option("--at", metavar="RA,DEC", help="The object nearest to this place, in degrees.")
@click.option("--within", default=2.0, show_default=True, callback=positive, help="No farther than this, in arcsec.")
@click.option("--object", "number", type=int, metavar="ID", help="The object of this diaObjectId.")
@click.option("--magnitudes", is_flag=True, help="Magnitudes of template and difference together.")
@click.option("--output", default="default", show_default=True, help="Of a repository: name of its results.")
@talk
def lightcurve(
    sources: tuple[str, ...],
    out: Path,
    at: str | None,
    within: float,
    number: int | None,
    magnitudes: bool,
    output: str,
    quiet: bool,
    verbose: bool,
) -> None:
    """Draw the light curve of one DIA object, its fluxes on all differences, found there or not.

    From the results of a repository, or from parquet files of forced sources. Epochs that the template was made of have
    a ring, doubtful fluxes are hollow.
    """
    from diapipe.report.light_curves import write_light_curve

    if (at is None) == (number is None):
        raise UsageError("say which object: either --at RA,DEC or --object ID")
    curve = _curve(sources, output, at=at, within=within, number=number)
    write_light_curve(curve, out, in_magnitudes=magnitudes)
    if not quiet:
        fluxes = f"{int(curve.is_measured.sum())} good of {len(curve)} fluxes in {', '.join(curve.bands)}"
        click.echo(f"{out}: object {curve.dia_object_id}, {fluxes}")


def _curve(sources: tuple[str, ...], output: str, *, at: str | None, within: float, number: int | None) -> LightCurve:
    """The light curve that is asked for."""
    from diapipe.catalogs.light_curve import light_curve, nearest_object
    from diapipe.errors import InputError

    forced = tables_of(sources, output).forced_sources
    if forced is None:
        raise InputError("there is no table of forced sources; `diapipe run` makes it")
    if number is None:
        ra, dec = _place(str(at))
        number = nearest_object(forced, ra=ra, dec=dec, within_arcsec=within)
    return light_curve(forced, number, template_visits=_template_visits(sources, output))


def _template_visits(sources: tuple[str, ...], output: str) -> tuple[int, ...]:
    """Visits of a repository's templates; files do not tell."""
    if len(sources) > 1 or Path(sources[0]).is_file():
        return ()
    from diapipe.tasks.survey_tables import template_visits

    return template_visits(sources[0], output=output)


def _place(text: str) -> tuple[float, float]:
    """Right ascension and declination."""
    try:
        ra, dec = map(float, text.split(","))
    except ValueError as error:
        raise UsageError(f"--at is RA,DEC in degrees, such as 273.8708,-25.2850, not {text!r}") from error
    return ra, dec
