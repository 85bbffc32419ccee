"""First use compiles: a word about it, when it happens and only then."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

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
