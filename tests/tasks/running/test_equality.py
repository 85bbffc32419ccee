"""However a graph is run, the results are the same: `diapipe run`, `pipetask`, `bps`, SQLite, PostgreSQL."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from benchmarks.toy_survey import ToySurvey
from lsst.daf.butler import Butler
from tests.same_objects import assert_same
from toy_runs import N_DETECTORS, N_VISITS, PIPELINE, counts, request, run, values

from diapipe.cli.main import main
from diapipe.cli.run import survey_pipeline
from diapipe.io import write_exposure
from diapipe.simulate import SurveySpec, simulate_survey
from diapipe.tasks.repository import create_repository

TOY_PRODUCTS = (
    "visit_image",
    "photometric_scale",
    "visit_summary",
    "template_visits",
    "template_coadd",
    "difference_image",
)
PRODUCTS = ("visit_image", "visit_summary", "template_coadd", "difference_image", "dia_source", "photometric_scale")


def pipetask(repo: Path, *options: str) -> None:
    """`pipetask run -j 2`, its processes forked from one that has imported everything."""
    words = ["run", "-b", str(repo), "-j", "2", "--start-method", "forkserver", "--register-dataset-types", *options]
    module = [sys.executable, "-m", "diapipe.tasks.running.pipetask"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([*module, *words], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]


def assert_identical(one: object, other: object, where: str) -> None:
    """Exposures and differences by their planes, bit for bit; tables by their columns, floats to 12 digits.

    A few fitted positions differ in the last bits (some 1e-15 px) with what their process did before.
    """
    if isinstance(one, Table):
        assert one.colnames == other.colnames, where
        for name in one.colnames:
            ours, theirs = np.asarray(one[name]), np.asarray(other[name])
            if ours.dtype.kind == "f":
                np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12, err_msg=f"{where} {name}")
            else:
                assert_same(ours, theirs, f"{where} {name}")
    else:
        ours, theirs = (getattr(held, "exposure", held) for held in (one, other))
        assert_same(ours.masked_image, theirs.masked_image, where)


def test_pipetask_gives_the_same(repo):
    """The steps as `diapipe run` takes them, and the whole pipeline as one graph by `pipetask -j 2`."""
    run(repo)
    pipetask(repo, "-p", str(PIPELINE), "-i", "ToyCam/raw,skymaps", "-o", "u/pipetask", "-d", "skymap='toy'")
    for name in TOY_PRODUCTS:
        ours = values(repo, name)
        assert ours
        assert ours == values(repo, name, "u/pipetask")


@pytest.mark.slow
def test_bps_gives_the_same(repo, tmp_path):
    """Jobs of Parsl on this machine, step by step, and what `diapipe run` then finds left to do: nothing."""
    pytest.importorskip("lsst.ctrl.bps.parsl", reason="no bps: diapipe[bps] is not installed")
    from bps_runs import run_by_bps

    steps = ("visits",)
    assert run_by_bps(request(repo, steps=steps, output="bps"), tmp_path / "bps").exit_status == 0
    run(repo, steps=steps)
    assert values(repo, "visit_image") == values(repo, "visit_image", "diapipe/bps")
    assert not run(repo, steps=steps, output="bps").outcomes


def test_postgres_gives_the_same(toy_survey, repo, tmp_path, postgres_database):
    """The repository in PostgreSQL: all steps, each quantum once, the same numbers; and again nothing to do."""
    root = create_repository(tmp_path / "in_postgres", db=postgres_database)
    with Butler.from_config(root, writeable=True) as butler:
        ToySurvey(n_visits=N_VISITS, n_detectors=N_DETECTORS, n_patches=1).fill(butler)
    assert counts(run(root)).keys() == {"done"}
    assert not run(root).outcomes
    run(repo)
    for name in TOY_PRODUCTS:
        assert values(root, name) == values(repo, name)


@pytest.fixture(scope="module")
def simulated_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three visits of one small detector, ingested, with visits and a sky map."""
    folder = tmp_path_factory.mktemp("simulated")
    files = folder / "files"
    files.mkdir()
    spec = SurveySpec(
        width=300, height=300, n_columns=1, n_rows=1, bands=("r",), n_nights=3, n_template_nights=2, n_stars=700
    )
    survey = simulate_survey(spec, rng=np.random.default_rng(3))
    for visit, detector in survey.data_ids:
        write_exposure(survey.frame(visit, detector).exposure, files / f"{visit}_{detector}.fits")
    repo = str(folder / "repo")
    for words in (["init"], ["ingest", str(files), "--camera", "simulator"], ["define-visits"], ["skymap"]):
        command, *more = words
        assert main([command, repo, *more, "--quiet"]) == 0
    return folder / "repo"


@pytest.mark.slow
def test_pixels_and_catalogues_are_identical(simulated_repository):
    """The survey's own pipeline: every pixel, mask bit, variance and column, from `diapipe run` and `pipetask -j 2`."""
    repo = simulated_repository
    assert main(["run", str(repo), "--cores", "2", "--quiet"]) == 0
    inputs = "Simulator/raw,skymaps"
    pipetask(repo, "-p", survey_pipeline(), "-i", inputs, "-o", "u/pipetask", "-d", "skymap='survey'")
    for name in PRODUCTS:
        ours, theirs = values(repo, name), values(repo, name, "u/pipetask")
        assert ours.keys() == theirs.keys()
        assert len(ours) >= 1
        for key, mine in ours.items():
            assert_identical(mine, theirs[key], f"{name} {key}")
