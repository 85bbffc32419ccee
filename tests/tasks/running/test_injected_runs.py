"""Sources of a catalogue are put into a survey by `pipetask` and bps as `diapipe inject` does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
from astropy.table import Table
from pipetask_runs import pipetask
from tests.same_objects import assert_same
from tests.tasks.border_survey import ACROSS, AGAIN, INSTRUMENT, SKYMAP, wcs_of

from diapipe.catalogs.injection_catalog import injection_catalog
from diapipe.cli.main import main
from diapipe.cli.run import survey_pipeline
from diapipe.images.sky import icrs_of
from diapipe.io import read_table
from diapipe.steps.inject import Injection
from diapipe.tasks.injection import STEP, injected_run, judged_survey
from diapipe.tasks.repository import open_repository
from diapipe.tasks.running import DataSelection, RunRequest

WHERE = "visit IN (1, 2) AND detector = 0"
"""What lies on the coadds and has stars."""
PRODUCTS = (
    *("injected_visit_image", "injected_source", "injected_difference_image", "injected_dia_source"),
    "source_validation",
)


@pytest.fixture(scope="module")
def injected(border_survey, tmp_path_factory):
    """A copy of the survey across two tracts, with a catalogue in its visits by `diapipe inject`."""
    folder = tmp_path_factory.mktemp("injected")
    copytree(border_survey.root, folder / "repo")
    ra, dec = icrs_of(wcs_of(*ACROSS), np.array([80.0, 150.0, 250.0]), np.array([90.0, 250.0, 160.0]))
    table = Table({"id": [10, 20, 30], "ra": ra, "dec": dec, "flux": [9e3, -8e3, 1e4], "ra_rate": [0.0, 0.0, 0.4]})
    table["dec_rate"], table["epoch"] = 0.0, 61001.0
    table.write(folder / "given.csv")
    words = ["inject", str(folder / "repo"), "--input", "inputs", "--sources", str(folder / "given.csv")]
    assert main([*words, "--where", WHERE, "--output", "given", "--cores", "1", "--quiet"]) == 0
    return replace(border_survey, root=folder / "repo")


def test_a_catalogue_of_another_sky_is_refused(border_survey, tmp_path, capsys):
    """Before anything is run: no task, no output."""
    (tmp_path / "far.csv").write_text("ra,dec,mag\n10,-20,22\n")
    copytree(border_survey.root, tmp_path / "repo")
    words = ["inject", str(tmp_path / "repo"), "--input", "inputs", "--sources", str(tmp_path / "far.csv")]
    assert main([*words, "--output", "far"]) == 1
    assert "no source of the catalogue is on a visit of the survey: the nearest, at ra 10.0000" in " ".join(
        capsys.readouterr().err.split()
    )
    with open_repository(tmp_path / "repo") as butler:
        assert "diapipe/far" not in butler.collections.query("*")


def by_pipetask(survey, folder: Path) -> None:
    """As the guide says: the survey's collections and that of the catalogue."""
    data = f"instrument='{INSTRUMENT}' AND skymap='{SKYMAP}' AND {WHERE}"
    options = ["-p", f"{survey_pipeline('injected')}#{STEP}", "-c", "injectSources:doRecipe=False", "-d", data]
    pipetask(survey.root, *options, "-i", "inputs,injection_catalogs/given", "-o", "diapipe/pipetask")


def by_bps(survey, folder: Path) -> None:
    """The graph as jobs of Parsl on this machine."""
    pytest.importorskip("lsst.ctrl.bps.parsl", reason="no bps: diapipe[bps] is not installed")
    from bps_runs import run_by_bps

    table = injection_catalog(read_table(survey.root.parent / "given.csv"), name="given.csv")
    request = RunRequest(
        repo=str(survey.root), pipeline=survey_pipeline("injected"), steps=(STEP,), output="bps", n_workers=1,
        data=DataSelection(where=WHERE),
    )  # fmt: skip
    with injected_run(request, survey="inputs", recipe=Injection(), catalog=table) as whole:
        done = run_by_bps(whole, folder)
    assert done.exit_status == 0, done.outcomes


@pytest.mark.slow
@pytest.mark.parametrize("way", ["pipetask", "bps"])
def test_a_catalogue_is_put_in_alike(injected, tmp_path, way):
    """The images, what was put into them, their differences, sources, and what was judged: equal to the bit."""
    {"pipetask": by_pipetask, "bps": by_bps}[way](injected, tmp_path)
    with open_repository(injected.root) as butler:
        for name in PRODUCTS:
            for visit, detector in (ACROSS, AGAIN):
                place = {"instrument": INSTRUMENT, "visit": visit, "detector": detector}
                ours, theirs = (butler.get(name, place, collections=f"diapipe/{output}") for output in ("given", way))
                assert isinstance(ours, type(theirs))
                if isinstance(ours, Table):
                    assert ours.colnames == theirs.colnames
                    for column in ours.colnames:
                        assert_same(np.asarray(ours[column]), np.asarray(theirs[column]), f"{name} {column}")
                else:
                    assert_same(ours, theirs, name)
    judged, n_injected = judged_survey(str(injected.root), output=way)
    assert n_injected == len(judged) == 2
    assert all(len(one.truth) == 3 for one in judged)
