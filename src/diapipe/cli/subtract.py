"""``diapipe subtract``: two FITS images in; the difference, its sources, a summary and a page out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from diapipe.cli.options import FILE, detector_constants, known_method, odd, positive, talk


@click.command(short_help="Subtract TEMPLATE from SCIENCE and find what changed.")
@click.argument("science", type=FILE)
@click.argument("template", type=FILE)
@click.option("--out", type=FILE, required=True, help="Folder for the results; made if it does not exist.")
@click.option(
    "--template-also",
    type=FILE,
    multiple=True,
    help="Another image of the template, where one does not cover the science image; repeatable. Options of the "
    "template hold for all.",
)
@click.option("--method", metavar="NAME", callback=known_method, help="How it is done: al (default), delta, psf, zogy.")
@click.option(
    "--config", type=FILE, help="TOML file with a section for every step, or .py of LSST's tasks; options override it."
)
@click.option(
    "--convolve",
    type=click.Choice(["auto", "template", "science"]),
    help="Which image to convolve; auto takes the sharper.",
)
@click.option("--kernel-size", type=int, callback=odd, help="Side of the matching kernel in pixels, odd.")
@click.option(
    "--kernel-order", type=click.IntRange(0, 6), help="Polynomial order of the kernel over the field; else found out."
)
@click.option(
    "--detect-on",
    type=click.Choice(["difference", "score"]),
    help="Image to search; either way sources are measured on the difference.  [default: difference]",
)
@click.option("--threshold", type=float, callback=positive, help="Detection threshold in sigma.  [default: 5.2]")
@click.option(
    "--inject", is_flag=True, help="Put sources of known truth into the images, and tell what became of them."
)
@click.option("--inject-seed", type=click.IntRange(min=0), help="Another choice of these sources.  [default: 1]")
@click.option(
    "--inject-sources", type=FILE, help="Catalogue of what is put in, in place of a choice; as of diapipe inject."
)
@detector_constants("science")
@detector_constants("template")
@click.option("--threads", type=click.IntRange(min=1), help="Threads; they change no bit of the result.  [default: 1]")
@click.option("--compress", is_flag=True, help="Write the FITS files tile-compressed: smaller, slower.")
@click.option(
    "--write",
    multiple=True,
    type=click.Choice(["matched_template", "score"]),
    help="Also write this image; repeatable.",
)
@click.option("--no-report", is_flag=True, help="Make no page.")
@click.option("--overwrite", is_flag=True, help="Replace files in the folder that an earlier run did not make.")
@talk
def subtract(science: Path, template: Path, out: Path, **options: Any) -> None:
    """Subtract TEMPLATE from SCIENCE and find what changed.

    Any two FITS images of the same sky: the template is brought onto the science image's pixels by the WCS. Results are
    difference.fits, dia_sources.parquet, summary.json and report.html in the folder given by --out.
    """
    from diapipe.cli.first_use import compilation_announced
    from diapipe.cli.pair import PairRequest, run_pair
    from diapipe.cli.recipes import read_recipe, read_settings

    config = options["config"]
    of_lsst = config is not None and config.suffix == ".py"
    base = read_recipe(config) if of_lsst else None
    settings = {} if config is None or of_lsst else read_settings(config)
    with compilation_announced(quiet=options["quiet"]):
        run_pair(PairRequest.of_options(science, template, out, settings, options, base))
