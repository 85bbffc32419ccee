"""The exceptions of diapipe: one tree, three kinds.

::

    DiapipeError
    ├── InputError             the input is wrong                        (exit status 1)
    │   ├── ReadError          a file is missing, truncated or not what it should be
    │   ├── WriteError         the output cannot be written
    │   └── BoundsError        a box or position lies outside an image
    ├── NoWorkError            the data cannot be differenced            (exit status 1)
    │   ├── NoOverlapError     science and template do not overlap enough
    │   ├── TooFewStarsError   not enough usable stars for PSF or kernel
    │   ├── PsfUndefinedError  no PSF at the place asked for
    │   └── BadSubtractionError  the difference has more detections than a sky can have
    ├── UsageError             an option or parameter is wrong           (exit status 2)
    └── InternalError          a defect of diapipe

Every message is one sentence that names what was found and what was needed; `context` keeps the values for programs.
"""

from __future__ import annotations


def counted(n: int, noun: str) -> str:
    """A number with its noun, in the plural where there is not one: ``1 star``, ``0 stars``."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


class DiapipeError(Exception):
    """Base of every error that diapipe raises on purpose.

    Parameters
    ----------
    message
        One sentence: the file or object, the value found, the value needed.
    context
        The same values by name, for programs.
    """

    exit_status = 1

    def __init__(self, message: str, **context: object) -> None:
        super().__init__(message)
        self.context = context

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), str(self), self.context)


def _rebuild(kind: type[DiapipeError], message: str, context: dict[str, object]) -> DiapipeError:
    """Unpickle an error: keyword context does not survive the default protocol of exceptions."""
    return kind(message, **context)


class InputError(DiapipeError):
    """What was given cannot be used: its content, shape, unit or type is wrong."""


class ReadError(InputError):
    """A file is missing, truncated, or not of a kind that diapipe reads."""


class WriteError(InputError):
    """The output cannot be written: folder missing, not writable, disk full."""


class BoundsError(InputError):
    """A box or a position lies outside the image it was asked of."""


class NoWorkError(DiapipeError):
    """The input is sound, yet no difference can be made of it: no failure of the program."""


class NoOverlapError(NoWorkError):
    """Science and template share too little sky."""


class TooFewStarsError(NoWorkError):
    """Not enough usable stars for a PSF model or a matching kernel."""


class PsfUndefinedError(NoWorkError):
    """A PSF was asked for where it is not defined."""


class BadSubtractionError(NoWorkError):
    """More detections than one image has identifiers, or more left of its stars than was allowed."""


class UsageError(DiapipeError):
    """An option, parameter or configuration value is wrong."""

    exit_status = 2


class InternalError(DiapipeError):
    """A defect of diapipe itself; please report it."""
