"""The command ``diapipe``: its subcommands, and how every failure becomes one sentence and an exit status."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from types import FrameType

import click

import diapipe
from diapipe.cli import interrupts
from diapipe.cli.coadd import coadd
from diapipe.cli.define_visits import define_visits
from diapipe.cli.demo import demo
from diapipe.cli.export import export
from diapipe.cli.ingest import ingest
from diapipe.cli.init import init
from diapipe.cli.inject import inject
from diapipe.cli.lightcurve import lightcurve
from diapipe.cli.memory import collect_rarely, keep_freed_memory
from diapipe.cli.pipeline import pipeline
from diapipe.cli.refcat import refcat
from diapipe.cli.report import report
from diapipe.cli.run import run
from diapipe.cli.simulate import simulate
from diapipe.cli.skymap import skymap
from diapipe.cli.status import status
from diapipe.cli.submit import submit
from diapipe.cli.subtract import subtract
from diapipe.cli.train_reliability import train_reliability
from diapipe.cli.validate import validate
from diapipe.cli.warmup import warmup
from diapipe.errors import DiapipeError, InternalError

USAGE, DEFECT, INTERRUPTED, TERMINATED = 2, 3, 130, 143

BLAS_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Set to one unless the user says otherwise: threads of a BLAS only spin on matrices as small as ours."""


EXAMPLES = """\b
Examples:
  diapipe subtract night1.fits template.fits --out night1
  diapipe demo
"""


@click.group(epilog=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(diapipe.__version__, prog_name="diapipe")
def cli() -> None:
    """Difference imaging: subtract a template, find what changed, measure it honestly."""


for command in (
    subtract,
    demo,
    init,
    ingest,
    define_visits,
    skymap,
    refcat,
    run,
    submit,
    coadd,
    status,
    export,
    lightcurve,
    pipeline,
    simulate,
    inject,
    validate,
    report,
    warmup,
    train_reliability,
):
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status: 0 done, 1 the data, 2 wrong use, 3 a defect, 130 interrupted."""
    for name in BLAS_THREADS:
        os.environ.setdefault(name, "1")
    keep_freed_memory()
    collect_rarely()
    words = list(sys.argv[1:] if arguments is None else arguments)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminate)
        interrupts.listen()
    try:
        status = cli.main(args=words, prog_name="diapipe", standalone_mode=False)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        return _wrong_use(error)
    except (click.Abort, KeyboardInterrupt):
        return _say("interrupted; nothing was written", INTERRUPTED)
    except Exception as error:
        if interrupts.seen():  # whatever broke, broke by it
            return _say("interrupted; nothing was written", INTERRUPTED)
        return _failure(error, verbose="--verbose" in words)
    return status if isinstance(status, int) else 0


def _failure(error: Exception, *, verbose: bool) -> int:
    """Say what went wrong, whose fault it is by the status."""
    if isinstance(error, DiapipeError) and not isinstance(error, InternalError):
        return _say(f"{error}", error.exit_status)
    if isinstance(error, MemoryError):
        return _say("there is not enough memory for these images; cut them, or close other programs", 1)
    return 1 if isinstance(error, BrokenPipeError) else _defect(error, verbose=verbose)


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    """End through the same clean-up as an interrupt when a batch system says stop."""
    sys.exit(TERMINATED)


def _wrong_use(error: click.ClickException) -> int:
    """Show click's own sentence with the place to look, in one line; the help as it is where no command was given."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return USAGE
    context = getattr(error, "ctx", None)
    where = context.command_path if context is not None else "diapipe"
    sentence = error.format_message().rstrip(".")
    return _say(f"{sentence[:1].lower()}{sentence[1:]} (see {where} --help)", USAGE)


def _defect(error: BaseException, *, verbose: bool) -> int:
    """Say that it is our fault and what to do; the traceback for those who want it."""
    if verbose:
        click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
    more = "" if verbose else " (the same command with --verbose shows where)"
    cause = " ".join(f"{type(error).__name__}: {error}".split())
    return _say(f"a defect of diapipe stopped it, please report it{more}: {cause}", DEFECT)


def _say(sentence: str, status: int) -> int:
    """One line on stderr."""
    click.echo(f"diapipe: {' '.join(sentence.split())}", err=True)
    return status
