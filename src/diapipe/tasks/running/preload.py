"""What a worker needs, imported once by the fork server that workers are forked from."""

from __future__ import annotations

import multiprocessing

import diapipe.flow
import diapipe.tasks.assemble_coadd
import diapipe.tasks.characterize
import diapipe.tasks.image_difference
import diapipe.tasks.make_warp
import diapipe.tasks.photometric_scale
import diapipe.tasks.repository.formatters
import diapipe.tasks.running.worker
import diapipe.tasks.select_visits
import diapipe.tasks.visit_summary  # noqa: F401


def install() -> None:
    """Let processes that this one starts by a fork server find these modules imported."""
    multiprocessing.set_forkserver_preload([__name__])
