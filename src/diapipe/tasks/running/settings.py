"""Settings: what a run changes in the configuration of tasks; and the check that an output holds but one of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lsst.daf.butler import Butler, MissingDatasetTypeError
from lsst.pex.config import Config
from lsst.pipe.base import Pipeline
from lsst.pipe.base.pipeline_graph import PipelineGraph

from diapipe.errors import UsageError
from diapipe.tasks.running.template_choice import LABEL, TemplateChoice

N_SHOWN = 3
"""Differences that the sentence about a changed configuration tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Changes of the configuration: files, then the choice of the template, then values.

    Parameters
    ----------
    values
        ``label:field=value``, as `pipetask -c` takes them.
    files
        ``label:file.py``, as `pipetask -C` takes them.
    template
        Which visits the template is made of.
    """

    values: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    template: TemplateChoice = field(default_factory=TemplateChoice)

    def put_on(self, pipeline: Pipeline) -> None:
        """Add the changes to a pipeline."""
        for text in self.files:
            label, path = _split(text, ":", "-C takes label:file.py", pipeline)
            if not Path(path).is_file():
                raise UsageError(f"there is no configuration file {path}")
            pipeline.addConfigFile(label, path)
        if chosen := self.template.as_python():
            if LABEL not in pipeline.task_labels:
                raise UsageError(f"the visits of a template are chosen by {LABEL}, and the pipeline has no such task")
            pipeline.addConfigPython(LABEL, chosen)
        for text in self.values:
            label, assignment = _split(text, ":", "-c takes label:field=value", pipeline)
            name, found, value = assignment.partition("=")
            if not found:
                raise UsageError(f"-c takes label:field=value, and not {text!r}")
            pipeline.addConfigOverride(label, name, value)


def _split(text: str, mark: str, form: str, pipeline: Pipeline) -> tuple[str, str]:
    """Label and the rest; the label must be one of the pipeline's."""
    label, found, rest = text.partition(mark)
    if not found or not rest:
        raise UsageError(f"{form}, and not {text!r}")
    labels = sorted(pipeline.task_labels)
    if label not in labels:
        raise UsageError(f"the pipeline has no task {label!r}; it has {', '.join(labels)}")
    return label, rest


def check_unchanged(butler: Butler, pipeline: PipelineGraph, runs: Sequence[str], chain: str) -> None:
    """Refuse to mix two configurations in one output.

    Raises
    ------
    UsageError
        Names the task, the first fields that differ, and what to do.
    """
    if not runs:
        return
    for label, node in pipeline.tasks.items():
        try:
            ref = butler.find_dataset(f"{label}_config", collections=runs)
        except MissingDatasetTypeError:
            continue
        if ref is None:
            continue
        differences = list(_differences(butler.get(ref), node.config))
        if differences:
            more = len(differences) - N_SHOWN
            told = "; ".join(differences[:N_SHOWN]) + (f"; and {more} more" if more > 0 else "")
            raise UsageError(
                f"the configuration of {label} is not that of the results in {chain}: {told}; "
                "give --output NAME for results of the new one, or leave the old one as it was"
            )


def _differences(old: Config, new: Config) -> Iterable[str]:
    """The fields that differ, each in words."""
    before, now = _flat(old), _flat(new)
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name):
            yield f"{name} was {before.get(name)!r}, now {now.get(name)!r}"


def _flat(config: Config) -> dict[str, object]:
    """All fields with their full names."""
    flat: dict[str, object] = {}
    stack: list[tuple[str, object]] = [("", config.toDict())]
    while stack:
        name, value = stack.pop()
        if isinstance(value, dict) and value:
            stack += [(f"{name}.{key}".lstrip("."), inner) for key, inner in value.items()]
        else:
            flat[name] = value
    return flat
