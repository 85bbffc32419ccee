"""Family: the algorithms among which a step can choose, by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
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
    group
        Entry points by which other packages add members, after ours and never in place of one; "" for none. They are
        imported when they are asked for.
    """

    def __init__(self, verb: str, members: Mapping[str, type[T]], *, group: str = "") -> None:
        self.verb = verb
        self._members: dict[str, type[T] | EntryPoint] = dict(members)
        for point in entry_points(group=group) if group else ():
            self._members.setdefault(point.name, point)

    @property
    def default(self) -> str:
        """Name of the member used where none is asked for."""
        return next(iter(self._members))

    def make(self, name: str, **parameters: Any) -> T:
        """The named algorithm with the given parameters.

        Raises
        ------
        UsageError
            If no member has that name, it cannot be imported, or it has no such parameter.
        """
        if name not in self._members:
            raise UsageError(f"no way to {self.verb} is called {name!r}; choose one of {', '.join(self)}")
        try:
            return self[name](**parameters)
        except TypeError as error:
            raise UsageError(f"cannot {self.verb} by {name!r}: {error}") from error

    def __getitem__(self, name: str) -> type[T]:
        member = self._members[name]
        return self._loaded(member) if isinstance(member, EntryPoint) else member

    def _loaded(self, point: EntryPoint) -> type[T]:
        """The class that another package names."""
        try:
            found: type[T] = point.load()
        except (ImportError, AttributeError) as error:
            raise UsageError(
                f"the way to {self.verb} called {point.name!r} cannot be loaded from {point.value}: {error}"
            ) from error
        return found

    def __contains__(self, name: object) -> bool:
        return name in self._members

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)
