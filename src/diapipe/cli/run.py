"""``diapipe run``: the pipeline of a survey on the data of a repository."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from importlib.resources import files as files_of
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from diapipe.cli.memory import return_freed_memory
from diapipe.cli.options import FILE, Decorator, positive, several, talk

if TYPE_CHECKING:
    from diapipe.tasks.running import RunRequest

STEPS = ("visits", "scale", "coadds", "differences", "objects", "forced", "lightcurves")

data_choice: Decorator = several(
    click.option("--visits", default="", metavar="LIST", help="Visits, such as 1..10,12; all where not given."),
    click.option("--detectors", default="", metavar="LIST", help="Detectors, such as 0,3..5."),
    click.option("--bands", default="", metavar="NAMES", help="Bands, such as g,r."),
    click.option("--tracts", default="", metavar="LIST", help="Tracts that the data overlap."),
    click.option("--patches", default="", metavar="LIST", help="Patches of these tracts."),
    click.option("--where", default="", metavar="QUERY", help="Further conditions in the butler's query language."),
    click.option("--instrument", default="", help="The instrument, where the repository has several."),
    click.option("--skymap", default="", help="The skymap, where the repository has several."),
)

template_choice: Decorator = several(
    click.option("--template-from", type=float, metavar="MJD", help="First date of the template's visits."),
    click.option("--template-until", type=float, metavar="MJD", help="Last date of the template's visits."),
    click.option("--template-visits", type=click.IntRange(min=1), help="At most so many visits, the sharpest."),
    click.option("--template-max-fwhm", type=float, callback=positive, help="Largest PSF width in arcsec."),
    click.option("--exclude-from-template", default="", metavar="LIST", help="Visits kept out of the template."),
)

cores: Decorator = click.option(
    "--cores", type=click.IntRange(min=1), default=os.cpu_count() or 1, show_default="all of the machine"
)

how_to_run: Decorator = several(
    cores,
    click.option("--output", default="default", show_default=True, help="Name of the collection of results."),
    click.option("--input", "inputs", default="", metavar="NAMES", help="Collections to read besides the output's."),
    click.option("--preset", "presets", multiple=True, metavar="NAME", help="Configuration that comes with diapipe."),
    click.option("-c", "values", multiple=True, metavar="LABEL:FIELD=VALUE", help="Set a field of a task."),
    click.option("-C", "files", multiple=True, metavar="LABEL:FILE", help="Configuration file of a task."),
    click.option("--pipeline", type=FILE, help="Another pipeline, with subsets named as the steps."),
    click.option("--limit-minutes", type=click.FloatRange(min=0, min_open=True), help="A task's work takes no longer."),
    click.option("--renew", default="", metavar="STEPS", help="Make outdated results anew, such as coadds."),
    click.option("--wait", is_flag=True, help="Wait where another run writes the same output."),
)


what_to_run: Decorator = several(
    click.argument("repo"),
    click.option("--steps", default=",".join(STEPS), show_default=True, help="Subsets of the pipeline, in this order."),
    data_choice,
    template_choice,
    how_to_run,
    talk,
)


@click.command(short_help="Run the survey's pipeline on a repository.")
@what_to_run
def run(repo: str, steps: str, **options: Any) -> int:
    """Run the pipeline: visits, their scale, coadds as templates, differences, objects, light curves.

    What the output already holds is not done again, so the same command continues an interrupted run and retries what
    failed. Exit status: 0 all done, 1 something failed, 130 interrupted.
    """
    return run_steps(repo, tuple(filter(None, steps.split(","))), options)


def run_steps(
    repo: str,
    steps: tuple[str, ...],
    options: dict[str, Any],
    *,
    executor_of: Callable[[RunRequest], Callable[..., str]] | None = None,
) -> int:
    """Run some steps with the options of the command line, on workers of this process or by another executor."""
    return run_request(request_of(repo, steps, **options), quiet=bool(options["quiet"]), executor_of=executor_of)


def run_request(
    request: RunRequest, *, quiet: bool, executor_of: Callable[[RunRequest], Callable[..., str]] | None = None
) -> int:
    """Do what is asked for, tell of it, and return the exit status."""
    from diapipe.cli.run_progress import watcher_for
    from diapipe.cli.run_summary import tell
    from diapipe.tasks.running import run_survey
    from diapipe.tasks.running.nursery import fork_here

    other: dict[str, Any] = {"executor": executor_of(request)} if executor_of else {}
    if executor_of is None:
        return_freed_memory()
        fork_here()
    logging.getLogger("lsst").addHandler(logging.NullHandler())  # the watcher tells what a person wants to know
    with watcher_for(quiet=quiet, n_workers=request.n_workers) as watcher:
        summary = run_survey(request, watcher, **other)
    if not quiet or summary.exit_status:
        tell(summary, repo=request.repo)
    return summary.exit_status


def request_of(
    repo: str,
    steps: tuple[str, ...],
    *,
    cores: int,
    output: str,
    inputs: str,
    presets: tuple[str, ...],
    values: tuple[str, ...],
    files: tuple[str, ...],
    pipeline: Path | None,
    limit_minutes: float | None,
    renew: str,
    wait: bool,
    bands: str,
    template_from: float | None,
    template_until: float | None,
    template_visits: int | None,
    template_max_fwhm: float | None,
    exclude_from_template: str,
    quiet: bool,
    verbose: bool,
    **data: str,
) -> RunRequest:
    """What the options ask for."""
    from diapipe.tasks.presets import preset_settings
    from diapipe.tasks.running import DataSelection, RunRequest, Settings, TemplateChoice

    own = tuple(text for name in presets for text in preset_settings(name))
    template = TemplateChoice(
        from_mjd=template_from,
        until_mjd=template_until,
        n_visits=template_visits,
        max_fwhm_arcsec=template_max_fwhm,
        left_out=exclude_from_template,
    )
    return RunRequest(
        repo=repo,
        pipeline=str(pipeline) if pipeline else survey_pipeline(),
        steps=steps,
        output=output,
        data=DataSelection(bands=tuple(_words(bands)), **data),
        settings=Settings(values=values, files=own + files, template=template),
        inputs=tuple(_words(inputs)),
        n_workers=cores,
        limit_seconds=60 * limit_minutes if limit_minutes else None,
        renew=tuple(_words(renew)),
        wait=wait,
    )


def survey_pipeline(name: str = "survey") -> str:
    """A pipeline that comes with diapipe."""
    return str(files_of("diapipe.tasks.pipelines") / f"{name}.yaml")


def _words(text: str) -> list[str]:
    """What stands between commas."""
    return [word.strip() for word in text.split(",") if word.strip()]
