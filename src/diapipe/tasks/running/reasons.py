"""The one sentence of why a quantum failed or found no work, from its error or from its log."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from lsst.daf.butler.logging import ButlerLogRecords
from lsst.pipe.base import QuantumSuccessCaveats, TaskMetadata

from diapipe.errors import DiapipeError

_NO_WORK = re.compile(
    r"exited early with no work found: (?P<early>.*)\.$|saving metadata and skipping: (?P<before>.*)$", re.DOTALL
)
"""What the executor of pipe_base logs of a NoWorkFound, raised by the task or before it ran."""


_NO_INPUT = re.compile(r"^\('\w+', '\w+', \w+\(name='(\w+)'.*\)\)$")
"""What pipe_base says where the quanta before made none of an input: the arguments of its exception."""


def sentence_of(error: BaseException) -> str:
    """An error in one line, its cause first; the type is told where the message is not ours."""
    message = " ".join(str(error).split())
    told = message if isinstance(error, DiapipeError) else ": ".join(filter(None, (type(error).__name__, message)))
    return told if error.__cause__ is None else f"{sentence_of(error.__cause__)}; {told}"


def first_line(error: BaseException) -> str:
    """The first line of an error's message, which is all that is meant for the user in those of pex_config."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def no_work_reason(records: Iterable[object] | ButlerLogRecords) -> str:
    """The reason of a NoWorkFound in the log of its quantum; empty where there is none."""
    for record in records:
        found = _NO_WORK.search(getattr(record, "message", ""))
        if found:
            return _NO_INPUT.sub(r"there is no \1 for it", " ".join((found["early"] or found["before"] or "").split()))
    return ""


def had_no_work(metadata: TaskMetadata) -> bool:
    """Whether the metadata of a quantum say that it found no work."""
    return QuantumSuccessCaveats.NO_WORK in QuantumSuccessCaveats(int(metadata["quantum"]["caveats"]))


def failure_reason(records: ButlerLogRecords) -> str:
    """The exception that ended the quantum of a log; empty where there is none."""
    exception: Any = (records.extra or {}).get("exception")
    if not exception:
        return ""
    kind = str(exception["type_name"]).rpartition(".")[2]
    message = " ".join(str(exception["message"]).split())
    return ": ".join(filter(None, (kind, message)))
