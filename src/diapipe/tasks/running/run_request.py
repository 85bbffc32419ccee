"""RunRequest: what to run, on which data, and where the results go."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from diapipe.errors import UsageError
from diapipe.tasks.running.selection import DataSelection
from diapipe.tasks.running.settings import Settings

CHAINS = "diapipe"
"""Outputs are collections of this folder, where their name has none."""

_CHAIN = re.compile(r"\w[\w.+-]*(/\w[\w.+-]*)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What to run.

    Parameters
    ----------
    repo
        Root of the repository.
    pipeline
        Pipeline file whose subsets are the steps.
    steps
        Names of subsets in the order in which they run.
    output
        Name of the chain of collections that holds the results.
    inputs
        Collections with what the first step reads; where empty, what was ingested.
    n_workers
        Processes at once.
    limit_seconds
        A quantum that takes longer has failed; None for no limit.
    renew
        Steps whose results are made anew where their inputs are no longer those they were made from.
    wait
        Wait for another run of the same output instead of refusing.

    Raises
    ------
    UsageError
        If the output has no proper name, there is no step, or one is to be renewed that is not run.
    """

    repo: str
    pipeline: str
    steps: tuple[str, ...]
    output: str = "default"
    data: DataSelection = field(default_factory=DataSelection)
    settings: Settings = field(default_factory=Settings)
    inputs: tuple[str, ...] = ()
    n_workers: int = 1
    limit_seconds: float | None = None
    renew: tuple[str, ...] = ()
    wait: bool = False

    def __post_init__(self) -> None:
        if _CHAIN.fullmatch(self.output) is None:
            raise UsageError(f"the name of an output has letters, digits, _ - . + and / in it: {self.output!r} is none")
        if not self.steps:
            raise UsageError("there is no step to run; the pipeline's subsets are its steps, such as differences")
        if others := [name for name in self.renew if name not in self.steps]:
            raise UsageError(f"{others[0]} cannot be made anew by this run: its steps are {', '.join(self.steps)}")

    @property
    def chain(self) -> str:
        """Full name of the output."""
        return self.output if "/" in self.output else f"{CHAINS}/{self.output}"
