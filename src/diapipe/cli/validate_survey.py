"""``diapipe validate REPO``: how complete and how accurate a survey is, by what was put into its visits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from diapipe.cli.grade_table import show_grade, show_table

if TYPE_CHECKING:
    from diapipe.steps.validate import SurveyValidation, Validation

TABLES = ("completeness", "accuracy", "missed", "noise", "stars")
FILES = ("validation.json", *(f"{name}.parquet" for name in TABLES))
"""What is written: into a result of two images, or into a folder of a survey."""
PAGE = "validation.html"
"""Into that of a survey, too."""
_N_VISITS = 5
"""Visits told of on the terminal, the least complete first."""
SCHEMA = "diapipe-validation/1"
SURVEY_SCHEMA = "diapipe-survey-validation/1"


def validate_survey(
    repo: str, *, output: str, out: Path, truth_is_all: bool, overwrite: bool, quiet: bool
) -> Validation:
    """Put all visits together, write the numbers, and tell the grade; the validation of all."""
    from diapipe.cli.landing import check_free, landing
    from diapipe.errors import InputError, counted
    from diapipe.io import write_text
    from diapipe.report.validation import grade_rows, validation_sentence
    from diapipe.report.validation_page import (
        HEADINGS,
        own_template_sentence,
        part_rows,
        render_validation_page,
        visit_rows,
    )
    from diapipe.steps.summarize import plain
    from diapipe.steps.validate import validate_groups
    from diapipe.tasks.injection import judged_survey

    check_free(out, names=(*FILES, PAGE), is_ours=is_earlier, overwrite=overwrite)
    judged, n_injected = judged_survey(repo, output=output)
    if not any(len(one.truth) for one in judged):
        raise InputError(
            f"no source was put into the {counted(n_injected, 'image')} of {output}: there is nothing to judge by"
        )
    found = validate_groups(judged, truth_is_all=truth_is_all)
    numbers = {"schema": SURVEY_SCHEMA, "n_injected_images": n_injected, **plain(found.plain)}
    with landing(out, names=(*FILES, PAGE)) as folder:
        write_numbers(numbers, found, folder)
        write_text(folder / PAGE, render_validation_page(numbers, title=f"Validation of {output} in {repo}"))
    if not quiet:
        click.echo(validation_sentence(found.whole.numbers))
        if n_injected > len(judged):
            without = f"{n_injected - len(judged)} of {counted(n_injected, 'injected image')}"
            click.echo(f"{without} have no difference; diapipe status {repo} says why")
        if own := own_template_sentence(numbers):
            click.echo(own)
        show_grade(grade_rows(found.whole.numbers))
        show_table("By band", HEADINGS, part_rows(numbers["bands"]))
        show_table("By visit, the least complete first", HEADINGS, visit_rows(numbers["visits"])[:_N_VISITS])
        click.echo(f"Numbers: {out / FILES[0]}; figures: {out / PAGE}")
    return found.whole


def write_numbers(numbers: Mapping[str, Any], found: Validation | SurveyValidation, folder: Path) -> None:
    """The files of a validation."""
    from diapipe.io import write_parquet, write_text

    write_text(folder / FILES[0], json.dumps(numbers, indent=1, allow_nan=False) + "\n")
    for name in TABLES:
        write_parquet(getattr(found, name), folder / f"{name}.parquet")


def is_earlier(folder: Path) -> bool:
    """Whether the command filled the folder."""
    from diapipe.cli.landing import has_schema

    return any(has_schema(folder / FILES[0], schema) for schema in (SCHEMA, SURVEY_SCHEMA))
