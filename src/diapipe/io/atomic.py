"""Files that are whole or not there: written aside, then moved into place."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from diapipe.errors import WriteError


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a hidden name beside ``path`` to write to; move it to ``path`` when the block ends well, else remove it.

    A reader never sees half a file, and what stood at ``path`` before stays until the new file is whole.

    Raises
    ------
    WriteError
        If the folder is missing or not writable, the disk is full, or anything else of the system goes wrong.
    """
    target = Path(path)
    aside = target.with_name(f".{secrets.token_hex(4)}.{target.name}")
    try:
        if not target.parent.is_dir():
            raise WriteError(f"cannot write {target}: the folder {target.parent} does not exist", path=str(target))
        yield aside
        os.replace(aside, target)
    except OSError as error:
        raise WriteError(f"cannot write {target}: {error.strerror or error}", path=str(target)) from error
    finally:
        aside.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a UTF-8 text file whole or not at all; raises WriteError."""
    with replacing(path) as aside:
        aside.write_text(text, encoding="utf-8")


@contextmanager
def new_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a hidden folder of that name to fill; it is moved to ``path`` when the block ends well, else removed.

    Raises
    ------
    WriteError
        If there is something at ``path`` other than an empty folder, or it cannot be written.
    """
    target = Path(path)
    aside = target.with_name(f".{secrets.token_hex(4)}.{target.name}")
    try:
        if target.exists() and not (target.is_dir() and not any(target.iterdir())):
            raise WriteError(f"cannot write {target}: something is there; give a folder that is new or empty")
        if not target.parent.is_dir():
            raise WriteError(f"cannot write {target}: the folder {target.parent} does not exist", path=str(target))
        filled = aside / target.name
        filled.mkdir(parents=True)
        yield filled
        os.replace(filled, target)
    except OSError as error:
        raise WriteError(f"cannot write {target}: {error.strerror or error}", path=str(target)) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
