"""Schedule: which quantum may begin, which never will."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from uuid import UUID


class Schedule:
    """Hands out quanta once all they wait for has ended well, the earliest in the order first.

    Parameters
    ----------
    order
        All quanta, those that others wait for before them.
    followers
        For each quantum, those that read what it writes.
    """

    def __init__(self, order: Iterable[UUID], followers: Mapping[UUID, Iterable[UUID]]) -> None:
        self._order = list(order)
        self._rank = {quantum: rank for rank, quantum in enumerate(self._order)}
        self._followers = {quantum: tuple(followers[quantum]) for quantum in self._order}
        self._n_awaited = dict.fromkeys(self._order, 0)
        for readers in self._followers.values():
            for reader in readers:
                self._n_awaited[reader] += 1
        self._ready = [rank for rank, quantum in enumerate(self._order) if not self._n_awaited[quantum]]
        self._never: set[UUID] = set()

    def next(self) -> UUID | None:
        """The next quantum that may begin now; None where all others wait."""
        return self._order[heapq.heappop(self._ready)] if self._ready else None

    def succeed(self, quantum: UUID) -> None:
        """What waited for this quantum alone may begin."""
        for reader in self._followers[quantum]:
            self._n_awaited[reader] -= 1
            if not self._n_awaited[reader] and reader not in self._never:
                heapq.heappush(self._ready, self._rank[reader])

    def fail(self, quantum: UUID) -> list[UUID]:
        """All that waits for this quantum, directly or not, and was not given up before: it never begins."""
        lost: list[UUID] = []
        stack = list(self._followers[quantum])
        while stack:
            reader = stack.pop()
            if reader not in self._never:
                self._never.add(reader)
                lost.append(reader)
                stack += self._followers[reader]
        return sorted(lost, key=self._rank.__getitem__)
