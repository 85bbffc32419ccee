"""``diapipe demo``: a simulated pair, from images to the page, against its truth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from diapipe.cli.options import FILE, talk

if TYPE_CHECKING:
    from diapipe.cli.truth import Recovery


@click.command(short_help="Simulate a pair, subtract it, compare with the truth.")
@click.option(
    "--out", type=FILE, default=Path("diapipe-demo"), show_default=True, help="Folder for images and results."
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=1, show_default=True, help="The same seed gives the same sky."
)
@click.option(
    "--size", type=click.IntRange(min=256), default=1024, show_default=True, help="Side of the images in pixels."
)
@click.option("--overwrite", is_flag=True, help="Replace files in the folder that an earlier run did not make.")
@talk
def demo(out: Path, seed: int, size: int, overwrite: bool, quiet: bool, verbose: bool) -> None:
    """Simulate a pair of images, subtract them, and compare what was found with the truth."""
    from diapipe.cli.first_use import compilation_announced
    from diapipe.cli.landing import check_free, landing
    from diapipe.cli.pair import ImageFile, PairRequest, run_pair
    from diapipe.cli.products import ProductChoice
    from diapipe.cli.truth import TRUTH_FILES, is_earlier_pair, recovery, simulated, write_truth
    from diapipe.flow import Recipe

    images = out / "images"
    check_free(images, names=TRUTH_FILES, overwrite=overwrite, is_ours=is_earlier_pair)
    check_free(out, overwrite=overwrite)
    if not quiet:
        click.echo(f"diapipe: simulating a pair of {size} x {size} pixels with seed {seed}", err=True)
    # the images land last: what stops the subtraction leaves nothing of the simulation either
    with compilation_announced(quiet=quiet), landing(images, names=TRUTH_FILES) as folder:
        pair = simulated(size=size, seed=seed)
        write_truth(pair, folder)
        result = run_pair(
            PairRequest(
                science=ImageFile(path=folder / "science.fits", lands_at=images / "science.fits"),
                template=ImageFile(path=folder / "template.fits", lands_at=images / "template.fits"),
                out=out,
                recipe=Recipe(),
                products=ProductChoice(),
                overwrite=overwrite,
                quiet=quiet,
                verbose=verbose,
            )
        )
    if not quiet:
        _show(recovery(result.dia_sources, pair.transients))


def _show(found: Recovery) -> None:
    """A small table: what was reached, and what it would be at best."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title="How the truth was recovered", title_justify="left")
    for heading in ("", "here", "at best"):
        table.add_column(heading, justify="left" if not heading else "right")
    table.add_row("changes above 5 sigma that were found", _share(found.n_found, found.n_true), "97%")
    table.add_row("sources that are real, without dp_bad", _share(found.n_real, found.n_sources), "99%")
    table.add_row(
        f"median flux error of the {found.n_bright} brightest", _number(100 * found.flux_bias, "+.2f", "%"), "0%"
    )
    table.add_row("scatter of (flux - truth) / error", _number(found.pull_sigma, ".2f"), "1")
    Console().print(table)


def _share(part: int, whole: int) -> str:
    """A count of a count, with the percentage."""
    return f"{part} of {whole}" + (f" = {100 * part / whole:.0f}%" if whole else "")


def _number(value: float, form: str, unit: str = "") -> str:
    """A number, or a dash for NaN."""
    return "-" if value != value else f"{value:{form}}{unit}"
