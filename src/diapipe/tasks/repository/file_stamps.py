"""Stamps of ingested files: whether a file that stays outside of the repository is still the one that was ingested."""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache

from diapipe.errors import ReadError

CHANGED = (
    "was changed after it was ingested: put the old file back, or forget it (butler prune-datasets), ingest the new "
    "one, and run into another --output"
)
_END_BYTES, _BLOCK_BYTES, _N_BLOCKS = 1 << 16, 1 << 12, 64


def stamp_of(path: str) -> str:
    """A short name for what a file holds: of its size, both ends, and 64 blocks of 4 KB between.

    Headers and whole frames that were written anew are noticed, a few pixels in a large file need not be. The time of
    the file has no part in it, so that a copy in its place is the same.
    """
    found = os.stat(path)
    return _stamp(path, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=1024)
def _stamp(path: str, size: int, _time: int) -> str:
    digest = hashlib.blake2b(str(size).encode(), digest_size=6)
    with open(path, "rb") as file:
        digest.update(file.read(_END_BYTES))
        for n in range(_N_BLOCKS):
            file.seek(size * n // _N_BLOCKS)
            digest.update(file.read(_BLOCK_BYTES))
        file.seek(max(0, size - _END_BYTES))
        digest.update(file.read())
    return digest.hexdigest()


def check_size(path: str, *, found_bytes: int, recorded_bytes: int) -> None:
    """Refuse a file that grew or was cut short; a negative size on record is that of no size.

    Raises
    ------
    ReadError
        With both sizes, and what to do.
    """
    if 0 <= recorded_bytes != found_bytes:
        sizes = f"has {found_bytes} bytes and not the {recorded_bytes} on record"
        raise ReadError(f"{path} {sizes}: it {CHANGED}", path=path)


def check_same(path: str, stamp: str) -> None:
    """Refuse a file that is not the one of a stamp; "" is that of files from before there were stamps.

    Raises
    ------
    ReadError
        With what to do.
    """
    if stamp and stamp_of(path) != stamp:
        raise ReadError(f"{os.path.basename(path)} {CHANGED}")
