"""First use compiles: a word about it, when it happens and only then; and once, where many processes begin."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import click

NOTICE = "diapipe: the first run on this machine compiles for up to a minute; the next ones start at once"


@contextmanager
def compilation_announced(*, quiet: bool) -> Iterator[None]:
    """Say it, once, if a kernel has to be compiled in the block; kernels kept on disk are silent."""
    from numba.core import event

    class Notice(event.Listener):
        """Speaks at the first of all compilations."""

        is_said = quiet

        def on_start(self, _event: Any) -> None:
            if not self.is_said:
                click.echo(NOTICE, err=True)
            self.is_said = True

        def on_end(self, _event: Any) -> None:
            """Nothing more to say."""

    with event.install_listener("numba:compile", Notice()):
        yield


def is_compiled(kernel: Callable[..., Any]) -> bool:
    """Whether a function under `diapipe.numerics.jit.jit` lies compiled on disk, for whatever types."""
    place = Path(cast("Any", kernel).stats.cache_path)
    return any(place.glob(f"{kernel.__module__.rpartition('.')[2]}.{kernel.__qualname__}-*.nbi"))


@contextmanager
def compiled_meanwhile(*, cores: int) -> Iterator[None]:
    """Compile all kernels on another core during the block, which ends with them; nothing if they are, or on one core.

    Workers that begin afterwards load what each of them would have compiled for itself.
    """
    from diapipe.numerics.stacking import stack_rows  # of the last that `diapipe warmup` compiles

    if cores < 2 or is_compiled(stack_rows):
        yield
        return
    warmup = subprocess.Popen([sys.executable, "-m", "diapipe", "warmup", "--quiet"], stderr=subprocess.DEVNULL)
    try:
        yield
        warmup.wait()
    finally:
        warmup.kill()
        warmup.wait()
