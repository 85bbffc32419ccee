"""A step as jobs of bps: what it is told, and an outcome that is true whatever bps says of itself."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from toy_runs import counts, ended, request, values

from diapipe.cli.main import cli, main
from diapipe.errors import UsageError
from diapipe.tasks.running import batch
from diapipe.tasks.running.submission import Submission, clustering, environment_lines, site_file

bps = pytest.importorskip("lsst.ctrl.bps.parsl", reason="no bps: diapipe[bps] is not installed")

from bps_runs import run_by_bps  # noqa: E402

SITES = {
    "one_machine": ("HighThroughputExecutor", "LocalProvider"),
    "slurm": ("HighThroughputExecutor", "SlurmProvider"),
    "htcondor": ("HighThroughputExecutor", "CondorProvider"),
}


def submission(site: str, folder: Path, labels: tuple[str, ...] = ("characterize",), cores: int = 3) -> dict[str, Any]:
    return Submission(
        site=site_file(site),
        repo=folder / "repo",
        graph_file=folder / "step.qg",
        folder=folder / "jobs",
        chain="diapipe/default",
        run="diapipe/default/1",
        step="visits",
        labels=labels,
        cores=cores,
    ).description()


@pytest.mark.parametrize("site", SITES)
def test_parsl_takes_the_site(site: str, tmp_path: Path) -> None:
    """Each shipped file makes the executor and the provider of its kind, from what bps reads of the submit file."""
    from lsst.ctrl.bps import BpsConfig
    from lsst.ctrl.bps.parsl.workflow import get_parsl_config

    (tmp_path / "submit.yaml").write_text(yaml.safe_dump(submission(site, tmp_path)))
    config = BpsConfig(str(tmp_path / "submit.yaml"), wms_service_class_fqn="lsst.ctrl.bps.parsl.ParslService")
    config["operator"] = "somebody"  # `bps submit` takes the login name
    (executor,) = get_parsl_config(config).executors
    assert (type(executor).__name__, type(executor.provider).__name__) == SITES[site]
    workers = {"one_machine": 3, "slurm": None, "htcondor": 8}
    if workers[site]:
        assert executor.max_workers_per_node == workers[site]
    assert config["submitPath"] == str(tmp_path / "jobs")


OPTIONS: dict[str, dict[str, Any]] = {
    "slurm": {
        **{"nodes_per_block": 1, "cores_per_node": 32, "mem_per_node": 128, "walltime": "04:00:00"},
        **{"account": "my_project"},
    },
    "htcondor": {
        **{"max_blocks": 16, "cores_per_slot": 8, "mem_per_slot": 32, "walltime": "04:00:00"},
        **{"requirements": "OpSysMajorVer >= 9"},
    },
}


@pytest.mark.parametrize("site", OPTIONS)
def test_every_option_of_a_site_reaches_its_scheduler(site: str, tmp_path: Path) -> None:
    """Those that the shipped file leaves to be filled in, too; and the lines that make a job's shell find diapipe."""
    from lsst.ctrl.bps import BpsConfig
    from lsst.ctrl.bps.parsl.workflow import get_parsl_config

    own = tmp_path / "own.yaml"
    own.write_text(re.sub(r"^    # (?=\w+: )", "    ", site_file(site).read_text(), flags=re.MULTILINE))
    told = submission(str(own), tmp_path)
    (tmp_path / "submit.yaml").write_text(yaml.safe_dump(told))
    config = BpsConfig(str(tmp_path / "submit.yaml"), wms_service_class_fqn="lsst.ctrl.bps.parsl.ParslService")
    config["operator"] = "somebody"
    made = get_parsl_config(config)
    provider = made.executors[0].provider
    assert {name: getattr(provider, name) for name in OPTIONS[site]} == OPTIONS[site]
    assert "export CTRL_MPEXEC_DIR=" in told["site"][site]["commandPrefix"]
    assert made.retries == 1
    if site == "slurm":
        assert "#SBATCH --qos=regular" in provider.scheduler_options.splitlines()


def test_every_shipped_site_is_tested() -> None:
    """One row above for each file."""
    assert {path.stem for path in site_file("slurm").parent.glob("*.yaml")} == set(SITES)


def test_a_site_of_ones_own(tmp_path: Path) -> None:
    """A file is taken as it is; a name that is none, and a file that is none, are told."""
    own = tmp_path / "mine.yaml"
    own.write_text("computeSite: here\nsite: {here: {class: x.Local, commandPrefix: module load python}}\n")
    told = submission(str(own), tmp_path)
    assert told["site"]["here"]["cores"] == 3
    assert told["site"]["here"]["commandPrefix"].endswith("\nmodule load python")
    with pytest.raises(UsageError, match="no site 'moon'; diapipe has htcondor, one_machine, slurm"):
        site_file("moon")
    own.write_text("just words")
    with pytest.raises(UsageError, match=r"mine\.yaml is no file of a site: it needs computeSite"):
        submission(str(own), tmp_path)


def test_quanta_gather_to_jobs_by_what_they_share() -> None:
    """Only groups of tasks that are there: bps refuses others."""
    assert clustering(["characterize"])["cluster"] == {
        "each_visit": {"pipetasks": "characterize", "dimensions": "visit"}
    }
    coadds = clustering(["makeWarp", "selectVisits", "assembleCoadd"])["cluster"]
    assert coadds == {
        "each_tract_patch_band": {
            "pipetasks": "selectVisits, makeWarp, assembleCoadd",
            "dimensions": "tract,patch,band",
        }
    }
    assert clustering(["something"]) == {}


def test_a_job_gets_no_more_of_the_environment_than_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret that stands there is in no job script; one thread is."""
    monkeypatch.setenv("MY_TOKEN", "secret")
    monkeypatch.setenv("DAF_BUTLER_CONFIG_PATH", "/some where")
    lines = environment_lines()
    assert "secret" not in lines
    assert "export DAF_BUTLER_CONFIG_PATH='/some where'" in lines.splitlines()
    assert "export OMP_NUM_THREADS=1" in lines.splitlines()


@pytest.mark.parametrize("status", [0, 1])
def test_a_bps_that_did_nothing_is_not_believed(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """Exit status 0 of bps, as it has even when every job failed, is none of ours: all failed or had to wait."""
    monkeypatch.setattr(batch, "_bps", lambda *_: status)
    summary = run_by_bps(request(repo, steps=("visits",)), tmp_path / "submit")
    assert counts(summary) == {"failed": 6}
    assert summary.exit_status == 1
    assert all("its job left nothing" in outcome.reason for outcome in ended(summary, "failed"))
    assert bool(summary.stopped) == bool(status)
    unregistered = list((repo / ".diapipe").rglob("*.qg"))
    assert len(unregistered) == status, "the graph stays for the next run where bps may not have registered all"


def test_a_stopped_submission_gives_back_what_it_took(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Executors of Parsl end with the process, however it ends: by itself they would wait for work, for ever."""
    import parsl
    from parsl.executors import ThreadPoolExecutor

    from diapipe.tasks.running import bps_process

    started: list[parsl.DataFlowKernel] = []

    def interrupted(_words: list[str]) -> None:
        executors = [ThreadPoolExecutor()]
        started.append(parsl.load(parsl.Config(executors=executors, run_dir=str(tmp_path), initialize_logging=False)))
        raise KeyboardInterrupt

    monkeypatch.setattr(bps_process, "cli", interrupted)
    monkeypatch.setattr(bps_process.signal, "signal", lambda *_: None)
    with pytest.raises(KeyboardInterrupt):
        bps_process.main("submit.yaml")
    assert started[0].cleanup_called
    parsl.clear()
    monkeypatch.setattr(bps_process, "cli", lambda _words: None)
    bps_process.main("submit.yaml")  # bps that has ended its own is left alone


def test_the_command_takes_what_diapipe_run_takes() -> None:
    """Every option of `diapipe run`, the site, and the folder."""
    names = {name: {option.name for option in cli.commands[name].params} for name in ("run", "submit")}
    assert names["submit"] == names["run"] | {"site", "submit_folder"}


def test_jobs_by_bps_end_as_they_do_here(repo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One detector of six fails: exit status 1 and its reason, though bps says 0; the others are as by diapipe run."""
    options = ["--steps", "visits", "--cores", "2", "-c", "characterize:fail=['2/1']", "--quiet"]
    options += ["--pipeline", str(request(repo).pipeline)]
    place = tmp_path / "submit"
    assert main(["submit", str(repo), "--submit-folder", str(place), "--output", "jobs", *options]) == 1
    said = capsys.readouterr().out
    assert "1 characterize: ValueError: the toy task breaks at 2/1" in said
    assert "1 of 6 failed" in said
    assert main(["run", str(repo), "--output", "here", *options]) == 1
    by_bps, here = (values(repo, "visit_image", f"diapipe/{name}") for name in ("jobs", "here"))
    assert len(here) == 5
    assert by_bps == here
    assert not list((repo / ".diapipe").rglob("*.qg"))
    assert "Run Name" in next(place.glob("*/bps.log")).read_text()
    assert os.environ.get("CTRL_MPEXEC_DIR") is None
