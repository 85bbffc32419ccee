"""``subtract --inject``, ``inject`` and ``validate``: sources of known truth from images to the grade."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from astropy.table import Table

from diapipe.cli.landing import OUR_FILES
from diapipe.cli.main import main
from diapipe.cli.truth import simulated, write_truth
from diapipe.images import MaskPlane
from diapipe.io import read_difference, read_exposure, read_parquet
from diapipe.steps.validate import Judged

DENSE = "[inject]\narea_fwhm2 = 400.0\nmin_snr = 20.0\n"
"""Enough sources on a small image, and all of them bright."""


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pair")
    write_truth(simulated(size=400, seed=4), folder)
    (folder / "dense.toml").write_text(DENSE)
    return folder


@pytest.fixture(scope="module")
def result(pair):
    words = ["subtract", str(pair / "science.fits"), str(pair / "template.fits"), "--out", str(pair / "result")]
    assert main([*words, "--inject", "--config", str(pair / "dense.toml"), "--quiet"]) == 0
    return pair / "result"


def test_what_was_injected_is_found_and_measured(result):
    """Nearly all of S/N 20 and more is found, by sources with injected pixels; fluxes are right by their errors."""
    truth, summary = read_parquet(result / "injected.parquet"), json.loads((result / "summary.json").read_text())
    share = summary["validation"]["completeness"]["all"]
    # of a dozen and more one may lie on a residual
    assert share["n"] >= 12
    assert share["n"] - share["n_of"] <= 1
    sources = read_parquet(result / "dia_sources.parquet")
    by_id = {int(row["diaSourceId"]): row for row in sources}
    found = truth[np.asarray(truth["is_good"])]
    flags = [by_id[int(row["diaSourceId"])] for row in found]
    assert all(row["pixelFlags_injected"] or row["pixelFlags_injected_template"] for row in flags)
    pulls = ((found["measured"] - found["flux"]) / found["measured_err"])[found["kind"] != "trailed"]
    assert abs(np.median(pulls)) < 4 * 1.2533 / np.sqrt(len(pulls))
    assert (found["measured"] < 0).any()
    assert np.array_equal(found["measured"] < 0, found["is_faded"])


def test_page_tells_the_grade(result):
    """The page has the section, with every bar, told to the digits that it means; without injections it has none."""
    page = (result / "report.html").read_text()
    assert "at most 0.184%<" in page  # 0.002 mag
    assert "What became of injected sources" in page
    assert "S/N of 50% completeness" in page
    assert "Rubin requirement" in page


def test_page_without_injections_says_nothing_of_them(pair, tmp_path):
    """A plain result has no such section and no such file."""
    words = ["subtract", str(pair / "science.fits"), str(pair / "template.fits"), "--out", str(tmp_path / "plain")]
    assert main([*words, "--quiet"]) == 0
    assert "injected sources" not in (tmp_path / "plain" / "report.html").read_text()
    assert not (tmp_path / "plain" / "injected.parquet").exists()


def test_validate_says_of_a_result_what_subtract_said(result, capsys):
    """From the files the same numbers as in memory, to the float32 of the planes; on the terminal the grade."""
    inside = json.loads((result / "summary.json").read_text())["validation"]
    assert main(["validate", str(result)]) == 0
    said = capsys.readouterr().out
    assert "Rubin DP1" in said
    assert "Gaussian noise" in said
    again = json.loads((result / "validation.json").read_text())
    assert again["completeness"] == inside["completeness"]
    assert again["n_unexplained"] == inside["n_unexplained"]
    assert again["hostless"]["pull_sigma"] == pytest.approx(inside["hostless"]["pull_sigma"], rel=1e-3)
    bins = read_parquet(result / "completeness.parquet")
    assert bins[(bins["by"] == "snr") & (bins["kind"] == "all")]["n"].sum() > 0


def test_simulated_truth_grades_too(pair, result):
    """The table of the simulation, with fluxes in its unit, serves as truth; where it is all there is a purity."""
    assert main(["validate", str(result), "--truth", str(pair / "truth.parquet"), "--truth-is-all", "--quiet"]) == 0
    numbers = json.loads((result / "validation.json").read_text())
    # the injected ones are not in this table, so they count as false here
    assert 0 < numbers["purity"]["all"]["value"] < 1


def test_inject_writes_the_images_that_it_was_given_and_light(pair, tmp_path):
    """The images are the inputs but for the light: elsewhere equal, sky and all; the truth lies beside them."""
    words = ["inject", str(pair / "science.fits"), str(pair / "template.fits"), "--out", str(tmp_path)]
    assert main([*words, "--config", str(pair / "dense.toml"), "--quiet"]) == 0
    truth = read_parquet(tmp_path / "injected.parquet")
    for name, which in (("science.fits", ~truth["is_faded"]), ("template.fits", truth["is_faded"])):
        before, after = read_exposure(pair / name), read_exposure(tmp_path / name)
        light = after.masked_image.image - before.masked_image.image
        marked = (after.masked_image.mask & MaskPlane.INJECTED) != 0
        assert marked.any() == which.any()
        far = light[np.isfinite(light) & ~marked]
        assert np.median(np.abs(far)) == 0.0
        assert light[marked & np.isfinite(light)].sum() > 0


def test_seed_chooses(pair, tmp_path):
    """Two seeds, two sets; one seed twice, one set."""
    tables = []
    for name, seed in (("a", "1"), ("b", "2"), ("c", "1")):
        words = ["inject", str(pair / "science.fits"), str(pair / "template.fits"), "--out", str(tmp_path / name)]
        assert main([*words, "--seed", seed, "--quiet"]) == 0
        tables.append(read_parquet(tmp_path / name / "injected.parquet"))
    first, second, again = tables
    assert np.array_equal(first["x"], again["x"])
    assert not np.array_equal(first["x"], second["x"])


def test_a_catalogue_is_put_in_as_it_is(pair, tmp_path, capsys):
    """Where and how bright the file says, one of them into the template; what it lacks is said."""
    path = tmp_path / "given.csv"
    path.write_text("id,x,y,mag,is_faded\n7,200.5,210.25,20.0,False\n9,300.0,120.0,20.5,True\n")
    words = ["inject", str(pair / "science.fits"), str(pair / "template.fits"), "--sources", str(path), "--quiet"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    truth = read_parquet(tmp_path / "out" / "injected.parquet")
    assert truth["injectionId"].tolist() == [7, 9]
    assert truth["x"].tolist() == [200.5, 300.0]
    science = read_exposure(pair / "science.fits")
    expected = 10 ** (-0.4 * (np.array([20.0, 20.5]) - 31.4)) / science.photo_calib.mean
    assert truth["flux"].tolist() == pytest.approx([expected[0], -expected[1]], rel=1e-4)
    (tmp_path / "short.csv").write_text("x,y\n1,2\n")
    short = [word.replace("given.csv", "short.csv") for word in words]
    assert main([*short, "--out", str(tmp_path / "other")]) == 1
    assert "short.csv has no column flux (or mag); it has x, y" in capsys.readouterr().err


def test_what_of_a_catalogue_is_elsewhere_is_said(pair, tmp_path, capsys):
    """How many of its sources were put in; nothing is written where none is on the image."""
    path = tmp_path / "given.csv"
    words = ["inject", str(pair / "science.fits"), str(pair / "template.fits"), "--sources", str(path)]
    path.write_text("x,y,mag\n200,210,20.0\n2000,120,20.5\n")
    assert main([*words, "--out", str(tmp_path / "one")]) == 0
    assert "1 of the catalogue's 2 sources were put in" in capsys.readouterr().out
    path.write_text("x,y,mag\n2000,120,20.5\n")
    assert main([*words, "--out", str(tmp_path / "none")]) == 1
    assert "no source of the catalogue is on simulated science: its rows lie at x 2000" in " ".join(
        capsys.readouterr().err.split()
    )
    assert not (tmp_path / "none").exists()


def test_subtract_puts_in_a_catalogue(pair, tmp_path, capsys):
    """As the file says, and judged; what fades needs one template, and something has to be on the image."""
    path, out = tmp_path / "given.csv", tmp_path / "out"
    path.write_text("RA,DEC,mag,is_faded\n{},{},20.0,False\n{},{},20.5,True\n".format(*_places(pair)))
    words = ["subtract", str(pair / "science.fits"), str(pair / "template.fits"), "--inject-sources", str(path)]
    assert main([*words, "--out", str(out), "--no-report"]) == 0
    assert "Injected: 2 sources of known truth" in " ".join(capsys.readouterr().out.split())
    truth = read_parquet(out / "injected.parquet")
    assert truth["is_good"].all()
    assert (truth["measured"] < 0).tolist() == [False, True]
    tiled = [*words, "--template-also", str(pair / "template.fits"), "--out", str(tmp_path / "tiled")]
    assert main(tiled) == 1
    assert "1 of the catalogue's sources fade" in " ".join(capsys.readouterr().err.split())
    path.write_text("x,y,mag\n2000,120,20.5\n")
    assert main([*words, "--out", str(tmp_path / "none")]) == 1
    assert "rows lie at x 2000 to 2000, y 120 to 120, and the image has x 0 to 399, y 0 to 399" in " ".join(
        capsys.readouterr().err.split()
    )
    assert not (tmp_path / "tiled").exists()
    assert not (tmp_path / "none").exists()


def _places(pair):
    """Two empty places, on the sky."""
    science, stars = read_exposure(pair / "science.fits"), read_parquet(pair / "stars.parquet")
    free = [
        (x, y)
        for x in range(60, 360, 20)
        for y in range(60, 360, 20)
        if np.hypot(stars["x"] - x, stars["y"] - y).min() > 25
    ]
    sky = science.wcs.all_pix2world([free[0], free[-1]], 0)
    return sky.ravel().tolist()


def test_injected_difference_says_so(result):
    """The mask of the difference knows where light was added, to either image."""
    mask = read_difference(result / "difference.fits").exposure.masked_image.mask
    assert (mask & MaskPlane.INJECTED).any()
    assert (mask & MaskPlane.INJECTED_TEMPLATE).any()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--truth", "nothing.parquet"], "cannot read"),
        (["--truth", "{result}/dia_sources.parquet"], "has no column flux"),
        (["--truth", "{result}/../holes.csv"], "has no x in 1 of its 2 rows, the first of them row 2"),
    ],
)
def test_wrong_truth_is_refused_in_a_sentence(pair, result, capsys, words, said):
    """One line that names the file."""
    (pair / "holes.csv").write_text("x,y,flux\n100,100,500\n,200,500\n")
    main(["validate", str(result), "--quiet"])
    assert main(["validate", str(result), *[word.format(result=result) for word in words]]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_truth_may_be_any_table(pair, result, tmp_path, capsys):
    """A CSV file serves as the parquet file does; where there is neither, it is told how to have one."""
    truth = read_parquet(pair / "truth.parquet")["x", "y", "flux"]
    counts = []
    for name in ("truth.csv", "truth.parquet"):
        truth.write(tmp_path / name)
        assert main(["validate", str(result), "--truth", str(tmp_path / name), "--quiet"]) == 0
        counts.append(json.loads((result / "validation.json").read_text())["completeness"])
    assert counts[0] == counts[1]
    bare = tmp_path / "bare"
    shutil.copytree(result, bare, ignore=shutil.ignore_patterns("injected.parquet"))
    assert main(["validate", str(bare)]) == 2
    assert "has no injected.parquet: give --truth" in " ".join(capsys.readouterr().err.split())


def test_folder_without_a_result_is_refused(tmp_path, capsys):
    """It names the file that is missing, or says that there is no folder."""
    assert main(["validate", str(tmp_path)]) == 1
    assert "summary.json" in capsys.readouterr().err
    assert main(["validate", str(tmp_path / "none")]) == 1
    assert f"there is no {tmp_path / 'none'}; a folder of diapipe subtract" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert main(["validate", str(tmp_path / "file")]) == 1
    assert f"{tmp_path / 'file'} is a file; a folder of diapipe subtract" in capsys.readouterr().err


def test_truth_without_rows_tells_only_of_what_is_false(result, tmp_path, capsys):
    """Nothing can be judged by nothing, unless it says that nothing changed."""
    (tmp_path / "none.csv").write_text("x,y,flux\n")
    words = ["validate", str(result), "--truth", str(tmp_path / "none.csv"), "--out", str(tmp_path / "out"), "--quiet"]
    assert main(words) == 1
    assert "none.csv has no rows" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert main([*words, "--truth-is-all"]) == 0
    numbers = json.loads((tmp_path / "out" / "validation.json").read_text())
    assert numbers["purity"]["all"]["n_of"] == 0
    assert numbers["purity"]["all"]["n"] > 0


def test_a_survey_with_nothing_in_it_is_not_judged(tmp_path, capsys, monkeypatch):
    """A catalogue of which no visit has a source tells nothing, and no grade of dashes is written."""
    from diapipe.tasks import injection

    empty = Judged(
        truth=Table(), sources=Table(), area_deg2=1.0, pixel_scale_arcsec=0.2, n_expected_noise=0.0, name="v", band="r"
    )
    monkeypatch.setattr(injection, "judged_survey", lambda repo, *, output: ([empty], 3))
    (tmp_path / "butler.yaml").write_text("")
    assert main(["validate", str(tmp_path), "--output", "mine", "--out", str(tmp_path / "out")]) == 1
    assert "no source was put into the 3 images of mine" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_tables_of_others_are_left_alone(pair, result, tmp_path, capsys):
    """A folder of a simulated pair has a stars.parquet too; numbers of an earlier validation are replaced."""
    folder = tmp_path / "both"
    folder.mkdir()
    for path in (*(result / name for name in OUR_FILES), pair / "stars.parquet"):
        if path.exists():
            shutil.copy(path, folder)
    assert main(["validate", str(folder), "--quiet"]) == 2
    assert "holds stars.parquet, which is no result of diapipe" in " ".join(capsys.readouterr().err.split())
    assert (folder / "stars.parquet").read_bytes() == (pair / "stars.parquet").read_bytes()
    for _ in range(2):
        assert main(["validate", str(folder), "--out", str(tmp_path / "numbers"), "--quiet"]) == 0
    assert main(["validate", str(folder), "--overwrite", "--quiet"]) == 0
    assert (folder / "stars.parquet").read_bytes() != (pair / "stars.parquet").read_bytes()
