"""``diapipe inject``: two images with sources of known truth put into them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from diapipe.cli.options import FILE, detector_constants, talk

FILES = ("science.fits", "template.fits", "injected.parquet")
"""What the command leaves in a folder."""
MADE_BY = "diapipe inject"


@click.command(short_help="Put sources of known truth into SCIENCE and TEMPLATE.")
@click.argument("science", type=FILE)
@click.argument("template", type=FILE)
@click.option("--out", type=FILE, required=True, help="Folder for the images and the truth; made if it does not exist.")
@click.option("--config", type=FILE, help="TOML file; its section [inject] says how many of which kind.")
@click.option("--seed", type=click.IntRange(min=0), help="The same seed gives the same sources.  [default: 1]")
@detector_constants("science")
@detector_constants("template")
@click.option("--overwrite", is_flag=True, help="Replace files in the folder that an earlier run did not make.")
@talk
def inject(
    science: Path,
    template: Path,
    out: Path,
    config: Path | None,
    seed: int | None,
    overwrite: bool,
    quiet: bool,
    verbose: bool,
    **options: Any,
) -> None:
    """Put sources of known truth into SCIENCE and TEMPLATE: transients with and without hosts, variable stars, trails.

    They are the image's own PSF, with the photons they bring; some are put into the template, so that they fade.
    """
    from diapipe.cli.first_use import compilation_announced
    from diapipe.cli.landing import check_free, landing
    from diapipe.cli.pair import image_file
    from diapipe.cli.progress import progress_for
    from diapipe.cli.recipes import merged, read_settings, recipe_of
    from diapipe.flow import with_injections
    from diapipe.io import write_exposure, write_parquet

    settings = {} if config is None else read_settings(config)
    recipe = recipe_of(merged(settings, {"inject": {"seed": seed}}))
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
        pair = with_injections(*exposures, options=recipe.inject, recipe=recipe)
        progress("write images and truth")
        write_exposure(pair.science, folder / FILES[0])
        write_exposure(pair.template, folder / FILES[1])
        write_parquet(pair.sources, folder / FILES[2], metadata={"made_by": MADE_BY})
    if not quiet:
        n_faded = int(pair.sources["is_faded"].sum())
        click.echo(f"{len(pair.sources)} sources were put in, {n_faded} of them into the template; {out / FILES[2]}")
        click.echo(f"Next: diapipe subtract {out / FILES[0]} {out / FILES[1]} --out {out / 'result'}")
        click.echo(f"then: diapipe validate {out / 'result'} --truth {out / FILES[2]}")


def _is_earlier(folder: Path) -> bool:
    """Whether the command filled the folder: its table says so."""
    from diapipe.errors import ReadError
    from diapipe.io import read_parquet

    try:
        return bool(read_parquet(folder / FILES[2]).meta.get("made_by") == MADE_BY)
    except ReadError:
        return False
