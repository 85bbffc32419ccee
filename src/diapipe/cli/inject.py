"""``diapipe inject``: sources of known truth put into two images, or into the visits of a survey."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from diapipe.cli.inject_survey import SURVEY_ONLY, inject_survey, survey_options
from diapipe.cli.options import FILE, detector_constants, talk

if TYPE_CHECKING:
    from astropy.table import Table

    from diapipe.recipe import Recipe

FILES = ("science.fits", "template.fits", "injected.parquet")
"""What the command leaves in a folder."""
MADE_BY = "diapipe inject"
_OF_IMAGES = (".fits", ".fit", ".fz", ".gz")


@click.command(short_help="Put sources of known truth into two images, or into a survey.")
@click.argument("place", metavar="SCIENCE|REPO")
@click.argument("template", type=FILE, required=False)
@click.option("--config", type=FILE, help="TOML file; its section [inject] says how many of which kind.")
@click.option("--sources", "catalog", type=FILE, help="Catalogue of what is put in, in place of a recipe.")
@click.option("--seed", type=click.IntRange(min=0), help="The same seed gives the same sources.  [default: 1]")
@click.option("--out", type=FILE, help="Of images: folder for them and the truth; made if it does not exist.")
@detector_constants("science")
@detector_constants("template")
@click.option("--overwrite", is_flag=True, help="Of images: replace files that an earlier run did not make.")
@survey_options
@talk
@click.pass_context
def inject(
    context: click.Context,
    /,
    place: str,
    template: Path | None,
    config: Path | None,
    catalog: Path | None,
    seed: int | None,
    quiet: bool,
    verbose: bool,
    **options: Any,
) -> int:
    """Put sources of known truth into SCIENCE and TEMPLATE, or into all visits of the survey in the repository REPO.

    They are transients with and without hosts, variable stars and trails: the image's own PSF, with the photons they
    bring. Some are put into the template, so that they fade. Or they are those of the table --sources (parquet, CSV,
    ECSV, VOTable, FITS): ra and dec, or x and y; flux (nJy without a unit) or mag (AB); band, visit, mjd, kind, rates.

    A survey must have been run. The injected visits are differenced as it was, and what was found is compared with
    what was put in, in an output of its own; the survey's results stay as they are. The same command continues an
    interrupted run.
    """
    from diapipe.catalogs.injection_catalog import injection_catalog
    from diapipe.cli.recipes import merged, read_settings, recipe_of
    from diapipe.io import read_table
    from diapipe.report.folder import is_repository

    settings = {} if config is None else read_settings(config)
    recipe = recipe_of(merged(settings, {"inject": {"seed": seed}}))
    given = None if catalog is None else injection_catalog(read_table(catalog), name=str(catalog))
    if template is not None:
        _refuse(context, SURVEY_ONLY, why="two images have none")
        _inject_pair(Path(place), template, recipe, given, quiet=quiet, **options)
        return 0
    if not is_repository(place) and (Path(place).is_file() or Path(place).suffix in _OF_IMAGES):
        raise click.UsageError(f"{place} is one image, which needs the other: give SCIENCE and TEMPLATE")
    _refuse(context, {name for name in options if name not in SURVEY_ONLY}, why="a survey needs none")
    return inject_survey(place, recipe.inject, given, quiet=quiet, **{name: options[name] for name in SURVEY_ONLY})


def _refuse(context: click.Context, names: Collection[str], *, why: str) -> None:
    """Refuse options that do nothing here."""
    given = [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name in names and context.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE
    ]
    if given:
        raise click.UsageError(f"{given[0]} cannot be used here: {why}")


def _inject_pair(
    science: Path,
    template: Path,
    recipe: Recipe,
    catalog: Table | None,
    *,
    out: Path | None,
    overwrite: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Two images."""
    from diapipe.cli.first_use import compilation_announced
    from diapipe.cli.landing import check_free, landing
    from diapipe.cli.pair import image_file
    from diapipe.cli.progress import progress_for
    from diapipe.flow import with_injections
    from diapipe.io import write_exposure, write_parquet

    if out is None:
        raise click.UsageError("two images need --out, a folder for what is made of them")
    images = [
        image_file(path, options, kind=kind, prefix=prefix)
        for path, kind, prefix in ((science, "science", ""), (template, "template", "template_"))
    ]
    check_free(out, names=FILES, inputs=(science, template), overwrite=overwrite, is_ours=_is_earlier)
    with (
        compilation_announced(quiet=quiet),
        landing(out, names=FILES) as folder,
        progress_for(quiet=quiet) as progress,
    ):
        progress("read images")
        exposures = [image.read() for image in images]
        progress("characterize and inject")
        pair = with_injections(*exposures, options=recipe.inject, catalog=catalog, recipe=recipe)
        progress("write images and truth")
        write_exposure(pair.science, folder / FILES[0])
        write_exposure(pair.template, folder / FILES[1])
        write_parquet(pair.sources, folder / FILES[2], metadata={"made_by": MADE_BY})
    if not quiet:
        n_faded = int(pair.sources["is_faded"].sum())
        of = "" if catalog is None else f" of the catalogue's {len(set(catalog['injectionId']))}"
        click.echo(
            f"{len(pair.sources)}{of} sources were put in, {n_faded} of them into the template; {out / FILES[2]}"
        )
        click.echo(f"Next: diapipe subtract {out / FILES[0]} {out / FILES[1]} --out {out / 'result'}")
        click.echo(f"then: diapipe validate {out / 'result'} --truth {out / FILES[2]}")


def _is_earlier(folder: Path) -> bool:
    """Whether the command filled the folder: its table says so."""
    from diapipe.cli.landing import is_made_by

    return is_made_by(folder / FILES[2], MADE_BY)
