"""run_survey: the steps of a pipeline one after the other, each on a graph of its own, on one pool of workers."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress

from lsst.daf.butler import Butler
from lsst.pex.config import FieldValidationError
from lsst.pipe.base import Pipeline
from lsst.pipe.base.pipeline import LabelSpecifier
from lsst.pipe.base.pipeline_graph import PipelineGraph
from lsst.pipe.base.quantum_graph import PredictedQuantumGraph, PredictedQuantumGraphComponents
from lsst.utils.packages import Packages
from sqlalchemy.exc import OperationalError
from yaml import YAMLError  # type: ignore[import-untyped]

from diapipe.errors import UsageError, WriteError, counted
from diapipe.tasks.repository import open_repository
from diapipe.tasks.running.camera_changes import camera_changes, remember_cameras
from diapipe.tasks.running.dataset_tables import make_lacking_tables, register_dataset_types
from diapipe.tasks.running.execution import execute
from diapipe.tasks.running.graph import MissingInputError, check_there_is, named, plan
from diapipe.tasks.running.journal import Journal
from diapipe.tasks.running.outcome import Ended, RunSummary, Silence, Watcher
from diapipe.tasks.running.outputs import Output
from diapipe.tasks.running.pool import WorkerPool
from diapipe.tasks.running.reasons import first_line, sentence_of
from diapipe.tasks.running.recovery import recover
from diapipe.tasks.running.registering import Registrar
from diapipe.tasks.running.renewal import follows_inputs, gathers_visits, is_template, outdated, reads_template
from diapipe.tasks.running.run_request import RunRequest
from diapipe.tasks.running.scale_history import ScaleHistory, to_correct
from diapipe.tasks.running.settings import check_unchanged


def run_survey(
    request: RunRequest, watcher: Watcher | None = None, *, executor: Callable[..., str] = execute
) -> RunSummary:
    """Run the steps; do only what is missing in the output.

    Parameters
    ----------
    request
        What to run.
    watcher
        Who is told.
    executor
        What does the work of a step: `execute` on workers of this process, or a `BatchExecutor`.

    Raises
    ------
    UsageError
        If there is no repository, the request cannot be understood, another run writes the same output, or its
        configuration is not that of what the output holds.
    """
    shown = watcher or Silence()
    pool = WorkerPool(request.n_workers, limit_seconds=request.limit_seconds)
    with open_repository(request.repo, writeable=True) as butler:
        journal = Journal.of(request.repo, request.chain)
        with journal.locked(wait=request.wait):
            try:
                return _Run(request, butler, journal, pool, shown, executor).all_steps()
            finally:
                pool.close()


class _Run:
    """One run, from the lock to the history."""

    def __init__(
        self,
        request: RunRequest,
        butler: Butler,
        journal: Journal,
        pool: WorkerPool,
        watcher: Watcher,
        executor: Callable[..., str],
    ) -> None:
        self._request, self._butler, self._journal = request, butler, journal
        self._pool, self._watcher, self._executor = pool, watcher, executor
        self._summary, self._ledger = RunSummary(request.chain), journal.ledger()
        self._data, self._output = request.data, Output(butler, request)
        self._run, self._template_is_new = self._output.free_name(), False

    def all_steps(self) -> RunSummary:
        """Recover what a killed run left, then one step after the other."""
        begun = time.perf_counter()
        if self._executor is execute and not self._output.runs:
            self._pool.start()  # there is work for certain: workers import while it is planned
        pipelines = {step: self._pipeline(step) for step in self._request.steps}
        if n := make_lacking_tables(self._butler):
            self._watcher.say(f"{counted(n, 'table')} made in the database, which an earlier run had no room for")
        check_there_is(self._butler, self._request.data)
        self._output.refuse_other_camera()
        self._recover()
        for sentence in camera_changes(self._butler, self._journal):
            self._watcher.say(sentence)
        for pipeline in pipelines.values():
            check_unchanged(self._butler, pipeline, self._output.runs, self._request.chain)
        try:
            self._steps(pipelines)
        except (KeyboardInterrupt, SystemExit) as stop:
            self._summary.interrupted = True
            if isinstance(stop, SystemExit):
                raise
        except (OSError, OperationalError) as error:
            told = str(error.orig) if isinstance(error, OperationalError) else sentence_of(error)  # without its SQL
            raise WriteError(
                f"the repository could not be written ({told}); what was done is kept, "
                "and the same command goes on from there"
            ) from error
        finally:
            self._summary.seconds = time.perf_counter() - begun
            self._record()
        return self._summary

    def _steps(self, pipelines: Mapping[str, PipelineGraph]) -> None:
        """One step after the other; one whose inputs an earlier step was to make, and made none, has nothing to do."""
        made = set[str]()
        for step, pipeline in pipelines.items():
            try:
                self._step(step, pipeline)
            except MissingInputError as error:
                if error.context["dataset"] not in made:
                    raise
                self._watcher.say(f"{step}: nothing to do, as the steps before it made no {error.context['dataset']}")
            if self._summary.stopped:
                return
            made |= {
                edge.parent_dataset_type_name for task in pipeline.tasks.values() for edge in task.outputs.values()
            }

    def _pipeline(self, step: str, *some: str) -> PipelineGraph:
        """The tasks of a step, or some of them, with the settings of the run."""
        pipeline = _read(self._request.pipeline)
        known = sorted(pipeline.subsets) + sorted(pipeline.task_labels)
        if step not in known:
            raise UsageError(f"the pipeline has no step {step!r}; it has {', '.join(known)}")
        self._request.settings.put_on(pipeline)
        labels = LabelSpecifier(labels=set(some or pipeline.subsets.get(step, {step})))
        try:
            return pipeline.subsetFromLabels(labels, pipeline.PipelineSubsetCtrl.EDIT).to_graph()
        except (FieldValidationError, AttributeError, ValueError, SyntaxError) as error:
            raise UsageError(f"the configuration of step {step} is wrong: {first_line(error)}") from error

    def _step(self, step: str, pipeline: PipelineGraph) -> None:
        """Renew what is outdated, then do what is missing."""
        self._watcher.say(f"planning {step}")
        labels = list(pipeline.tasks) if self._output.runs else []
        for n, label in enumerate(labels):
            if n and step in self._request.renew:  # a template that is made anew gathers what has come since, too
                self._do_missing(step, self._pipeline(step, *labels[:n]))
            if not self._summary.stopped:
                self._renew(step, label, self._pipeline(step, label))
            if self._summary.stopped:
                return
        if not self._do_missing(step, pipeline):
            self._watcher.say(f"{step}: nothing left to do")

    def _do_missing(self, step: str, pipeline: PipelineGraph) -> bool:
        """Do what no run of this output did; whether there was anything."""
        own = self._output.runs
        pipeline.resolve(self._butler.registry)
        self._data = named(self._butler, self._data, pipeline.get_all_dimensions())
        inputs = [*own, *self._output.inputs]
        graph = plan(pipeline, self._butler, self._data, inputs=inputs, done_in=own, run=self._run)
        if graph.quantum_datasets:
            self._execute(step, graph)
        return bool(graph.quantum_datasets)

    def _renew(self, step: str, label: str, pipeline: PipelineGraph) -> None:
        """Do again what was done from other inputs, or tell of it where that is not wanted."""
        pipeline.resolve(self._butler.registry)
        task = pipeline.tasks[label]
        is_asked = step in self._request.renew
        if self._template_is_new and not is_asked and reads_template(task) and self._ledger.entries(label):
            self._watcher.say(
                f"results of {label} that were there stay as they are, made with the template of then (--renew {step} "
                "makes them anew)"
            )
        scales = ScaleHistory(self._butler, self._output.runs)
        follows_template = is_template(task) or reads_template(task)
        has_moved = not is_asked and follows_template and scales.concern(label, pipeline, self._ledger)
        graph = outdated(
            label,
            pipeline,
            self._butler,
            self._ledger,
            inputs=[*self._output.runs, *self._output.inputs],
            run=self._run,
            whole_task=is_asked or gathers_visits(task) or follows_inputs(task) or has_moved,
        )
        if graph is None:
            return
        if not is_asked and (is_template(task) or has_moved):
            graph, told = to_correct(graph, task, pipeline, scales, self._ledger, step=step)
            for sentence in told:
                self._watcher.say(sentence)
        else:
            self._template_is_new |= is_template(task)
        if graph.quantum_datasets:
            self._execute(f"{step}, renewed", graph)

    def _execute(self, step: str, graph: PredictedQuantumGraphComponents) -> None:
        """Register what a graph will write, and execute it."""
        assembled = graph.assemble()
        self._open_run(assembled)
        graph_file = self._journal.open_step(self._run, step, graph)
        totals = {task: len(quanta) for task, quanta in graph.thin_graph.quanta.items() if quanta}
        self._watcher.begin_step(step, totals)
        try:
            self._summary.stopped = self._executor(
                assembled,
                Registrar(self._butler, self._request.repo, self._ledger),
                self._pool,
                self._watcher,
                self._summary.outcomes,
                graph_file=graph_file,
            )
        finally:
            self._watcher.end_step()

    def _recover(self) -> None:
        """Finish the bookkeeping of runs that were killed."""
        for graph_file in self._journal.unfinished():
            recovered = recover(self._butler, self._request.repo, graph_file, self._ledger)
            self._watcher.say(
                f"an earlier run was killed: {recovered.n_registered} finished quanta of it are registered now, "
                f"{recovered.n_removed} files of unfinished ones removed"
            )
            graph_file.unlink()

    def _open_run(self, graph: PredictedQuantumGraph) -> None:
        """Make the RUN, the chain, the dataset types, and keep configurations and versions."""
        register_dataset_types(self._butler, graph.pipeline_graph)
        if not self._summary.run:
            remember_cameras(self._butler, self._journal, self._output.instruments())
            self._output.add(self._run)
            self._summary.run = self._run
            _write_packages(graph, self._butler)
        graph.write_configs(self._butler)
        graph.write_init_outputs(self._butler)

    def _record(self) -> None:
        """A line for `diapipe status`; a full disk must not hide what the run says."""
        counts = Counter(outcome.ended for outcome in self._summary.outcomes)
        with suppress(OSError):
            self._journal.record(
                {
                    "run": self._summary.run,
                    "steps": list(self._request.steps),
                    "data": self._request.data.expression(),
                    "seconds": round(self._summary.seconds, 1),
                    "interrupted": self._summary.interrupted,
                    "stopped": self._summary.stopped,
                    **{ended.value: counts[ended] for ended in Ended},
                }
            )


def _write_packages(graph: PredictedQuantumGraph, butler: Butler) -> None:
    """Keep the versions of all that is installed: to find out what of it is imported takes four times as long."""
    (ref,) = graph.get_init_outputs("").values()
    butler.put(Packages.fromSystem(include_all=True), ref)


def _read(path: str) -> Pipeline:
    """The pipeline of a file."""
    try:
        return Pipeline.from_uri(path)
    except (OSError, ValueError, KeyError, AttributeError, ImportError, YAMLError) as error:
        raise UsageError(f"{path} cannot be read as a pipeline: {sentence_of(error)}") from error
