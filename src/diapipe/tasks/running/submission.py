"""What `bps submit` is told of a step: the site, the graph, how quanta gather to jobs, the environment of a job."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files as files_of
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from diapipe.errors import UsageError

_JOBS = {
    "visit": ("characterize", "imageDifference", "buildTemplate"),
    "tract,patch,band": ("selectVisits", "makeWarp", "assembleCoadd"),
    "band": ("photometricScale", "visitSummary"),
}
"""Dimensions that the quanta of a job share, and of which tasks it is. A job takes seconds to start, a detector not
much more; and what fails in a job stops all jobs that wait for it, so a patch is one job, and no other waits for it.
"""
_PASSED_ON = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "DAF_BUTLER_CONFIG_PATH", "NUMBA_CACHE_DIR", "HOME")
"""Of the environment a job gets this and no more: job scripts are no place for what else may stand there."""
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def site_file(site: str) -> Path:
    """The file of a site that comes with diapipe, or the user's own.

    Raises
    ------
    UsageError
        If there is no such file.
    """
    shipped = Path(str(files_of("diapipe.tasks.running") / "sites"))
    for path in (shipped / f"{site}.yaml", Path(site)):
        if path.is_file():
            return path
    names = sorted(path.stem for path in shipped.glob("*.yaml"))
    raise UsageError(
        f"there is no site {site!r}; diapipe has {', '.join(names)}, and --site takes a YAML file of yours"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A step for bps.

    Attributes
    ----------
    site
        YAML file with ``wmsServiceClass``, ``computeSite`` and ``site``.
    repo, graph_file, folder
        The repository, the graph of the step, the folder that bps makes for itself and the jobs; whole paths.
    chain, run
        Collections of the output.
    step, labels
        Name of the step and its tasks.
    cores
        Jobs at once, where the site is this machine.
    """

    site: Path
    repo: Path
    graph_file: Path
    folder: Path
    chain: str
    run: str
    step: str
    labels: tuple[str, ...]
    cores: int

    def description(self) -> dict[str, Any]:
        """The submit file as `bps` reads it.

        Raises
        ------
        UsageError
            If the file of the site is none.
        """
        payload = {"payloadName": self.step, "butlerConfig": str(self.repo), "output": self.chain}
        return {
            **self._site(),
            "project": "diapipe",
            "campaign": self.step,
            "submitPath": str(self.folder),
            "qgraphFile": str(self.graph_file),
            "updateQuantumGraph": "cp {inputQgraphFile} {qgraphFile}",  # the graph has its run already
            "payload": {**payload, "outputRun": self.run, "runInit": False},
            "finalJob": {"requestCpus": 1, "requestMemory": 4096, "updateOutputChain": ""},
            **clustering(self.labels),
        }

    def _site(self) -> dict[str, Any]:
        found: dict[str, Any] = yaml.safe_load(self.site.read_text(encoding="utf-8"))
        own = found.get("site", {}).get(found.get("computeSite")) if isinstance(found, dict) else None
        if not isinstance(own, dict):
            raise UsageError(
                f"{self.site} is no file of a site: it needs computeSite, its name, and under site what it is"
            )
        if str(own.get("class", "")).endswith((".OneMachine", ".Local")):
            own["cores"] = self.cores
        own.setdefault("run_dir", str(self.folder / "runinfo"))
        own["commandPrefix"] = "\n".join(filter(None, [environment_lines(), str(own.get("commandPrefix", ""))]))
        return found


def clustering(labels: Iterable[str]) -> dict[str, Any]:
    """How the quanta of some tasks gather to jobs; a task of no group has a job for each."""
    present = set(labels)
    groups = {
        f"each_{dimensions.replace(',', '_')}": {"pipetasks": ", ".join(found), "dimensions": dimensions}
        for dimensions, tasks in _JOBS.items()
        if (found := [task for task in tasks if task in present])
    }
    if not groups:
        return {}
    return {"clusterAlgorithm": "lsst.ctrl.bps.quantum_clustering_funcs.dimension_clustering", "cluster": groups}


def environment_lines() -> str:
    """What a job's shell is told before its command."""
    values = {name: os.environ[name] for name in _PASSED_ON if name in os.environ} | bps_environment()
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in values.items())


def bps_environment() -> dict[str, str]:
    """Variables that bps and its jobs need: where `pipetask` and `butler` are, and one thread for each."""
    programs = Path(sys.executable).parent
    path = os.pathsep.join([str(programs), os.environ.get("PATH", os.defpath)])
    return {
        "PATH": path,
        "CTRL_MPEXEC_DIR": str(programs.parent),
        "DAF_BUTLER_DIR": str(programs.parent),
        **_ONE_THREAD,
    }
