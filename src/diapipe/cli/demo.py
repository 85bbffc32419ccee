"""``diapipe demo``: the main job on simulated images, against their truth."""

from __future__ import annotations

from pathlib import Path

import click

from diapipe.cli.options import FILE, talk
from diapipe.errors import UsageError

_PAIR_SIZE = 1024


@click.command(short_help="Simulate a survey, difference it, compare with the truth.")
@click.option(
    "--out", type=FILE, default=Path("diapipe-demo"), show_default=True, help="Folder for images and results."
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=1, show_default=True, help="The same seed gives the same sky."
)
@click.option("--cores", type=click.IntRange(min=1), help="Processes that work at once.  [default: all cores]")
@click.option("--pair", is_flag=True, help="One pair of images instead: needs nothing of LSST, and a few seconds.")
@click.option("--size", type=click.IntRange(min=256), help="Side of the pair's images in pixels.  [default: 1024]")
@click.option("--overwrite", is_flag=True, help="Begin anew; replace what an earlier run left.")
@talk
def demo(
    out: Path, seed: int, cores: int | None, pair: bool, size: int | None, overwrite: bool, quiet: bool, verbose: bool
) -> int | None:
    """Simulate a small survey, bring it from raw exposures to light curves, and compare both with the truth.

    Two bands, ten visits of four detectors, two tracts that overlap; stars, galaxies, transients, variables, moving
    objects. It is done in a repository that stays in the folder, to be explored. Interrupted, the same command goes on.
    """
    if pair:
        if cores is not None:
            raise UsageError("--cores belongs to the survey; a pair is done on one")
        from diapipe.cli.demo_pair import demonstrate_pair

        demonstrate_pair(out=out, seed=seed, size=size or _PAIR_SIZE, overwrite=overwrite, quiet=quiet, verbose=verbose)
        return None
    if size is not None:
        raise UsageError("--size belongs to --pair; the survey has images of a size of its own")
    from diapipe.cli.demo_survey import demonstrate_survey

    return demonstrate_survey(out=out, seed=seed, cores=cores, overwrite=overwrite, quiet=quiet, verbose=verbose)
