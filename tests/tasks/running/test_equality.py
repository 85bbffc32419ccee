"""However a graph is run, the results are the same bits: `diapipe run`, `pipetask`, `bps`, SQLite, PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from benchmarks.toy_survey import ToySurvey
from lsst.daf.butler import Butler
from pipetask_runs import pipetask
from tests.same_objects import assert_same
from toy_runs import N_DETECTORS, N_VISITS, PIPELINE, STEPS, counts, ended, run, values

from diapipe.cli.main import main
from diapipe.cli.run import survey_pipeline
from diapipe.io import write_exposure
from diapipe.simulate import SurveySpec, simulate_survey
from diapipe.tasks.repository import create_repository
from diapipe.tasks.running import RunRequest, run_survey, status_of

TOY_PRODUCTS = (
    "visit_image",
    "photometric_scale",
    "visit_summary",
    "template_visits",
    "template_coadd",
    "difference_image",
)
PRODUCTS = (
    *("visit_image", "single_visit_star", "photometric_scale", "visit_summary"),
    *("template_visits", "template_warp", "template_coadd", "difference_image", "dia_source"),
)


def assert_identical(one: object, other: object, where: str) -> None:
    """Tables by their columns, all else by every attribute; to the bit."""
    if isinstance(one, Table):
        assert one.colnames == other.colnames, where
        for name in one.colnames:
            assert_same(np.asarray(one[name]), np.asarray(other[name]), f"{where} {name}")
    else:
        assert_same(one, other, where)


def test_pipetask_gives_the_same(repo):
    """The steps as `diapipe run` takes them, and the whole pipeline as one graph by `pipetask -j 2`."""
    run(repo)
    pipetask(repo, "-p", str(PIPELINE), "-i", "ToyCam/raw,skymaps", "-o", "u/pipetask", "-d", "skymap='toy'")
    for name in TOY_PRODUCTS:
        ours = values(repo, name)
        assert ours
        assert ours == values(repo, name, "u/pipetask")
    one, other = status_of(str(repo)).outputs
    assert (one.chain, other.chain) == ("diapipe/default", "u/pipetask")
    assert one.counts() == other.counts()


def test_postgres_gives_the_same_toys(toy_survey, repo, tmp_path, postgres_database):
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
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three visits of one small detector, as files."""
    folder = tmp_path_factory.mktemp("frames")
    spec = SurveySpec(
        width=300, height=300, n_columns=1, n_rows=1, bands=("r",), n_nights=3, n_template_nights=2, n_stars=700
    )
    survey = simulate_survey(spec, rng=np.random.default_rng(3))
    for visit, detector in survey.data_ids:
        write_exposure(survey.frame(visit, detector).exposure, folder / f"{visit}_{detector}.fits")
    return folder


def repository_of(frames: Path, root: Path, *options: str) -> Path:
    """The frames in a repository, with visits and a sky map."""
    for command, *more in (
        ["init", *options],
        ["ingest", str(frames), "--camera", "simulator"],
        ["define-visits"],
        ["skymap"],
    ):
        assert main([command, str(root), *more, "--quiet"]) == 0
    return root


@pytest.fixture(scope="module")
def differenced(frames: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Their repository after `diapipe run`."""
    root = repository_of(frames, tmp_path_factory.mktemp("differenced") / "repo")
    assert main(["run", str(root), "--cores", "2", "--quiet"]) == 0
    return root


def by_pipetask(differenced: Path) -> Path:
    """The whole pipeline as one graph."""
    options = ["-p", survey_pipeline(), "-i", "Simulator/raw,skymaps", "-d", "skymap='survey'"]
    pipetask(differenced, *options, "-o", "u/pipetask")
    return differenced


def by_bps(differenced: Path, folder: Path) -> Path:
    """The steps as jobs of Parsl on this machine, one submission each; `diapipe run` then has nothing left to do."""
    pytest.importorskip("lsst.ctrl.bps.parsl", reason="no bps: diapipe[bps] is not installed")
    from bps_runs import run_by_bps

    whole = RunRequest(repo=str(differenced), pipeline=survey_pipeline(), steps=STEPS, output="u/bps", n_workers=2)
    done = run_by_bps(whole, folder / "bps")
    assert done.exit_status == 0, ended(done, "failed")
    assert not run_survey(whole).outcomes
    return differenced


def in_postgres(frames: Path, folder: Path, database: str) -> Path:
    """The same files in another repository, whose database is a PostgreSQL server."""
    root = repository_of(frames, folder / "in_postgres", "--db", database)
    assert main(["run", str(root), "--cores", "2", "--output", "u/postgres", "--quiet"]) == 0
    return root


@pytest.mark.slow
@pytest.mark.parametrize("way", ["pipetask", "bps", "postgres"])
def test_pixels_and_catalogues_are_identical(way, frames, differenced, tmp_path, request):
    """The survey's own pipeline on pixels: every attribute of every product is that of `diapipe run` on SQLite."""
    if way == "pipetask":
        root = by_pipetask(differenced)
    elif way == "bps":
        root = by_bps(differenced, tmp_path)
    else:
        root = in_postgres(frames, tmp_path, request.getfixturevalue("postgres_database"))
    for name in PRODUCTS:
        ours, theirs = values(differenced, name), values(root, name, f"u/{way}")
        assert ours.keys() == theirs.keys()
        assert len(ours) >= 1
        for key, mine in ours.items():
            assert_identical(mine, theirs[key], f"{name} {key}")
