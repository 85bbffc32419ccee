"""Real file systems for tests: a small one that can be full, and one that nobody can write. Skips where none may be."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_filesystem(place: Path, *, n_bytes: int) -> Iterator[Path]:
    """An empty file system of a size, in memory, at a new folder."""
    place.mkdir()
    with _mounted(place, "-t", "tmpfs", "-o", f"size={n_bytes}", "tmpfs"):
        yield place


@contextmanager
def read_only(place: Path) -> Iterator[None]:
    """A folder that nobody can write to, not even root."""
    with _mounted(place, "--bind", place):
        _mount("-o", "remount,bind,ro", place)
        yield


@contextmanager
def filled(place: Path, *, n_bytes_left: int) -> Iterator[None]:
    """A file system with so little room left."""
    rest = place / "rest"
    with rest.open("wb") as file:
        while (n_free := shutil.disk_usage(place).free - n_bytes_left) > 0:
            file.write(bytes(min(n_free, 1 << 16)))
            file.flush()
    try:
        yield
    finally:
        rest.unlink()


@contextmanager
def _mounted(place: Path, *words: str | Path) -> Iterator[None]:
    _mount(*words, place)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def _mount(*words: str | Path) -> None:
    if os.name != "posix" or os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("no file system of its own: only root may mount one")
    done = subprocess.run(["mount", *map(str, words)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no file system of its own: {done.stderr.strip()}")
