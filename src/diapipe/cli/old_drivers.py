"""The older drivers by their names and options, as ``imageDifferenceDriver.py``: each is a command of its own."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from diapipe.cli.run import survey_pipeline
from diapipe.errors import DiapipeError, InternalError

IDLE: dict[str, tuple[int, str]] = {
    "--calib": (1, "calibrations were applied before"),
    "--batch-options": (1, "give --batch-type the YAML file of a site of your own"),
    "--batch-output": (1, "the log is where stderr goes"),
    "--batch-profile": (0, "how long each detector took is in its metadata"),
    "--batch-stats": (0, "how long each detector took is in its metadata"),
    "--batch-verbose": (0, "use -L debug"),
    "--chdir": (1, "paths are those of where the command is given"),
    "--clobber-config": (0, "a rerun holds one configuration; another one goes into another rerun"),
    "--clobber-output": (0, "what is done is kept; start anew in another rerun"),
    "--clobber-versions": (0, "a rerun keeps the versions of each of its runs"),
    "--debug": (0, "there are no debugging displays"),
    "--do-exec": (0, "there is no script to be run"),
    "--doraise": (0, "a failed detector never stops the others, and is told at the end"),
    "--job": (1, "a job has the name of its step"),
    "--logdest": (1, "the log is where stderr goes"),
    "--longlog": (0, "the log of each detector is in the repository, complete"),
    "--mpiexec": (1, "there is no MPI"),
    "--no-backup-config": (0, "a rerun keeps the configuration of each of its runs"),
    "--no-versions": (0, "a rerun keeps the versions of each of its runs"),
    "--noExit": (0, "the exit status tells whether something failed"),
    "--profile": (1, "how long each detector took is in its metadata"),
    "--psfCache": (1, "the PSF is computed once for all places"),
    "--queue": (1, "give --batch-type the YAML file of a site of your own"),
    "--reuse-outputs-from": (1, "what is done is always used again"),
    "--time": (1, "nothing is killed for taking longer; -t limits a detector's time"),
}
"""Options that are taken and do nothing: how many words follow them, and why."""

HERE = ("none", "smp")
"""Of ``--batch-type``: what runs in processes of this machine; all else is a site of bps."""


def _command(name: str) -> Callable[[], int]:
    """The command of that name."""
    return lambda: drive(name, sys.argv[1:])


image_difference_driver = _command("imageDifferenceDriver")
coadd_driver = _command("coaddDriver")
association_driver = _command("associationDriver")
forced_ccd_dia = _command("forcedPhotCcdDia")
forced_phot_ccd_dia_driver = _command("forcedPhotCcdDiaDriver")
forced_ccd_template = _command("forcedPhotCcdTemplateDia")
forced_coadd_dia_src = _command("forcedPhotCoaddDiaSrc")
forced_coadd_dia = _command("forcedPhotCoaddDia")
forced_phot_coadd_dia_driver = _command("forcedPhotCoaddDiaDriver")
combine_dia_forced = _command("combineDiaForced")


def drive(name: str, words: Sequence[str]) -> int:
    """Run a driver; its exit status: 0 done, 1 something failed, 2 wrong use, 130 interrupted."""
    options = parser_of(name).parse_args(words)
    for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(threads, "1")
    try:
        with _told(_level(options.loglevel)):
            return _driven(name, options)
    except InternalError:
        raise
    except DiapipeError as error:
        click.echo(f"{name}: {error}", err=True)
        return error.exit_status
    except KeyboardInterrupt:
        click.echo(f"{name}: interrupted; the same command goes on from there", err=True)
        return 130


def _driven(name: str, options: argparse.Namespace) -> int:
    """Run what the options ask for."""
    from diapipe.cli.run_progress import watcher_for
    from diapipe.cli.run_summary import tell
    from diapipe.tasks.drive import DRIVERS, configured, request_for
    from diapipe.tasks.running import run_survey

    for option in options.idle or ():
        click.echo(f"{name}: {option} does nothing: {IDLE[option][1]}", err=True)
    asked = asked_by(options)
    if options.show:
        config: Any = configured(DRIVERS[name], asked)
        click.echo(config.saveToString())
        return 0
    with (
        request_for(name, asked) as request,
        watcher_for(quiet=options.loglevel in ("error", "fatal"), n_workers=request.n_workers) as watcher,
    ):
        if options.dry_run:
            click.echo(f"would run {', '.join(request.steps)} into {request.chain} where {request.data.where or 'all'}")
            return 0
        summary = run_survey(request, watcher, **_batch(options, request))
    tell(summary, repo=options.repo)
    return summary.exit_status


def _batch(options: argparse.Namespace, request: Any) -> dict[str, Any]:
    """Who does the work: the processes of this machine unless a cluster is asked for."""
    if options.batch_type in HERE:
        return {}
    from diapipe.tasks.running.batch import BatchExecutor
    from diapipe.tasks.running.submission import site_file

    place = site_file(options.batch_type), Path(options.batch_submit)
    return {
        "executor": BatchExecutor(site=place[0], folder=place[1], chain=request.chain, cores=request.n_workers),
    }


def asked_by(options: argparse.Namespace) -> Any:
    """What the options ask for, as `diapipe.tasks.drive` wants it."""
    from diapipe.tasks.drive import Asked

    cores = options.cores or options.processes or options.nodes * options.procs
    return Asked(
        repo=options.repo,
        pipeline=survey_pipeline(),
        rerun=options.rerun or options.output or "",
        ids=options.id or (),
        selectIds=options.selectId or (),
        templateIds=options.templateId or (),
        files=[path for given in options.configfile or () for path in given],
        values=[value for given in options.config or () for value in given],
        cores=1 if options.batch_type == "none" else cores,
        limit_seconds=options.timeout,
    )


def _level(name: str) -> int:
    """The level of the log."""
    level = logging.getLevelName({"warn": "warning", "trace": "debug", "fatal": "critical"}.get(name, name).upper())
    return level if isinstance(level, int) else logging.INFO


@contextmanager
def _told(level: int) -> Iterator[None]:
    """Let diapipe's own log lines be seen in the block, and no others: the watcher tells the rest."""
    logger, handler = logging.getLogger("diapipe"), logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(level)
    logging.getLogger("lsst").addHandler(logging.NullHandler())
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


class _Idle(argparse.Action):
    """Remember that an option without effect was given."""

    def __call__(self, parser: Any, options: Any, values: Any, option_string: str | None = None) -> None:
        options.idle = [*(options.idle or ()), self.option_strings[0]]


def parser_of(name: str) -> argparse.ArgumentParser:
    """The options of a driver."""
    parser = argparse.ArgumentParser(
        prog=f"{name}.py",
        description="Exit status: 0 all is done, 1 something failed, 2 wrong use, 130 interrupted. "
        "The same command again does what is missing.",
    )
    add = parser.add_argument
    add("repo", metavar="REPO", help="Butler repository, as `diapipe init` makes it.")
    add(
        "--rerun",
        metavar="[INPUT:]OUTPUT",
        help="Collection rerun/OUTPUT; reads rerun/INPUT, or that of diapipe run.",
    )
    add("--output", metavar="NAME", help="The same as --rerun NAME.")
    many: dict[str, Any] = {"nargs": "*", "action": "append"}
    add(
        "--id",
        **many,
        metavar="KEY=VALUE",
        help="Data: visit=1^2 detector=0..188; tract=0 patch=1,2 filter=g^r; alone for all.",
    )
    add("--selectId", **many, metavar="KEY=VALUE", help="Visits that a coadd is made of, or that are associated.")
    add("--templateId", **many, metavar="KEY=VALUE", help="Visit that is the template, for GetCalexpAsTemplateTask.")
    add("-C", "--configfile", **many, metavar="FILE", help="Lines about config, yours or one that diapipe brings.")
    add("-c", "--config", **many, metavar="FIELD=VALUE", help="A field of config, as imageDifference.doMerge=False.")
    add("--show", nargs="+", metavar="config", help="Print the configuration and stop.")
    add("-L", "--loglevel", default="info", type=str.lower, help="trace, debug, info, warn, error or fatal.")
    add("-j", "--processes", type=int, help="Processes at once.")
    add("-t", "--timeout", type=float, metavar="SECONDS", help="A detector that takes longer has failed.")
    add("--cores", type=int, help="Processes at once.")
    add("--nodes", type=int, default=1, help="Machines; times --procs, where --cores is not given.")
    add("--procs", type=int, default=1, help="Processes of each.")
    add("--batch-type", default="smp", metavar="TYPE", help="smp: processes here; none: one; slurm, htcondor, a file.")
    add("--batch-submit", default="submit", metavar="FOLDER", help="For submit files and logs of jobs.")
    add("--dry-run", action="store_true", help="Tell what would be run.")
    parser.set_defaults(idle=None)
    for option, (n, why) in IDLE.items():
        add(option, nargs=n, action=_Idle, default=argparse.SUPPRESS, help=f"Does nothing: {why}.")
    return parser
