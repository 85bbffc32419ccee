"""``diapipe simulate``: a pair of images, or the exposures of a survey, of known truth."""

from __future__ import annotations

from pathlib import Path

import click

from diapipe.cli.options import FILE, positive, talk

_PAIR_SIZE = 1024


@click.command(short_help="Make images of known truth: a pair, or a survey.")
@click.option("--out", type=FILE, required=True, help="Folder for the files; made if it does not exist.")
@click.option("--survey", is_flag=True, help="Raw exposures of a survey: ten visits of four detectors in two bands.")
@click.option(
    "--size", type=click.IntRange(min=128), help="Side of the images in pixels.  [default: 1024; of a survey 580]"
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=1, show_default=True, help="The same seed gives the same images."
)
@click.option("--seeing", type=float, callback=positive, help="FWHM of the science image in arcsec.  [default: 0.8]")
@click.option("--template-seeing", type=float, callback=positive, help="FWHM of the template.  [default: 0.65]")
@click.option("--depth", type=float, callback=positive, help="Exposures in the template.  [default: 10]")
@click.option("--overwrite", is_flag=True, help="Replace files in the folder that an earlier run did not make.")
@talk
def simulate(
    out: Path,
    survey: bool,
    size: int | None,
    seed: int,
    seeing: float | None,
    template_seeing: float | None,
    depth: float | None,
    overwrite: bool,
    quiet: bool,
    verbose: bool,
) -> None:
    """Make a science image, a template, and tables of what is true of them; or the raw exposures of a survey.

    Stars up to saturated ones, galaxies, transients, variables, cosmic rays, bad columns; the PSFs vary over the field.
    """
    asked = {"science_fwhm_arcsec": seeing, "template_fwhm_arcsec": template_seeing, "template_depth": depth}
    changes = {name: value for name, value in asked.items() if value is not None}
    if survey:
        if changes:
            raise click.UsageError("--seeing, --template-seeing and --depth are of a pair; a survey has its own nights")
        _simulate_survey(out, size, seed, overwrite=overwrite, quiet=quiet)
    else:
        _simulate_pair(out, size or _PAIR_SIZE, seed, changes, overwrite=overwrite, quiet=quiet)


def _simulate_survey(out: Path, size: int | None, seed: int, *, overwrite: bool, quiet: bool) -> None:
    """Raw exposures, reference stars and truth."""
    from diapipe.cli.first_use import compilation_announced
    from diapipe.cli.progress import progress_for
    from diapipe.cli.survey_files import SurveyFolder, claim, clear, write_survey
    from diapipe.simulate import SurveySpec

    folder, spec = SurveyFolder(out), SurveySpec() if size is None else SurveySpec.small(size)
    if overwrite:
        clear(folder)
    claim(folder, spec, seed)
    with compilation_announced(quiet=quiet), progress_for(quiet=quiet) as progress:
        write_survey(folder, spec, seed, progress=progress)
    if not quiet:
        n_objects = len(folder.read_truth("objects"))
        click.echo(f"{len(folder.files)} exposures in {folder.exposures}; {n_objects} objects that change, in truth/")
        repo = folder.repository
        click.echo(f"Next: diapipe init {repo}, then diapipe ingest {repo} {folder.exposures} --camera simulator")


def _simulate_pair(out: Path, size: int, seed: int, changes: dict[str, float], *, overwrite: bool, quiet: bool) -> None:
    """Two images and the tables of their truth."""
    from diapipe.cli.first_use import compilation_announced
    from diapipe.cli.landing import check_free, landing
    from diapipe.cli.truth import TRUTH_FILES, is_earlier_pair, simulated, write_truth

    check_free(out, names=TRUTH_FILES, overwrite=overwrite, is_ours=is_earlier_pair)
    with compilation_announced(quiet=quiet), landing(out, names=TRUTH_FILES) as folder:
        pair = simulated(size=size, seed=seed, **changes)
        write_truth(pair, folder)
    if not quiet:
        click.echo(f"{out / 'science.fits'}, {out / 'template.fits'}; {len(pair.transients)} changes in truth.parquet")
        click.echo(f"Next: diapipe subtract {out / 'science.fits'} {out / 'template.fits'} --out {out / 'result'}")
