"""What a worker needs, imported once by the fork server that workers are forked from.

For `pipetask run -j N` as well, whose processes otherwise import everything anew for each quantum::

    python -c 'import diapipe.tasks.running.preload as p; p.install()' ...
"""

from __future__ import annotations

import multiprocessing

import diapipe.flow
import diapipe.tasks.running.worker  # noqa: F401


def install() -> None:
    """Let processes that this one starts by a fork server find these modules imported."""
    multiprocessing.set_forkserver_preload([__name__])
