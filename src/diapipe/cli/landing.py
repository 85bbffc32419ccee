"""Results that are all there or not at all: written in a hidden folder, moved into place when everything is whole."""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from diapipe.errors import ReadError, UsageError, WriteError

OUR_FILES = (
    "difference.fits",
    "dia_sources.parquet",
    "summary.json",
    "report.html",
    "matched_template.fits",
    "score.fits",
    "injected.parquet",
)
"""What `diapipe subtract` may leave in a folder."""


def is_earlier_result(folder: Path) -> bool:
    """Whether diapipe filled the folder: its summary says so."""
    return has_schema(folder / "summary.json", "diapipe-summary")


def has_schema(path: Path, schema: str) -> bool:
    """Whether a file is JSON whose ``schema`` begins like this."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and str(found.get("schema", "")).startswith(schema)


def is_made_by(path: Path, command: str) -> bool:
    """Whether a file is a table that says that this command made it."""
    from diapipe.io import read_parquet

    try:
        return bool(read_parquet(path).meta.get("made_by") == command)
    except ReadError:
        return False


def check_free(
    out: Path,
    *,
    names: tuple[str, ...] = OUR_FILES,
    inputs: tuple[Path, ...] = (),
    overwrite: bool = False,
    is_ours: Callable[[Path], bool] = is_earlier_result,
) -> None:
    """Refuse to touch what is not ours; ``is_ours`` tells whether an earlier run filled a folder.

    Raises
    ------
    UsageError
        If ``out`` is no folder, holds a file by one of our names that diapipe did not make, or one of the inputs would
        be replaced.
    """
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out} is a file; a folder is needed", path=str(out))
    taken = {(out / name).resolve() for name in names}
    for path in inputs:
        if path.resolve() in taken:
            raise UsageError(f"the results would replace the input {path}; give another --out", path=str(path))
    foreign = [name for name in names if (out / name).exists()]
    if foreign and not overwrite and not is_ours(out):
        raise UsageError(
            f"{out} holds {foreign[0]}, which is no result of diapipe; give another --out, or --overwrite",
            path=str(out),
        )


@contextmanager
def landing(out: Path, *, names: tuple[str, ...] = OUR_FILES) -> Iterator[Path]:
    """Give a hidden folder on the file system of ``out``; its files appear in ``out`` when the block ends well.

    Files of ``names`` that an earlier run left and this one did not make are removed: what lies in ``out`` then belongs
    together. If the block fails or is interrupted nothing is left behind and an earlier result stays as it was.

    Raises
    ------
    WriteError
        If the folder cannot be made, is not writable, or the disk is full.
    """
    made: list[Path] = []
    aside: Path | None = None
    with failing_as_write_error(out):
        try:
            existed = out.is_dir()
            parent = out if existed else out.parent
            made = _make(parent)
            aside = parent / f".{out.resolve().name}.partial-{secrets.token_hex(4)}"
            aside.mkdir()
            yield aside
            _move(aside, out, names=names) if existed else aside.rename(out)
            made = []
        finally:
            if aside is not None:
                shutil.rmtree(aside, ignore_errors=True)
            for folder in reversed(made):
                folder.rmdir()


@contextmanager
def failing_as_write_error(out: Path) -> Iterator[None]:
    """Say what keeps results from being written to ``out`` in a sentence.

    Raises
    ------
    WriteError
        Where the system refuses something.
    """
    try:
        yield
    except OSError as error:
        raise WriteError(_sentence(out, error), path=str(out)) from error
    except WriteError as error:
        if isinstance(error.__cause__, OSError):
            raise WriteError(_sentence(out, error.__cause__), path=str(out)) from error
        raise


def _make(folder: Path) -> list[Path]:
    """Make a folder with its parents; those made, outermost first."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()][::-1]
    for place in missing:
        place.mkdir()
    return missing


def _move(aside: Path, out: Path, *, names: tuple[str, ...]) -> None:
    """Put the new files and folders in the place of the old ones, which go with the hidden folder."""
    fresh = sorted(path.name for path in aside.iterdir())
    earlier = aside / ".earlier"
    earlier.mkdir()
    for name in {*names, *fresh}:
        if (out / name).is_dir() or (name not in fresh and (out / name).exists()):
            (out / name).rename(earlier / name)
    for name in fresh:
        os.replace(aside / name, out / name)


def _sentence(out: Path, error: OSError) -> str:
    """Why the results could not be written."""
    # astropy raises an OSError of its own words, without the system's number, where an array is written in part
    if error.errno in (errno.ENOSPC, errno.EDQUOT) or "Not enough space" in str(error):
        free = shutil.disk_usage(next(p for p in (out, *out.absolute().parents) if p.exists())).free
        return f"cannot write the results to {out}: the disk is full ({free / 1e6:.0f} MB free); nothing was written"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"cannot write the results to {out}: the folder is not writable ({error.strerror})"
    return f"cannot write the results to {out}: {error.strerror or error}; nothing was written"
