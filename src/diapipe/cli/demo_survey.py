"""The demo: a simulated survey in a repository, by the commands that a person would give."""

from __future__ import annotations

import shutil
from pathlib import Path

import click
import numpy as np

from diapipe.cli.first_use import compilation_announced
from diapipe.cli.progress import progress_for
from diapipe.cli.survey_files import NOTE, SurveyFolder, claim, is_survey, write_survey
from diapipe.errors import UsageError
from diapipe.simulate import SurveySpec

_TRACT_DEG, _TRACT_OFFSET_DEG, _PATCH_PX, _BORDER_PX = 0.08, 0.03, 480, 50


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
        _clear(folder)
    is_resumed = claim(folder, spec, seed)
    talk = _Talk(quiet=quiet, verbose=verbose)
    if is_resumed:
        talk.say(f"{out} holds this survey already; what is missing is done now")
    with compilation_announced(quiet=quiet), progress_for(quiet=quiet) as progress:
        write_survey(folder, spec, seed, progress=progress)
    return 0


class _Talk:
    """What the demo says between the commands."""

    def __init__(self, *, quiet: bool, verbose: bool) -> None:
        self.options = ["--quiet"] * quiet + ["--verbose"] * verbose
        self._quiet = quiet

    def say(self, sentence: str) -> None:
        """A line of the demo itself."""
        if not self._quiet:
            click.echo(f"diapipe: {sentence}", err=True)

    def run(self, *words: object) -> int:
        """Show a command and do it; its exit status."""
        from diapipe.cli.main import cli

        arguments = [str(word) for word in words]
        if not self._quiet:
            click.echo(f"\n$ diapipe {' '.join(arguments)}")
        status = cli.main(args=[*arguments, *self.options], prog_name="diapipe", standalone_mode=False)
        return status if isinstance(status, int) else 0


def _require_middleware() -> None:
    """Refuse where the extra is not installed, saying what can be done without it."""
    try:
        import lsst.daf.butler
        import lsst.pipe.base  # noqa: F401
    except ImportError as missing:
        raise UsageError(
            f"a survey needs the middleware of LSST, but there is no {missing.name}: pip install 'diapipe[pipeline]'; "
            "or give --pair for a demo of two images, which needs nothing of it"
        ) from missing


def _clear(folder: SurveyFolder) -> None:
    """Remove what an earlier demo left, and nothing else."""
    if is_survey(folder):
        for place in (folder.exposures, folder.repository, folder.pages, folder.truth("stars").parent):
            shutil.rmtree(place, ignore_errors=True)
        for path in (folder.reference, folder.root / "index.html", folder.root / NOTE):
            path.unlink(missing_ok=True)


def tract_places(spec: SurveySpec) -> list[tuple[float, float, float]]:
    """Two tracts whose border goes through the middle of the field: right ascension, declination, side, in degrees."""
    offset = _TRACT_OFFSET_DEG / np.cos(np.radians(spec.center_dec_deg))
    return [(round(spec.center_ra_deg + sign * offset, 5), spec.center_dec_deg, _TRACT_DEG) for sign in (-1, 1)]
