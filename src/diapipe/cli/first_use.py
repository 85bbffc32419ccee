"""First use compiles: whether that lies ahead, and a word about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

NOTICE = "diapipe: the first run on this machine compiles for up to a minute; the next ones start at once"


def is_compiled() -> bool:
    """Whether an earlier run left compiled kernels of every numerical module, newer than its source, on disk."""
    from diapipe.numerics import convolution

    place = _cache_of(convolution)
    if place is None:
        return True
    sources = Path(convolution.__file__).parent.glob("*.py")
    return all(_has_kernels(place, source) for source in sources if "\n@jit" in source.read_text(encoding="utf-8"))


def announce_compilation() -> None:
    """Say so, if this run will take longer."""
    if not is_compiled():
        click.echo(NOTICE, err=True)


def _cache_of(module: Any) -> Path | None:
    """Where Numba keeps the compiled kernels of a module; None if it keeps none."""
    for kernel in vars(module).values():
        place = getattr(getattr(kernel, "_cache", None), "cache_path", None)
        if place is not None:
            return Path(place)
    return None


def _has_kernels(place: Path, source: Path) -> bool:
    """Whether a kernel of this source was compiled since the source last changed."""
    changed = source.stat().st_mtime
    return any(index.stat().st_mtime >= changed for index in place.glob(f"{source.stem}.*.nbi"))
