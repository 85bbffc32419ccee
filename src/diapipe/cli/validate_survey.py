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

FILES = ("validation.json", "completeness.parquet", "accuracy.parquet")
"""What is written: into a result of two images, or into a folder of a survey."""
_N_VISITS = 5
"""Visits told of on the terminal, the least complete first."""
SCHEMA = "diapipe-survey-validation/1"


def validate_survey(repo: str, *, output: str, out: Path, truth_is_all: bool, quiet: bool) -> Validation:
    """Put all visits together, write the numbers, and tell the grade; the validation of all."""
    from diapipe.cli.landing import check_free, landing
    from diapipe.errors import counted
    from diapipe.io import write_parquet, write_text
    from diapipe.report.validation import grade_rows, validation_sentence
    from diapipe.steps.summarize import plain
    from diapipe.steps.validate import validate_groups
    from diapipe.tasks.injection import judged_survey

    check_free(out, names=FILES, is_ours=_is_earlier)
    judged, n_injected = judged_survey(repo, output=output)
    found = validate_groups(judged, truth_is_all=truth_is_all)
    numbers = {"schema": SCHEMA, "n_injected_images": n_injected, **plain(found.plain)}
    with landing(out, names=FILES) as folder:
        write_text(folder / FILES[0], json.dumps(numbers, indent=1, allow_nan=False) + "\n")
        write_parquet(found.completeness, folder / FILES[1])
        write_parquet(found.accuracy, folder / FILES[2])
    if not quiet:
        click.echo(validation_sentence(found.whole.numbers))
        if n_injected > len(judged):
            without = f"{n_injected - len(judged)} of {counted(n_injected, 'injected image')}"
            click.echo(f"{without} have no difference; diapipe status {repo} says why")
        show_grade(grade_rows(found.whole.numbers))
        _show_parts(found)
        click.echo(f"Numbers: {out / FILES[0]}")
    return found.whole


def _show_parts(found: SurveyValidation) -> None:
    """The bands, and the visits that are least complete."""
    headings = ("", "found of S/N > 6", "50% at S/N", "flux bias, S/N > 20", "width of pulls")
    show_table("By band", headings, [(band, *_cells(one.numbers)) for band, one in found.bands.items()])
    worst = sorted(found.visits.items(), key=lambda visit: _share(visit[1].numbers))[:_N_VISITS]
    rows = [(f"{visit} ({found.band_of[visit]})", *_cells(one.numbers)) for visit, one in worst]
    show_table("By visit, the least complete first", headings, rows)


def _share(numbers: Mapping[str, Any]) -> float:
    """Of what is bright enough; 1 where nothing is."""
    value = numbers["completeness"]["all"]["value"]
    return 1.0 if value is None else float(value)


def _cells(numbers: Mapping[str, Any]) -> tuple[str, ...]:
    """What is told of a part."""
    share, bright, points = numbers["completeness"]["all"], numbers["bright"], numbers["hostless"]
    return (
        f"{share['n_of']} of {share['n']}",
        _number(numbers["half_complete"]["value"], ".1f"),
        _number(bright.get("bias"), "+.3f"),
        _number(points.get("pull_sigma"), ".2f"),
    )


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else f"{value:{form}}"


def _is_earlier(folder: Path) -> bool:
    """Whether the command filled the folder."""
    try:
        found = json.loads((folder / FILES[0]).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.get("schema") == SCHEMA
