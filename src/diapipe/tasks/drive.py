"""The older drivers over the survey's pipeline: what their options ask for, as a request to run some of its steps."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lsst.daf.butler import Butler
from lsst.pipe.base.configOverrides import ConfigOverrides

from diapipe.errors import ReadError, UsageError
from diapipe.tasks.data_ids import OldDataId, condition, meant, parsed
from diapipe.tasks.dataset_names import DP1, dataset_name
from diapipe.tasks.driver import CoaddDriverConfig, ImageDifferenceDriverConfig
from diapipe.tasks.object_drivers import (
    AssociationDriverConfig,
    DrivenCombineDiaForcedConfig,
    DrivenForcedPhotCcdDiaConfig,
    DrivenForcedPhotCcdTemplateDiaConfig,
    DrivenForcedPhotCoaddDiaConfig,
    DrivenForcedPhotCoaddDiaSrcConfig,
    ForcedPhotCcdDiaDriverConfig,
    ForcedPhotCoaddDiaDriverConfig,
)
from diapipe.tasks.presets import driver_file
from diapipe.tasks.repository import open_repository
from diapipe.tasks.running import DataSelection, RunRequest, Settings
from diapipe.tasks.running.run_request import CHAINS

_LOG = logging.getLogger(__name__)

FIRST = "diapipe/default"
"""What `diapipe run` writes where it is not told: to a rerun it is what the older repository was below its reruns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """An older driver.

    Attributes
    ----------
    config
        Class of what its configuration files call ``config``.
    steps
        Of the survey's pipeline; where empty, the tasks that the configuration speaks of, one after the other.
    labels
        Tasks of these steps.
    selects
        Label of the task whose visits ``--selectId`` chooses; "" where there is none.
    gathers
        Label of the task that gathers what is of visits, so that the bands of ``--id`` choose among its inputs; ""
        where there is none.
    """

    config: type[Any]
    steps: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    selects: str = ""
    gathers: str = ""


DRIVERS = {
    "imageDifferenceDriver": Driver(
        config=ImageDifferenceDriverConfig, steps=("differences",), labels=("imageDifference",)
    ),
    "coaddDriver": Driver(
        config=CoaddDriverConfig,
        steps=("visits", "scale", "coadds"),
        labels=("characterize", "photometricScale", "visitSummary", "selectVisits", "makeWarp", "assembleCoadd"),
        selects="selectVisits",
    ),
    "associationDriver": Driver(config=AssociationDriverConfig, selects="associate", gathers="associate"),
    "forcedPhotCcdDia": Driver(config=DrivenForcedPhotCcdDiaConfig),
    "forcedPhotCcdDiaDriver": Driver(config=ForcedPhotCcdDiaDriverConfig),
    "forcedPhotCcdTemplateDia": Driver(config=DrivenForcedPhotCcdTemplateDiaConfig),
    "forcedPhotCoaddDiaSrc": Driver(config=DrivenForcedPhotCoaddDiaSrcConfig),
    "forcedPhotCoaddDia": Driver(config=DrivenForcedPhotCoaddDiaConfig),
    "forcedPhotCoaddDiaDriver": Driver(config=ForcedPhotCoaddDiaDriverConfig),
    "combineDiaForced": Driver(config=DrivenCombineDiaForcedConfig, gathers="combineDiaForced"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What stands on the command line of a driver.

    Attributes
    ----------
    rerun
        ``OUTPUT`` or ``INPUT:OUTPUT``; "" for that of `diapipe run`.
    ids, selectIds, templateIds
        The words after each ``--id``, ``--selectId``, ``--templateId``.
    files, values
        Configuration files, and ``field=value``.
    """

    repo: str
    pipeline: str
    rerun: str = ""
    ids: Sequence[Sequence[str]] = ()
    selectIds: Sequence[Sequence[str]] = ()
    templateIds: Sequence[Sequence[str]] = ()
    files: Sequence[str] = ()
    values: Sequence[str] = ()
    cores: int = 1
    limit_seconds: float | None = field(default=None)


def configured(driver: Driver, asked: Asked) -> Any:
    """The configuration of a driver after its files and values.

    Raises
    ------
    UsageError
        If there is no such file or field, or the configuration contradicts itself.
    ReadError
        If the lines of a file fail.
    """
    config = driver.config()
    for path in map(driver_file, asked.files):
        try:
            config.load(path)
        except UsageError:
            raise
        except Exception as error:  # the file is a program: anything may come out of it
            said = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ReadError(f"the configuration {path} cannot be loaded: {said}", path=path) from error
    overrides: Any = ConfigOverrides()
    for text in asked.values:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"-c takes field=value, such as imageDifference.convolveTemplate=False, and not {text!r}")
        overrides.addValueOverride(name, value)
    try:
        overrides.applyTo(config)
        config.validate()
    except UsageError:
        raise
    except Exception as error:  # fields of tasks of the user's own may refuse in ways of their own
        raise UsageError(f"the configuration is wrong: {str(error).splitlines()[0]}") from error
    return config


@contextmanager
def request_for(name: str, asked: Asked) -> Iterator[RunRequest]:
    """The request that a driver's command line stands for; its configuration lies in files until the end of the block.

    Raises
    ------
    UsageError, ReadError
        If something cannot be understood.
    """
    driver = DRIVERS[name]
    config = configured(driver, asked)
    ids = _ids(config, asked.ids)
    where = _where(config, _without_bands(ids) if driver.gathers else ids)
    _choose_template_visit(config, asked)
    lines = config.of_tasks()
    labels = driver.labels or tuple(lines)
    chosen = (*_selected(name, driver, asked.selectIds), *_bands(name, driver, ids))
    with open_repository(asked.repo) as butler:
        inputs, output = _collections(butler, asked.rerun)
        names = _names(butler, config)
    with TemporaryDirectory(prefix="diapipe_") as folder:
        files = [_written(Path(folder) / f"{label}.py", text) for label, text in lines.items()]
        yield RunRequest(
            repo=asked.repo,
            pipeline=asked.pipeline,
            steps=driver.steps or labels,
            output=output,
            inputs=inputs,
            data=DataSelection(where=where, instrument=_one(ids, "instrument"), skymap=_one(ids, "skymap")),
            settings=Settings(
                files=tuple(f"{label}:{file}" for label, file in zip(lines, files, strict=True)),
                values=(*(f"{label}:coaddName={names}" for label in labels), *chosen),
            ),
            n_workers=asked.cores,
            limit_seconds=asked.limit_seconds,
        )


def _ids(config: Any, given: Sequence[Sequence[str]]) -> list[OldDataId]:
    """The data that was asked for."""
    if not given:
        raise UsageError("which data? give --id, such as --id visit=1^2 detector=0..3, or --id alone for all")
    return [parsed(words, ccd_key=getattr(config, "ccdKey", "ccd")) for words in given]


def _where(config: Any, ids: Sequence[OldDataId]) -> str:
    """The data, less the detectors that the configuration leaves out, which is told."""
    left_out = meant(ids, getattr(config, "ignoreCcdList", ()))
    if left_out:
        _LOG.warning("left out by ignoreCcdList: detector %s", ", ".join(map(str, left_out)))
    return condition(ids, left_out=left_out)


def _one(ids: Sequence[OldDataId], key: str) -> str:
    """The one value that all data IDs have of a key; empty where they do not."""
    given = {tuple(found.get(key, ())) for found in ids}
    values = given.pop() if len(given) == 1 else ()
    return values[0] if len(values) == 1 else ""


_BANDS = ("filter", "band")


def _without_bands(ids: Sequence[OldDataId]) -> list[OldDataId]:
    """The same in all bands."""
    return [{key: values for key, values in found.items() if key not in _BANDS} for found in ids]


def _bands(name: str, driver: Driver, ids: Sequence[OldDataId]) -> tuple[str, ...]:
    """The bands that a task gathers, for its configuration: they are not those of what it makes.

    Raises
    ------
    UsageError
        If the data IDs have different bands, or one has visits or detectors.
    """
    if not driver.gathers:
        return ()
    given = {tuple(found.get("filter", found.get("band", ()))) for found in ids}
    of_visits = sorted({key for found in ids for key in found} - {"tract", "patch", "skymap", "instrument", *_BANDS})
    if len(given) > 1 or of_visits:
        what = f"no {', '.join(of_visits)}" if of_visits else "the same filters in each"
        choose = "; --selectId chooses visits" if of_visits and driver.selects else ""
        raise UsageError(f"--id of {name} has tract, patch and filter, {what}{choose}")
    bands = list(given.pop())
    return (f"{driver.gathers}:onlyBands={bands}",) if bands else ()


def _selected(name: str, driver: Driver, select_ids: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """What ``--selectId`` chooses, for the configuration of the task.

    Raises
    ------
    UsageError
        If there is nothing to choose.
    """
    ids = [parsed(words) for words in select_ids]
    found = _numbers(value for one in ids for value in one.get("visit", []))
    if ids and not driver.selects:
        raise UsageError(f"{name} has no visits to be selected; --id chooses its data")
    if not found:
        return ()
    if driver.selects != "associate":
        return (f"{driver.selects}:visits={found}",)
    detectors = {tuple(_numbers(one.get("detector", []))) for one in ids}
    if len(detectors) > 1:
        raise UsageError(f"--selectId of {name} can name detectors, the same for all visits")
    return ("associate:visits=all", f"associate:onlyVisits={found}", f"associate:onlyDetectors={list(detectors.pop())}")


def _numbers(values: Iterable[str]) -> list[int]:
    """Numbers and ranges of them, each number once."""
    numbers: set[int] = set()
    for value in values:
        first, _, rest = value.partition("..")
        last, _, step = rest.partition(":")
        numbers |= set(range(int(first), int(last or first) + 1, int(step or 1)))
    return sorted(numbers)


def _choose_template_visit(config: Any, asked: Asked) -> None:
    """The visit that is the template of all others."""
    found = [value for words in asked.templateIds for value in parsed(words).get("visit", [])]
    if not found:
        return
    task = getattr(config, "imageDifference", None)
    if task is None or not hasattr(task.getTemplate, "templateVisit") or len(found) > 1 or not found[0].isdigit():
        raise UsageError(
            f"--templateId visit={'^'.join(found)} needs one visit, and getTemplate retargeted to "
            "GetCalexpAsTemplateTask in the configuration"
        )
    task.getTemplate.templateVisit = int(found[0])


def _collections(butler: Butler, rerun: str) -> tuple[tuple[str, ...], str]:
    """What is read besides the output, and the output.

    Raises
    ------
    UsageError
        If there is nothing by the name of what is to be read.
    """
    before, _, last = rerun.rpartition(":")
    output = f"rerun/{last}" if last else FIRST
    if output == FIRST and not before:
        return (), output
    known = set(butler.collections.query("*"))
    if before:
        there = [name for name in (f"rerun/{before}", f"{CHAINS}/{before}") if name in known]
        if not there:
            found = [name.removeprefix("rerun/") for name in sorted(known) if re.fullmatch("rerun/[^/]+", name)]
            raise UsageError(f"there is no rerun {before} to read; the repository has {', '.join(found) or 'none'}")
        return (there[0],), output
    if output in known:  # a rerun goes on reading what it read at first
        read = butler.collections.query(output, flatten_chains=True)
        return tuple(name for name in read if not name.startswith(f"{output}/")), output
    return (FIRST,) if FIRST in known else (), output


def _names(butler: Butler, config: Any) -> str:
    """``coaddName``: the configured; that of `diapipe run` where the repository has its names and not the others."""
    found: str = config.coaddName
    known = {kind.name for kind in butler.registry.queryDatasetTypes()}
    if found != DP1 and "visit_image" in known and dataset_name("visit_image", found) not in known:
        _LOG.info("datasets have the names of Data Preview 1 here: coaddName = '%s' in place of '%s'", DP1, found)
        return DP1
    return found


def _written(path: Path, lines: str) -> Path:
    path.write_text(lines, encoding="utf-8")
    return path
