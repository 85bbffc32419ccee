"""``diapipe coadd``: the pipeline of a survey up to its templates."""

from __future__ import annotations

from typing import Any

import click

from diapipe.cli.options import talk
from diapipe.cli.run import STEPS, data_choice, how_to_run, run_steps, template_choice


@click.command(short_help="Make the templates of a survey, without differences.")
@click.argument("repo")
@data_choice
@template_choice
@how_to_run
@talk
def coadd(repo: str, **options: Any) -> int:
    """Run the steps up to the coadds, as ``diapipe run`` would before it differences."""
    return run_steps(repo, STEPS[: STEPS.index("coadds") + 1], options)
