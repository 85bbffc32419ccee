"""Samples: features and truth of the sources of many fields."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields
from functools import partial
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray

from diapipe.images.triplets import Triplets
from diapipe.numerics.arrays import BoolArray, FloatArray, IntArray
from diapipe.steps.classify import feature_columns
from diapipe.training.crops import as_given_elsewhere
from diapipe.training.examples import REAL, UNSURE, Examples, examples_of

_CHUNK = 64
_COPIES = 2
"""Of each source as other programs would give it."""
_CROPS = 1
"""Of the seed: what is drawn for cut-outs has nothing to do with what was drawn for the field."""


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Labelled sources; every array has n rows.

    Attributes
    ----------
    names
        Of the features.
    table
        Features, shape (n, k).
    is_real
        What the truth says.
    kind
        Of what made the source; "" of false ones.
    snr
        Absolute significance.
    is_bad, is_on_bad_pixel
        The plain cut, and the part of it that is about unusable pixels.
    field
        Number of the field.
    """

    names: tuple[str, ...]
    table: FloatArray
    is_real: BoolArray
    kind: NDArray[np.str_]
    snr: FloatArray
    is_bad: BoolArray
    is_on_bad_pixel: BoolArray
    field: IntArray

    def __len__(self) -> int:
        return len(self.table)

    def select(self, which: BoolArray) -> Samples:
        """Some of the rows."""
        rows = (getattr(self, one.name)[which] for one in fields(self)[1:])
        return Samples(self.names, *rows)

    @classmethod
    def joined(cls, parts: Sequence[Samples]) -> Samples:
        """The rows of all, of which there is at least one."""
        columns = ([getattr(part, one.name) for part in parts] for one in fields(cls)[1:])
        return cls(parts[0].names, *(np.concatenate(column) for column in columns))


def samples_of(examples: Examples, *, field: int, rng: np.random.Generator | None = None) -> Samples:
    """The sources of a field that can be judged and whose truth is clear.

    With a generator all of them come again, and again, as other programs would give them: see `as_given_elsewhere`.
    """
    views = [examples.triplets]
    if rng is not None:
        views += [as_given_elsewhere(examples.triplets, rng=rng) for _ in range(_COPIES)]
    return Samples.joined([_judged(examples, view, field) for view in views])


def _judged(examples: Examples, triplets: Triplets, field: int) -> Samples:
    """The sources of a field as cut-outs show them."""
    sources = examples.sources
    parts = [feature_columns(triplets[first : first + _CHUNK]) for first in range(0, len(triplets), _CHUNK)]
    names = tuple(parts[0])
    table = np.stack([np.concatenate([part[name] for part in parts]) for name in names], axis=1)
    every = Samples(
        names,
        table,
        np.asarray(examples.label == REAL, dtype=np.bool_),
        examples.kind,
        np.abs(np.asarray(sources["snr"], dtype=np.float64)),
        np.asarray(sources["dp_bad"], dtype=np.bool_),
        np.asarray(sources["dp_badPixel"], dtype=np.bool_),
        np.full(len(table), field),
    )
    return every.select(np.asarray((examples.label != UNSURE) & np.isfinite(table).all(axis=1), dtype=np.bool_))


def samples_of_fields(
    seed: int,
    n_fields: int,
    *,
    with_crops: bool = False,
    n_processes: int = 1,
    progress: Callable[[int], None] = lambda n: None,
) -> Samples:
    """Samples of fields drawn at random, the same for the same seed, however many processes make them.

    Parameters
    ----------
    seed, n_fields
        Of the fields. Those of which no difference could be made have no samples.
    with_crops
        Whether each source comes three times: on its cut-outs, and twice on such as other programs would give.
    n_processes
        Processes to use.
    progress
        Called with the number of fields that are done.
    """
    work = partial(_field, seed, with_crops)
    if n_processes <= 1:
        return _collected(map(work, range(n_fields)), progress)
    with ProcessPoolExecutor(n_processes, mp_context=get_context("spawn")) as pool:
        return _collected(pool.map(work, range(n_fields)), progress)


def _collected(parts: Iterable[Samples | None], progress: Callable[[int], None]) -> Samples:
    """Those of all fields, in order."""
    kept: list[Samples] = []
    for done, part in enumerate(parts, 1):
        progress(done)
        kept += [] if part is None else [part]
    return Samples.joined(kept)


def _field(seed: int, with_crops: bool, index: int) -> Samples | None:
    """Those of one field."""
    examples = examples_of(seed, index)
    rng = np.random.default_rng([seed, index, _CROPS]) if with_crops else None
    return None if examples is None else samples_of(examples, field=index, rng=rng)
