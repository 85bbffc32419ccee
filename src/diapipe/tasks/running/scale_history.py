"""ScaleHistory: whether the flux scale of visits is still that which templates and differences were made with.

The scale of a band is found anew when visits come, and its old visits move within their errors. A template must not
change for that. Where one moved by more, as when a visit joins two groups that shared no stars, warps on the old scale
are wrong beside those on the new one: they are made anew, the coadds that hold them too, and what was differenced with
these. All of it is told by runs: which scale was the newest when something was made, and which is now.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from uuid import UUID

from lsst.daf.butler import Butler, DatasetRef, MissingDatasetTypeError
from lsst.pipe.base.pipeline_graph import PipelineGraph, TaskNode
from lsst.pipe.base.quantum_graph import PredictedDatasetModel, PredictedQuantumGraphComponents

from diapipe.catalogs.photometric_scales import rescaled
from diapipe.tasks.dataset_names import OLD_NAMES
from diapipe.tasks.running.graph import without_quanta
from diapipe.tasks.running.ledger import Ledger
from diapipe.tasks.running.outcome import Ended
from diapipe.tasks.running.renewal import is_template, without_work

_SCALE = "photometric_scale"

type Visit = tuple[str, int]
"""Instrument and number."""


class ScaleHistory:
    """The flux scales of an output, run by run.

    Parameters
    ----------
    butler
        Of the repository.
    runs
        The RUNs of the output, newest first.
    """

    def __init__(self, butler: Butler, runs: Sequence[str]) -> None:
        self._butler, self._age = butler, {run: age for age, run in enumerate(runs)}
        self._known: dict[str, dict[tuple[object, ...], list[DatasetRef]]] = {}
        self._moved: dict[str, frozenset[Visit]] = {}

    def moved_since(self, run: str) -> frozenset[Visit]:
        """Visits whose scale is no longer that which it was for what a run made."""
        if run not in self._moved:
            self._moved[run] = frozenset(self._find_moved(self._age.get(run, len(self._age))))
        return self._moved[run]

    def _find_moved(self, age: int) -> Iterator[Visit]:
        names = (_SCALE, OLD_NAMES[_SCALE]) if self._age else ()
        for versions in (versions for name in names for versions in self._versions(name).values()):
            then = next((ref for ref in versions if self._age[ref.run] >= age), None)
            if then is not None and then != versions[0]:
                tables = (self._butler.get(ref) for ref in (then, versions[0]))
                yield from ((str(then.dataId["instrument"]), visit) for visit in rescaled(*tables))

    def concern(self, label: str, pipeline: PipelineGraph, ledger: Ledger) -> bool:
        """Whether the scale of some visit has moved since a task worked, or since what it read then was made."""
        runs = {entry.run for entry in ledger.settled(label).values() if entry.ended is Ended.DONE}
        if any(self.moved_since(run) for run in runs):
            return True
        kinds = [edge.parent_dataset_type_name for edge in pipeline.tasks[label].inputs.values()]
        patchwise = [kind for kind in kinds if "tract" in pipeline.dataset_types[kind].dimensions]
        replaced = {old.run for kind in patchwise for _, *older in self._versions(kind).values() for old in older}
        return bool(runs) and any(self.moved_since(run) for run in replaced)

    def on_old_scale(
        self, label: str, graph: PredictedQuantumGraphComponents, pipeline: PipelineGraph, ledger: Ledger
    ) -> Iterator[UUID]:
        """Names of the quanta of a graph whose results are on an old scale, or were made of such.

        Parameters
        ----------
        label
            Of the task.
        graph
            Of quanta that were done from other inputs than there are now.
        pipeline, ledger
            Kinds of datasets, and in which run each quantum was done.
        """
        dimensions = list(pipeline.tasks[label].dimensions.required)
        is_warp = {"visit", "tract"} <= set(dimensions)
        patchwise = {
            node.name: len(node.dimensions.required)
            for node in pipeline.dataset_types.values()
            if "tract" in node.dimensions
        }
        entries = ledger.settled(label)
        for name, quantum in graph.quantum_datasets.items():
            values = tuple(quantum.data_coordinate[: len(dimensions)])
            entry = entries[label, values]
            moved = self.moved_since(entry.run) if entry.ended is Ended.DONE else frozenset()
            if is_warp:
                key = dict(zip(dimensions, values, strict=True))
                is_old = (key["instrument"], key["visit"]) in moved
            else:
                read = (one for several in quantum.inputs.values() for one in several)
                is_old = entry.ended is Ended.DONE and any(
                    self._replaces_old_scale(one, tuple(one.data_coordinate[:n]), entry.run)
                    for one in read
                    if (n := patchwise.get(one.dataset_type_name))
                )
            if is_old:
                yield name

    def _replaces_old_scale(self, now: PredictedDatasetModel, data_id: tuple[object, ...], run: str) -> bool:
        """Whether a dataset takes the place of one that a run read, whose scale is no longer that of now."""
        versions = self._versions(now.dataset_type_name).get(data_id, ())
        then = next((ref for ref in versions if self._age[ref.run] >= self._age.get(run, len(self._age))), None)
        return then is not None and then.id != now.dataset_id and bool(self.moved_since(then.run))

    def _versions(self, name: str) -> Mapping[tuple[object, ...], list[DatasetRef]]:
        """All datasets of a kind that there ever were, by data id, the newest first."""
        if name not in self._known:
            self._known[name] = defaultdict(list)
            for ref in sorted(self._all(name), key=lambda ref: self._age[ref.run]):
                self._known[name][tuple(ref.dataId.required_values)].append(ref)
        return self._known[name]

    def _all(self, name: str) -> Iterator[DatasetRef]:
        """Every dataset of a kind in the output."""
        with suppress(MissingDatasetTypeError):
            yield from self._butler.query_datasets(
                name, collections=list(self._age), find_first=False, limit=None, explain=False
            )


def to_correct(
    graph: PredictedQuantumGraphComponents,
    task: TaskNode,
    pipeline: PipelineGraph,
    scales: ScaleHistory,
    ledger: Ledger,
    *,
    step: str,
) -> tuple[PredictedQuantumGraphComponents, list[str]]:
    """The part of what is outdated, and is not to be made anew as a whole, that must be; and sentences on it.

    What is on an old scale must; what found no work is tried again, but for templates: the rest of these stays.
    """
    patchwise = is_template(task)
    wrong = set(scales.on_old_scale(task.label, graph, pipeline, ledger))
    left = graph.quantum_datasets.keys() - wrong - (set() if patchwise else without_work(graph, task, ledger))
    told = []
    if wrong:
        told.append(
            f"{len(wrong)} results of {task.label} are on a flux scale that has changed by more than its error; they "
            "are made anew"
        )
    if left and patchwise:
        told.append(
            f"{len(left)} results of {task.label} were made before some of the visits; they stay as they are (--renew "
            f"{step} makes them anew)"
        )
    return without_quanta(graph, left), told
