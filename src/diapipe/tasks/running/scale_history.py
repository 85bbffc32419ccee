"""ScaleHistory: whether the flux scale of visits is still that which templates and differences were made with.

The scale of a band is found anew when visits come, and its old visits move within their errors. A template must not
change for that. Where one moved by more, as when a visit joins two groups that shared no stars, warps on the old scale
are wrong beside those on the new one: they are made anew, the coadds that hold them too, and what was differenced with
these. All of it is told by runs: which scale was the newest when something was made, and which is now.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from uuid import UUID

from lsst.daf.butler import Butler, DatasetRef, MissingDatasetTypeError
from lsst.pipe.base.pipeline_graph import PipelineGraph, TaskNode
from lsst.pipe.base.quantum_graph import PredictedQuantumGraphComponents

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
        self._versions: dict[tuple[object, ...], list[DatasetRef]] = defaultdict(list)
        for ref in self._scales():
            self._versions[tuple(ref.dataId.required_values)].append(ref)
        for versions in self._versions.values():
            versions.sort(key=lambda ref: self._age[ref.run])
        self._moved: dict[str, frozenset[Visit]] = {}

    def _scales(self) -> Iterator[DatasetRef]:
        """All that there ever were."""
        for name in (_SCALE, OLD_NAMES[_SCALE]) if self._age else ():
            try:
                yield from self._butler.query_datasets(
                    name, collections=list(self._age), find_first=False, limit=None, explain=False
                )
            except MissingDatasetTypeError:
                continue

    def moved_since(self, run: str) -> frozenset[Visit]:
        """Visits whose scale is no longer that which it was for what a run made."""
        if run not in self._moved:
            self._moved[run] = frozenset(self._find_moved(self._age.get(run, len(self._age))))
        return self._moved[run]

    def _find_moved(self, age: int) -> Iterator[Visit]:
        for versions in self._versions.values():
            then = next((ref for ref in versions if self._age[ref.run] >= age), None)
            if then is not None and then != versions[0]:
                tables = (self._butler.get(ref) for ref in (then, versions[0]))
                yield from ((str(then.dataId["instrument"]), visit) for visit in rescaled(*tables))

    def concern(self, label: str, ledger: Ledger) -> bool:
        """Whether the scale of some visit has moved since a task worked."""
        runs = {entry.run for entry in ledger.settled(label).values() if entry.ended is Ended.DONE}
        return any(self.moved_since(run) for run in runs)

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
        patchwise = {node.name for node in pipeline.dataset_types.values() if "tract" in node.dimensions}
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
                is_old = bool(moved) and any(
                    one.dataset_type_name in patchwise and self._is_newer(one.run, entry.run) for one in read
                )
            if is_old:
                yield name

    def _is_newer(self, run: str, other: str) -> bool:
        """Whether a run of this output began after another."""
        return run in self._age and self._age[run] < self._age.get(other, len(self._age))


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
