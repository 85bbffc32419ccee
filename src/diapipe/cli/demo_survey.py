"""The demo: a simulated survey in a repository, by the commands that a person would give."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

import click
import numpy as np

from diapipe.cli.first_use import compilation_announced, compiled_meanwhile
from diapipe.cli.grade_table import show_grade, show_table
from diapipe.cli.progress import progress_for
from diapipe.cli.survey_files import SurveyFolder, claim, clear, write_survey
from diapipe.errors import UsageError
from diapipe.simulate import SurveySpec, simulate_survey

_TRACT_DEG, _PATCH_PX, _BORDER_PX = 0.0799, 480, 50
_TRACT_OFFSETS_DEG = (-0.0275, 0.04)
"""East of the middle: of three columns of patches two have data, and the border goes through detectors."""


def demonstrate_survey(*, out: Path, seed: int, cores: int | None, overwrite: bool, quiet: bool, verbose: bool) -> int:
    """Simulate, ingest, coadd, subtract, compare with the truth; the exit status of the run.

    Raises
    ------
    UsageError
        If the middleware is missing, or the folder holds something else.
    """
    _require_middleware()
    folder, spec = SurveyFolder(out), SurveySpec()
    if overwrite:
        clear(folder)
    is_resumed = claim(folder, spec, seed)
    talk = _Talk(quiet=quiet, verbose=verbose)
    talk.say(
        f"{out} holds the beginning of this survey; what is missing is done now"
        if is_resumed
        else f"simulating ten visits of {spec.n_detectors} detectors with seed {seed}"
    )
    cores = cores or os.cpu_count() or 1
    with compiled_meanwhile(cores=cores), compilation_announced(quiet=quiet), progress_for(quiet=quiet) as progress:
        write_survey(folder, spec, seed, progress=progress)
    status = _run_all(folder, spec, cores, talk)
    if status == 0:
        _compare(folder, spec, seed, talk)
    return status


def _run_all(folder: SurveyFolder, spec: SurveySpec, cores: int, talk: _Talk) -> int:
    """The commands from an empty repository to light curves; the status of the first that did not end well."""
    repo = folder.repository
    tracts = [word for place in tract_places(spec) for word in ("--tract", *place)]
    commands: list[tuple[object, ...]] = [
        ("ingest", repo, folder.exposures, "--camera", "simulator"),
        ("define-visits", repo),
        ("skymap", repo, *tracts, "--patch-size", _PATCH_PX, "--border", _BORDER_PX),
        ("refcat", repo, folder.reference),
        ("run", repo, "--cores", cores, "--template-until", _pause(spec), "-c", "photometricScale:way=reference"),
    ]
    if not repo.exists():
        commands.insert(0, ("init", repo))
    return next((status for words in commands if (status := talk.run(*words))), 0)


def _pause(spec: SurveySpec) -> int:
    """A date between the nights of the template and the others."""
    last = spec.first_mjd + (spec.n_template_nights - 1) * spec.night_spacing_days
    return int(last + 0.5 * spec.pause_days)


def _compare(folder: SurveyFolder, spec: SurveySpec, seed: int, talk: _Talk) -> None:
    """Say how the truth was recovered, make the pages, say what to look at."""
    from diapipe.cli.report_survey import write_whole
    from diapipe.cli.survey_beside import truth_beside
    from diapipe.cli.survey_comparison import compare
    from diapipe.report.validation import grade_rows, validation_sentence
    from diapipe.report.validation_page import HEADINGS, part_rows
    from diapipe.tasks.survey_results import opened_survey

    with opened_survey(str(folder.repository), output="default") as results:
        with progress_for(quiet=talk.is_quiet) as progress:
            comparison = compare(results, folder, progress=progress)
        survey = simulate_survey(spec, rng=np.random.default_rng(seed))
        write_whole(
            results, folder.report, title=f"A simulated survey, seed {seed}", quiet=talk.is_quiet,
            beside=truth_beside(comparison, survey), steps=next_steps(folder),
        )  # fmt: skip
    if talk.is_quiet:
        return
    click.echo()
    found = comparison.validation
    click.echo(validation_sentence(found.whole.numbers))
    show_grade(grade_rows(found.whole.numbers))
    show_table("By band", HEADINGS, part_rows({band: part.numbers for band, part in found.bands.items()}))
    click.echo(comparison.objects.sentence)
    click.echo(f"\nLook at the survey:  {folder.report / 'index.html'}")
    click.echo(f"The truth:           {folder.truth('objects').parent}")
    click.echo("What to explore next:")
    for command, meaning in next_steps(folder):
        click.echo(f"  {command}\n      {meaning}")


def next_steps(folder: SurveyFolder) -> list[tuple[str, str]]:
    """Commands to go on with."""
    repo, exposures = folder.repository, folder.exposures
    return [
        (f"diapipe status {repo}", "what was run, and how it ended"),
        (f"butler query-datasets {repo} dia_object --collections diapipe/default", "catalogues, as LSST lists them"),
        (f"diapipe export {repo} --format csv --out {folder.root / 'tables'}", "objects, sources and light curves"),
        (
            f"diapipe run {repo} --output sharp --template-visits 2 -c photometricScale:way=reference",
            "another template, of the two sharpest visits, beside the first",
        ),
        (
            f"diapipe subtract {exposures}/visit0009-detector0.fits {exposures}/visit0003-detector0.fits --out pair",
            "two raw exposures, without a repository",
        ),
    ]


class _Talk:
    """What the demo says between the commands."""

    def __init__(self, *, quiet: bool, verbose: bool) -> None:
        self.options = ["--quiet"] * quiet + ["--verbose"] * verbose
        self.is_quiet = quiet

    def say(self, sentence: str) -> None:
        """A line of the demo itself."""
        if not self.is_quiet:
            click.echo(f"diapipe: {sentence}", err=True)

    def run(self, *words: object) -> int:
        """Show a command and do it; its exit status."""
        from diapipe.cli.main import cli

        arguments = [str(word) for word in words]
        if not self.is_quiet:
            click.echo(f"\n$ diapipe {' '.join(arguments)}")
        status = cli.main(args=[*arguments, *self.options], prog_name="diapipe", standalone_mode=False)
        return status if isinstance(status, int) else 0


def _require_middleware() -> None:
    """Refuse where the extra is not installed, saying what can be done without it."""
    try:
        importlib.import_module("diapipe.tasks.repository")
    except ImportError as missing:
        raise UsageError(f"{missing}; or give --pair for a demo of two images, which needs nothing of it") from missing


def tract_places(spec: SurveySpec) -> list[tuple[float, float, float]]:
    """Two tracts that overlap in the field: right ascension, declination and side in degrees."""
    cosine = float(np.cos(np.radians(spec.center_dec_deg)))
    places = [(spec.center_ra_deg + east / cosine) % 360.0 for east in _TRACT_OFFSETS_DEG]
    return [(round(ra, 5), spec.center_dec_deg, _TRACT_DEG) for ra in places]
