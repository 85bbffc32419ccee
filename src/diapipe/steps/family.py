"""Family: the algorithms among which a step can choose, by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from diapipe.errors import UsageError


class Family[T](Mapping[str, type[T]]):
    """Algorithms of one step by name: what the command line offers, the contract tests try and the docs list.

    Parameters
    ----------
    verb
        What its members do, for messages ("match").
    members
        The algorithm classes by name; the first is the default.
    """

    def __init__(self, verb: str, members: Mapping[str, type[T]]) -> None:
        self.verb = verb
        self._members = dict(members)

    @property
    def default(self) -> str:
        """Name of the member used where none is asked for."""
        return next(iter(self._members))

    def make(self, name: str, **parameters: Any) -> T:
        """The named algorithm with the given parameters.

        Raises
        ------
        UsageError
            If no member has that name, or it has no such parameter.
        """
        if name not in self._members:
            raise UsageError(f"no way to {self.verb} is called {name!r}; choose one of {', '.join(self)}")
        try:
            return self._members[name](**parameters)
        except TypeError as error:
            raise UsageError(f"cannot {self.verb} by {name!r}: {error}") from error

    def __getitem__(self, name: str) -> type[T]:
        return self._members[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)
