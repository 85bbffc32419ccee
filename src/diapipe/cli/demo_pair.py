"""The small demo: a simulated pair, from images to the page, against its truth."""

from __future__ import annotations

from pathlib import Path

import click
from astropy.table import Table

from diapipe.cli.first_use import compilation_announced
from diapipe.cli.grade_table import show_grade
from diapipe.cli.landing import check_free, landing
from diapipe.cli.pair import ImageFile, PairRequest, run_pair
from diapipe.cli.products import ProductChoice
from diapipe.cli.truth import TRUTH_FILES, is_earlier_pair, simulated, write_truth
from diapipe.flow import DifferenceResult
from diapipe.recipe import Recipe
from diapipe.report.validation import grade_rows, validation_sentence
from diapipe.steps.validate import judge, truth_table, validate


def demonstrate_pair(*, out: Path, seed: int, size: int, overwrite: bool, quiet: bool, verbose: bool) -> None:
    """Simulate a pair of images, subtract them, and compare what was found with the truth."""
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
        _compare(result, pair.transients)


def _compare(result: DifferenceResult, changes: Table) -> None:
    """Say how the truth was recovered."""
    truth = truth_table(changes, result.difference, name="the truth")
    threshold = result.detections.threshold_sigma
    judged = judge(result.difference, result.dia_sources, truth, threshold_sigma=threshold)
    numbers = validate([judged], truth_is_all=True).numbers
    click.echo(validation_sentence(numbers))
    show_grade(grade_rows(numbers))
