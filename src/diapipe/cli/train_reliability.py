"""``diapipe train-reliability``: learn from simulated fields how far sources are to be believed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import click

from diapipe.cli.options import FILE, talk
from diapipe.errors import UsageError, WriteError

_HELD_OUT = 1
"""Added to the seed for the fields that judge."""


@click.command("train-reliability", short_help="Learn from simulated fields how far sources are to be believed.")
@click.option("--out", type=FILE, required=True, help="File for the model (.npz); numbers go into a .json beside it.")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Of the fields.")
@click.option("--fields", type=click.IntRange(min=5), default=240, show_default=True, help="Fields to learn from.")
@click.option("--held-out", type=click.IntRange(min=1), default=60, show_default=True, help="Fields to judge by.")
@click.option("--processes", type=click.IntRange(min=1), default=1, show_default=True, help="That make fields.")
@talk
def train_reliability(
    out: Path, seed: int, fields: int, held_out: int, processes: int, quiet: bool, verbose: bool
) -> None:
    """Simulate fields, difference them, and learn which of their sources are real.

    The model is used by [classifier] model_file = "..." of a configuration. The same seed gives the same model; fields
    of the next seed judge it. Needs scikit-learn: pip install 'diapipe[train]'.
    """
    from diapipe.cli.progress import progress_for
    from diapipe.io import replacing, write_text
    from diapipe.training import assess, needs_scikit_learn, samples_of_fields, trained

    needs_scikit_learn()
    _refuse_nowhere(out)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    with progress_for(quiet=quiet) as progress:
        samples, judges = (
            samples_of_fields(
                one,
                n,
                with_crops=what == "learn",
                n_processes=processes,
                progress=lambda k, n=n, what=what: progress(f"{what}: {k} of {n} fields"),  # type: ignore[misc]
            )
            for one, n, what in ((seed, fields, "learn"), (seed + _HELD_OUT, held_out, "judge"))
        )
        progress("grow trees")
        model = trained(samples)
    with replacing(out) as aside:
        model.write(aside)
    found = assess(model, judges)
    write_text(out.with_suffix(".json"), json.dumps(_plain(found), indent=1) + "\n")
    if not quiet:
        _show(found)


def _refuse_nowhere(out: Path) -> None:
    """Refuse a file that could not be written, before the hours that it takes to fill it."""
    if out.suffix != ".npz":
        raise UsageError(f"--out {out} is to end in .npz; the numbers go into the .json beside it", path=str(out))
    try:
        with TemporaryFile(dir=out.absolute().parent):
            pass
    except OSError as error:
        raise WriteError(f"cannot write {out}: {error.strerror}", path=str(out)) from error


def _plain(value: Any) -> Any:
    """For JSON: named tuples as objects."""
    if hasattr(value, "_asdict"):
        return value._asdict()
    return {key: _plain(one) for key, one in value.items()} if isinstance(value, dict) else value


def _show(found: dict[str, Any]) -> None:
    """A table of shares and one of the calibration."""
    click.echo(f"{found['version']}: {found['n_judged']} sources above S/N 6 of {found['n_fields']} fields")
    names = list(found["score"])
    click.echo("| | " + " | ".join(names) + " |\n|---|" + "---|" * len(names))
    for cut in ("score", "plain cut"):
        click.echo(f"| {cut} | " + " | ".join(f"{found[cut][name].value:.3f}" for name in names) + " |")
    click.echo("| mean score | share real | n |\n|---|---|---|")
    for row in found["calibration"]:
        click.echo(f"| {row['score']:.3f} | {row['real']:.3f} ({row['low']:.3f} to {row['high']:.3f}) | {row['n']} |")
