"""What is said when a repository cannot be written: a full disk, a folder without permission, a lost database."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import OperationalError

from diapipe.errors import WriteError

_OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}


@contextmanager
def repository_writes(what: str) -> Iterator[None]:
    """Turn failures of disk and database into a `WriteError`: what was committed is kept, the rest is for next time.

    Parameters
    ----------
    what
        Of which the rest is missing: ``"files"``, ``"visits"``.

    Raises
    ------
    WriteError
        If the disk or the database refuses.
    """
    try:
        yield
    except (OSError, OperationalError) as error:
        reason = error.strerror if isinstance(error, OSError) else getattr(error, "orig", error)
        raise WriteError(
            f"the repository could not be written ({' '.join(str(reason or error).split()).lower()}); the {what} that "
            "are in are kept, and the same command goes on from there"
        ) from error


def is_of_the_disk(error: BaseException) -> bool:
    """Whether an error would meet the next file too."""
    return isinstance(error, OSError) and error.errno in _OF_THE_DISK
