"""``diapipe pipeline``: the survey's pipeline, for those who run it by other means."""

from __future__ import annotations

from pathlib import Path

import click

from diapipe.cli.run import survey_pipeline


@click.command(short_help="Show the survey's pipeline, or where it is.")
@click.option("--path", is_flag=True, help="Print the path of its file, for pipetask and bps.")
def pipeline(path: bool) -> int:
    """Show the pipeline of a survey, its tasks and the subsets in which they run.

    pipetask run -p "$(diapipe pipeline --path)#differences" runs a step of it.
    """
    place = survey_pipeline()
    click.echo(place if path else Path(place).read_text(encoding="utf-8").rstrip())
    return 0
