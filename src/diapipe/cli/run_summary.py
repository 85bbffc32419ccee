"""What a run says at its end: what failed and why, what had no work and why, and the one sentence of it all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from diapipe.cli.run_progress import duration

if TYPE_CHECKING:
    from diapipe.tasks.running import Outcome, RunSummary


def tell(summary: RunSummary, *, repo: str) -> None:
    """Print the summary on stdout."""
    from diapipe.tasks.running.outcome import reasons_of

    by_kind: dict[str, list[Outcome]] = {}
    for outcome in summary.outcomes:
        by_kind.setdefault(outcome.ended.value, []).append(outcome)
    for kind in ("no work", "failed"):
        for line in reasons_of(by_kind.get(kind, [])):
            click.echo(f"{kind}: {line}")
    click.echo(sentence(summary, repo=repo))


def sentence(summary: RunSummary, *, repo: str) -> str:
    """All of it in one line."""
    counts = {kind: sum(o.ended.value == kind for o in summary.outcomes) for kind in ("done", "failed", "skipped")}
    n_idle, total = sum(o.ended.value == "no work" for o in summary.outcomes), len(summary.outcomes)
    took = duration(summary.seconds)
    if summary.interrupted:
        return f"Interrupted after {took}; {counts['done']} done and kept; run the same command again for the rest."
    if not total:
        return f"Nothing to do: all that was asked for is in {summary.chain}."
    said = f"{counts['done']} done" + (f", {n_idle} without work" if n_idle else "") + f" in {took}"
    if summary.stopped:
        return f"Stopped because {summary.stopped}; {said}; run the same command again for the rest."
    if counts["failed"]:
        lost = f" and {counts['skipped']} that need them were left" if counts["skipped"] else ""
        return (
            f"{counts['failed']} of {total} failed{lost} (see diapipe status {repo} --failed); {said}; "
            "run the same command again to retry them."
        )
    return f"{said[:1].upper()}{said[1:]}; results are in {summary.chain}."
