"""``diapipe inject REPO``: sources of known truth put into the visits of a survey."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from diapipe.cli.options import Decorator, several
from diapipe.cli.run import cores, data_choice, run_request, survey_pipeline

if TYPE_CHECKING:
    from astropy.table import Table

    from diapipe.steps.inject import Injection

INJECTED = "injected"
"""Output unless another is given."""
_DATA = ("visits", "detectors", "bands", "tracts", "patches", "where", "instrument", "skymap")
SURVEY_ONLY = (*_DATA, "survey", "output", "cores")
"""Options that mean nothing for two images."""

survey_options: Decorator = several(
    data_choice,
    click.option(
        "--input", "survey", default="default", show_default=True, help="Of a survey: collection of its results."
    ),
    click.option("--output", default=INJECTED, show_default=True, help="Of a survey: collection of what is made here."),
    cores,
)


def inject_survey(
    repo: str,
    recipe: Injection | None,
    catalog: Table | None,
    *,
    survey: str,
    output: str,
    cores: int,
    bands: str,
    quiet: bool,
    **data: Any,
) -> int:
    """Inject, difference, compare; the exit status of the run."""
    from diapipe.steps.inject import Injection
    from diapipe.tasks.injection import STEP, injected_run
    from diapipe.tasks.running import DataSelection, RunRequest

    request = RunRequest(
        repo=repo,
        pipeline=survey_pipeline("injected"),
        steps=(STEP,),
        output=output,
        data=DataSelection(bands=tuple(filter(None, bands.replace(" ", "").split(","))), **data),
        n_workers=cores,
    )
    with injected_run(request, survey=survey, recipe=recipe or Injection(), catalog=catalog) as whole:
        status = run_request(whole, quiet=quiet)
    if not quiet:
        chosen = "" if output == INJECTED else f" --output {output}"
        click.echo(f"Next: diapipe validate {repo}{chosen}")
    return status
