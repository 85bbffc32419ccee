"""First use compiles: whether that lies ahead, and a word about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


def is_compiled() -> bool:
    """Whether the compiled kernels of an earlier run are on disk (judged by one of them)."""
    from diapipe.numerics import convolution

    for kernel in vars(convolution).values():
        cache: Any = getattr(kernel, "_cache", None)
        if cache is not None and hasattr(cache, "cache_path"):
            return any(Path(cache.cache_path).glob("convolution.*.nbi"))
    return True


def announce_compilation() -> None:
    """Say so, if the first run will take longer."""
    if not is_compiled():
        click.echo(
            "diapipe: the first run on this machine compiles for up to a minute; the next ones start at once", err=True
        )
