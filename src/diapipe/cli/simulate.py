"""``diapipe simulate``: a pair of images of known truth."""

from __future__ import annotations

from pathlib import Path

import click

from diapipe.cli.options import FILE, positive, talk


@click.command(short_help="Make a pair of images of known truth.")
@click.option("--out", type=FILE, required=True, help="Folder for the files; made if it does not exist.")
@click.option(
    "--size", type=click.IntRange(min=128), default=1024, show_default=True, help="Side of the images in pixels."
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=1, show_default=True, help="The same seed gives the same pair."
)
@click.option("--seeing", type=float, callback=positive, help="FWHM of the science image in arcsec.  [default: 0.8]")
@click.option("--template-seeing", type=float, callback=positive, help="FWHM of the template.  [default: 0.65]")
@click.option("--depth", type=float, callback=positive, help="Exposures in the template.  [default: 10]")
@click.option("--overwrite", is_flag=True, help="Replace files in the folder that an earlier run did not make.")
@talk
def simulate(
    out: Path,
    size: int,
    seed: int,
    seeing: float | None,
    template_seeing: float | None,
    depth: float | None,
    overwrite: bool,
    quiet: bool,
    verbose: bool,
) -> None:
    """Make a science image, a template, and tables of what is true of them.

    Stars up to saturated ones, galaxies, transients, variables, cosmic rays, bad columns; the PSFs vary over the field.
    """
    from diapipe.cli.first_use import compilation_announced
    from diapipe.cli.landing import check_free, landing
    from diapipe.cli.truth import TRUTH_FILES, is_earlier_pair, simulated, write_truth

    check_free(out, names=TRUTH_FILES, overwrite=overwrite, is_ours=is_earlier_pair)
    changes = {"science_fwhm_arcsec": seeing, "template_fwhm_arcsec": template_seeing, "template_depth": depth}
    with compilation_announced(quiet=quiet), landing(out, names=TRUTH_FILES) as folder:
        pair = simulated(size=size, seed=seed, **{name: value for name, value in changes.items() if value is not None})
        write_truth(pair, folder)
    if not quiet:
        click.echo(f"{out / 'science.fits'}, {out / 'template.fits'}; {len(pair.transients)} changes in truth.parquet")
        click.echo(f"Next: diapipe subtract {out / 'science.fits'} {out / 'template.fits'} --out {out / 'result'}")
