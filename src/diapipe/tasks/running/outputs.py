"""Output: the chain of collections that holds the results of all runs of one name, and what they read."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from functools import cached_property

from lsst.daf.butler import Butler, MissingCollectionError
from lsst.daf.butler._collection_type import CollectionType

from diapipe.errors import UsageError
from diapipe.tasks.running.graph import only
from diapipe.tasks.running.run_request import RunRequest

RAW = "/raw"
"""Ends the name of the collection of what was ingested of an instrument."""


class Output:
    """The output of a request, which may not be there yet.

    Parameters
    ----------
    butler
        Of the repository; writeable for `add`.
    request
        Names the chain, and the inputs or the instrument whose files are the input.

    Attributes
    ----------
    runs
        The RUNs of this output, newest first.
    """

    def __init__(self, butler: Butler, request: RunRequest) -> None:
        self._butler, self._request = butler, request
        self.runs = own_runs(butler, request.chain)

    @cached_property
    def inputs(self) -> list[str]:
        """The collections that hold what was not made here.

        Raises
        ------
        UsageError
            If one that was asked for is not there.
        """
        asked = self._request.inputs
        if asked:
            try:
                return list(self._butler.collections.query(asked, flatten_chains=True))
            except MissingCollectionError as error:
                raise UsageError(f"of the collections {', '.join(asked)} not all are there: {error}") from error
        instrument = self._request.data.instrument or only(self._butler, "instrument")
        wanted = (f"{instrument}{RAW}", f"{instrument}/calib", "skymaps", "refcats")
        return _existing(self._butler, wanted)

    def instruments(self) -> list[str]:
        """Those whose ingested files are inputs."""
        return [name.removesuffix(RAW) for name in self.inputs if name.endswith(RAW)]

    def refuse_other_camera(self) -> None:
        """Refuse an output of another instrument: templates know none, and would be taken for this one's."""
        if self._request.inputs or not self.runs:
            return
        held = [name.removesuffix(RAW) for name in _existing(self._butler, [self._request.chain]) if name.endswith(RAW)]
        instrument = self._request.data.instrument or only(self._butler, "instrument")
        if held and instrument not in held:
            raise UsageError(
                f"{self._request.chain} holds results of {', '.join(held)}, and its templates would be those of "
                f"{instrument}; give --output NAME for {instrument}"
            )

    def add(self, run: str) -> None:
        """Make a RUN, the first of the chain; and the chain where it is not there."""
        collections, chain, inputs = self._butler.collections, self._request.chain, self.inputs
        collections.register(run, CollectionType.RUN)
        if collections.register(chain, CollectionType.CHAINED):
            collections.extend_chain(chain, inputs)
        collections.prepend_chain(chain, run)
        self.runs = own_runs(self._butler, chain)

    def free_name(self) -> str:
        """A RUN named by the time, that is not there yet."""
        name = f"{self._request.chain}/{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        taken, number, free = set(self.runs), 1, name
        while free in taken:
            number += 1
            free = f"{name}-{number}"
        return free


def own_runs(butler: Butler, chain: str) -> list[str]:
    """The RUNs that an output was made in, newest first."""
    return [name for name in _existing(butler, [chain]) if name.startswith(f"{chain}/")]


def _existing(butler: Butler, names: Iterable[str]) -> list[str]:
    """Those of some collections that are there."""
    found = []
    for name in names:
        with suppress(MissingCollectionError):
            found += [item for item in butler.collections.query(name, flatten_chains=True) if item not in found]
    return found
