"""no_work_found: what the core calls no work is no failure of a quantum, and its reason stays."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lsst.pipe.base import NoWorkFound, TaskMetadata

from diapipe.errors import NoWorkError

NO_WORK = "noWork"
"""Key of a task's metadata under which the reason is kept."""


@contextmanager
def no_work_found(metadata: TaskMetadata | None = None) -> Iterator[None]:
    """Let a `NoWorkError` of the block, or of the function that this decorates, leave it as LSST's `NoWorkFound`.

    Parameters
    ----------
    metadata
        Of the task: the middleware writes it also where there was no work, so that `NO_WORK` in it tells the reason
        (``type``, ``message`` and the values of the error's context) to whoever asks the repository.

    Raises
    ------
    lsst.pipe.base.NoWorkFound
        With the same sentence, and the error's ``context`` as an attribute.
    """
    try:
        yield
    except NoWorkError as error:
        if metadata is not None:
            metadata[NO_WORK] = reason_of(error)
        found: Any = NoWorkFound(str(error))
        found.context = error.context
        raise found from error


def reason_of(error: NoWorkError) -> TaskMetadata:
    """Why there is no work, as metadata can hold it: numbers and words."""
    reason = TaskMetadata()
    reason["type"], reason["message"] = type(error).__name__, str(error)
    for name, value in error.context.items():
        reason[name] = value if isinstance(value, bool | int | float | str) else str(value)
    return reason
