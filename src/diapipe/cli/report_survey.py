"""``diapipe report REPO``: the pages of a survey, or of one visit or object of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from diapipe.errors import UsageError

if TYPE_CHECKING:
    from diapipe.report.survey.content import Beside
    from diapipe.tasks.survey_results import SurveyResults


def report_survey(
    repo: Path,
    *,
    output: str,
    out: Path,
    overwrite: bool,
    visit: int | None,
    detector: int | None,
    number: int | None,
    catalogue: Path | None,
    n_objects: int | None,
    quiet: bool,
) -> None:
    """Write the report, or one page of it, and say where it lies."""
    from diapipe.report.survey.writing import write_object_alone
    from diapipe.tasks.survey_results import opened_survey

    if (visit is None) != (detector is None):
        raise UsageError("a page of one visit needs both --visit and --detector")
    if visit is not None and number is not None:
        raise UsageError("give either --visit and --detector or --object")
    with opened_survey(str(repo), output=output) as survey:
        beside = _beside(survey, catalogue)
        if visit is not None and detector is not None:
            with _adding_to(out, overwrite=overwrite):
                page = _unit_alone(survey, out, visit, detector)
        elif number is not None:
            with _adding_to(out, overwrite=overwrite):
                page = write_object_alone(out, survey, number, beside=beside)
        else:
            write_whole(
                survey, out, title=f"{name_of(repo)}: {output}", beside=beside, n_objects=n_objects, quiet=quiet,
                overwrite=overwrite,
                steps=next_steps(repo, output),
            )  # fmt: skip
            page = out / "index.html"
    if not quiet:
        click.echo(f"Look at the page:    {page}")


def write_whole(
    survey: SurveyResults,
    out: Path,
    *,
    title: str,
    beside: Beside | None,
    steps: Sequence[tuple[str, str]],
    n_objects: int | None = None,
    overwrite: bool = False,
    quiet: bool,
) -> None:
    """Write all pages into a folder, in the place of earlier ones."""
    from diapipe.cli.counts import counts_for
    from diapipe.cli.landing import check_free, landing
    from diapipe.report.survey.writing import MAX_OBJECT_PAGES, NAMES, write_survey_report

    check_free(out, names=NAMES, is_ours=is_report, overwrite=overwrite)
    with landing(out, names=NAMES) as folder, counts_for(quiet=quiet) as counts:
        write_survey_report(
            folder, survey, title=title, beside=beside, steps=steps, counts=counts,
            n_objects=MAX_OBJECT_PAGES if n_objects is None else n_objects,
        )  # fmt: skip


def next_steps(repo: Path, output: str) -> list[tuple[str, str]]:
    """Commands to go on with."""
    chosen = "" if output == "default" else f" --output {output}"
    return [
        (f"diapipe status {repo} --failed", "what failed, quantum by quantum"),
        (f"diapipe report {repo}{chosen} --object ID", "the page of an object that has none"),
        (f"diapipe export {repo}{chosen} --format csv --out tables", "objects, sources and light curves for others"),
        (f"diapipe inject {repo}", "sources of known truth, and then diapipe validate: how complete this is"),
    ]


def name_of(repo: Path) -> str:
    """What a repository is called: its folder, also where its file of configuration was given."""
    place = repo.resolve()
    return place.parent.name if place.is_file() else place.name


def is_report(folder: Path) -> bool:
    """Whether a report fills the folder: it alone leaves these scripts."""
    return (folder / "assets" / "sources.js").is_file()


def _beside(survey: SurveyResults, catalogue: Path | None) -> Beside | None:
    """A user's catalogue beside the objects."""
    if catalogue is None:
        return None
    from diapipe.io import read_table
    from diapipe.report.survey.beside import beside_catalogue

    return beside_catalogue(survey.tables.dia_objects, read_table(catalogue), name=catalogue.stem, file=catalogue.name)


def _unit_alone(survey: SurveyResults, out: Path, visit: int, detector: int) -> Path:
    """The page of one visit and detector."""
    from diapipe.catalogs.survey_units import unit_of
    from diapipe.report.survey.writing import write_unit_alone

    found = [unit for row in survey.units if (unit := unit_of(row))[1:] == (visit, detector)]
    if not found:
        raise UsageError(f"{survey.collection} of {survey.repo} has no visit {visit}, detector {detector}")
    return write_unit_alone(out, survey, found[0])


@contextmanager
def _adding_to(out: Path, *, overwrite: bool) -> Iterator[None]:
    """Make sure that the folder is there, and new, empty, or a report; WriteError where the system refuses.

    A folder that was not there is not there either when the block fails.
    """
    from diapipe.cli.landing import check_free, failing_as_write_error
    from diapipe.report.survey.writing import NAMES

    check_free(out, names=NAMES, is_ours=is_report, overwrite=overwrite)
    made = [place for place in (*reversed(out.parents), out) if not place.exists()]
    with failing_as_write_error(out):
        try:
            out.mkdir(parents=True, exist_ok=True)
            yield
        except BaseException:
            if made:
                shutil.rmtree(made[0], ignore_errors=True)
            raise
