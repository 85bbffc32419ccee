"""What a worker needs, imported once by the fork server that workers are forked from."""

from __future__ import annotations

import multiprocessing

import diapipe.flow
import diapipe.tasks.running.worker  # noqa: F401


def install() -> None:
    """Let processes that this one starts by a fork server find these modules imported."""
    multiprocessing.set_forkserver_preload([__name__])
