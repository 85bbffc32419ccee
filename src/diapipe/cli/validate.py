"""``diapipe validate``: how complete, how pure and how accurate a result is, by a table of what is true."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from diapipe.cli.grade_table import show_grade, show_table
from diapipe.cli.inject_survey import INJECTED
from diapipe.cli.options import FILE, talk
from diapipe.cli.validate_survey import FILES, SCHEMA, is_earlier, validate_survey, write_numbers

if TYPE_CHECKING:
    from diapipe.steps.validate import Validation


@click.command(short_help="Judge a result by what is true.")
@click.argument("place", metavar="FOLDER|REPO")
@click.option("--truth", type=FILE, help="Of a folder: table of what is true.  [default: its injected.parquet]")
@click.option("--truth-is-all", is_flag=True, help="Nothing else changed, as in a simulation: the rest is false.")
@click.option("--output", help="Of a survey: collection that diapipe inject filled.  [default: injected]")
@click.option("--out", type=FILE, help="Folder for the numbers.  [default: FOLDER; of a survey validation]")
@click.option("--overwrite", is_flag=True, help="Replace files there that diapipe validate did not make.")
@talk
def validate(
    place: str,
    truth: Path | None,
    truth_is_all: bool,
    output: str | None,
    out: Path | None,
    overwrite: bool,
    quiet: bool,
    verbose: bool,
) -> None:
    """Judge the result in FOLDER, of diapipe subtract, or the survey in the repository REPO by what is true.

    A survey is judged by what `diapipe inject REPO` put into its visits: over all of it, by band and by visit.

    A folder is judged by a table (parquet, CSV, ECSV, VOTable, FITS) with the columns x and y (pixels of the science
    image) and flux (science minus template, in the unit of its pixels); kind, trail_length and trail_angle if it has
    them.

    Writes validation.json and the tables completeness, accuracy, missed, noise and stars as parquet, into FOLDER or
    where --out says, and the grade beside what others published on the terminal.
    """
    from diapipe.report.folder import is_repository
    from diapipe.report.validation_page import MISSED_HEADINGS, missed_rows
    from diapipe.steps.validate import listed

    if is_repository(place):
        if truth is not None:
            raise click.UsageError("--truth cannot be used here: a survey is judged by what was put into its visits")
        found = validate_survey(
            place, output=output or INJECTED, out=out or Path("validation"), truth_is_all=truth_is_all,
            overwrite=overwrite, quiet=quiet,
        )  # fmt: skip
    else:
        if output is not None:
            raise click.UsageError("--output cannot be used here: it is of a survey in a repository")
        found = _validate_folder(
            Path(place), truth, out=out or Path(place), truth_is_all=truth_is_all, overwrite=overwrite, quiet=quiet
        )
    if verbose and not quiet:
        _show_causes(found)
        if missed := missed_rows(listed(found.missed)):
            show_table("Bright changes that were missed", MISSED_HEADINGS, missed)


def _validate_folder(
    folder: Path, truth: Path | None, *, out: Path, truth_is_all: bool, overwrite: bool, quiet: bool
) -> Validation:
    """Judge a result of two images."""
    from diapipe.cli.landing import check_free, landing
    from diapipe.errors import InputError
    from diapipe.io import read_difference, read_table
    from diapipe.report.folder import read_sources, read_summary
    from diapipe.report.validation import grade_rows, validation_sentence
    from diapipe.steps.summarize import plain
    from diapipe.steps.validate import judge, truth_table
    from diapipe.steps.validate import validate as add_up

    summary = read_summary(folder / "summary.json")
    path = folder / "injected.parquet" if truth is None else truth
    if truth is None and not path.is_file():
        raise click.UsageError(f"{folder} has no injected.parquet: give --truth, or diapipe subtract --inject")
    check_free(out, names=FILES, inputs=(path,), is_ours=is_earlier, overwrite=overwrite)
    given = read_table(path)
    if not len(given) and not truth_is_all:
        raise InputError(f"{path} has no rows: there is nothing to judge by; --truth-is-all says that nothing changed")
    difference, sources = read_difference(folder / "difference.fits"), read_sources(folder / "dia_sources.parquet")
    table = truth_table(given, difference, name=str(path))
    quality = {name: summary[name] for name in ("noise", "stars")}
    threshold = float(summary["counts"]["threshold_sigma"])
    found = add_up(
        [judge(difference, sources, table, threshold_sigma=threshold, quality=quality)], truth_is_all=truth_is_all
    )
    with landing(out, names=FILES) as place:
        write_numbers({"schema": SCHEMA, **plain(found.plain)}, found, place)
    if not quiet:
        click.echo(validation_sentence(found.numbers))
        show_grade(grade_rows(found.numbers))
        click.echo(f"Numbers: {out / FILES[0]}")
    return found


def _show_causes(found: Validation) -> None:
    """What the truth does not explain, by cause."""
    counts = found.numbers["n_unexplained"]
    click.echo("Sources that the truth does not explain: " + ", ".join(f"{cause} {n}" for cause, n in counts.items()))
