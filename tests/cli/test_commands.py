"""The commands from the outside: exit status, one sentence, files all there or not at all."""

import errno
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from astropy.io import fits

import diapipe
from diapipe.cli.first_use import NOTICE
from diapipe.cli.main import main
from diapipe.cli.truth import simulated, write_truth
from diapipe.flow import difference_pair
from diapipe.io import read_difference, read_exposure, read_parquet

FILES = ["dia_sources.parquet", "difference.fits", "report.html", "summary.json"]


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Folder with a simulated pair."""
    folder = tmp_path_factory.mktemp("pair")
    write_truth(simulated(size=400, seed=4), folder)
    return folder


@pytest.fixture(scope="module")
def result(pair, tmp_path_factory):
    """Folder with the result of the pair, optional images and all."""
    out = tmp_path_factory.mktemp("out") / "result"
    words = ["subtract", str(pair / "science.fits"), str(pair / "template.fits"), "--out", str(out)]
    assert main([*words, "--write", "matched_template", "--write", "score", "--quiet"]) == 0
    return out


@pytest.fixture(scope="module")
def computed(pair):
    """The difference of the pair, in memory."""
    return difference_pair(read_exposure(pair / "science.fits"), read_exposure(pair / "template.fits"))


@pytest.fixture
def at_once(computed, monkeypatch):
    """The science done already: for tests of what is done with it."""
    monkeypatch.setattr("diapipe.cli.pair.difference_pair", lambda *_args, **_keywords: computed)


def run(capsys, *words):
    """Exit status, stdout, stderr."""
    status = main([str(word) for word in words])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def one_sentence(text):
    """The only line of stderr, without progress and the notice of a first use."""
    lines = [line for line in text.splitlines() if line and " s  " not in line and line != NOTICE]
    assert len(lines) == 1
    assert lines[0].startswith("diapipe: ")
    assert "Traceback" not in text
    return lines[0]


def test_the_result_is_four_files_and_those_asked_for(result):
    assert sorted(path.name for path in result.iterdir()) == sorted([*FILES, "matched_template.fits", "score.fits"])


def test_the_summary_is_strict_and_says_what_was_read(result, pair):
    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    summary = json.loads((result / "summary.json").read_text(), parse_constant=refuse)
    assert summary["inputs"]["science"]["path"] == str(pair / "science.fits")
    assert summary["versions"]["diapipe"] == diapipe.__version__
    assert summary["configuration"]["matcher"]["convolve"] == "auto"
    assert {"read", "write", "page"} & set(summary["seconds"])
    assert summary["convolved"] == "template"


def test_the_files_agree_with_each_other(result):
    summary = json.loads((result / "summary.json").read_text())
    sources, difference = read_parquet(result / "dia_sources.parquet"), read_difference(result / "difference.fits")
    assert len(sources) == summary["counts"]["dia_sources"]
    assert sources.meta["flux_unit"] == summary["flux_unit"] == str(sources["psfFlux"].unit)
    assert f"fluxes in {summary['flux_unit']}" in " ".join((result / "report.html").read_text().split())
    assert summary["pixel_unit"] == summary["background"]["unit"]
    assert summary["flux_unit"] == summary["depth"]["unit"]
    assert difference.convolved == summary["convolved"]
    assert difference.exposure.box.width == summary["science"]["width"]
    assert summary["science"]["name"] in (result / "report.html").read_text()


@pytest.mark.usefixtures("at_once")
def test_a_second_run_replaces_the_first_and_says_so(pair, tmp_path, capsys):
    out = tmp_path / "result"
    words = ("subtract", pair / "science.fits", pair / "template.fits", "--out", out, "--no-report")
    status, said, log = run(capsys, *words, "--write", "score")
    assert (status, "replaced" in said) == (0, False)
    assert "write images and catalogue" in log
    status, said, _ = run(capsys, *words)
    assert (status, "was replaced" in said, "Still of that one" in said) == (0, True, False)
    assert sorted(path.name for path in out.iterdir()) == sorted(set(FILES) - {"report.html"})
    assert [path.name for path in tmp_path.iterdir()] == ["result"]
    (out / "validation.json").write_text("{}")
    status, said, _ = run(capsys, *words)
    assert (status, "Still of that one: validation.json;" in said) == (0, True)


@pytest.mark.usefixtures("at_once")
def test_quiet_says_nothing(pair, tmp_path, capsys):
    words = ("subtract", pair / "science.fits", pair / "template.fits", "--out", tmp_path / "r", "--no-report")
    assert run(capsys, *words, "--quiet") == (0, "", "")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--kernel-size", "20"], "20 is not odd and at least 3; a kernel has a middle pixel, so give 21"),
        (["--method", "magic"], "no way to subtract is called 'magic'; choose one of al, delta, psf, zogy"),
        (["--threshold", "-1"], "-1 is not positive"),
        (["--read-noise", "-5"], "-5 is not 0 or positive"),
        (["--convolve", "both"], "'both' is not one of 'auto', 'template', 'science'"),
        (["--threads", "0"], "0 is not in the range"),
        (["--frobnicate"], "no such option"),
        (["--zero-point", "nan"], "nan is not a finite number"),
        (["--template-zero-point", "inf"], "inf is not a finite number"),
    ],
)
def test_wrong_use_is_one_sentence_and_status_2(pair, tmp_path, capsys, words, sentence):
    status, _, err = run(
        capsys, "subtract", pair / "science.fits", pair / "template.fits", "--out", tmp_path / "r", *words
    )
    assert status == 2
    assert sentence in one_sentence(err)
    assert list(tmp_path.iterdir()) == []


def test_missing_words_are_status_2(capsys):
    for words in (["subtract"], ["subtract", "a.fits", "b.fits"], ["frobnicate"]):
        status, _, err = run(capsys, *words)
        assert status == 2
        assert "--help)" in one_sentence(err)


def test_help_and_version_are_status_0(capsys):
    assert run(capsys, "--version")[:2] == (0, f"diapipe, version {diapipe.__version__}\n")
    for words in (["--help"], ["subtract", "-h"], ["demo", "--help"]):
        status, out, _ = run(capsys, *words)
        assert status == 0
        assert "Usage: diapipe" in out


@pytest.mark.parametrize("command", ["simulate", "demo"])
def test_a_negative_seed_is_wrong_use(command, tmp_path, capsys):
    status, _, err = run(capsys, command, "--out", tmp_path / "s", "--seed", -1)
    assert status == 2
    assert "-1 is not in the range" in one_sentence(err)


def test_no_words_at_all_show_the_help_as_it_is(capsys):
    """Line by line, on the error stream: it was no command."""
    status, out, err = run(capsys)
    assert (status, out) == (2, "")
    assert err.splitlines()[0].startswith("Usage: diapipe")
    assert "  subtract  " in err
    assert err == run(capsys, "--help")[1]


def test_a_wrong_setting_is_status_2(pair, tmp_path, capsys):
    config = tmp_path / "c.toml"
    config.write_text("[matcher]\nsize = 3\n")
    words = ("subtract", pair / "science.fits", pair / "template.fits", "--out", tmp_path / "r", "--config", config)
    status, _, err = run(capsys, *words)
    assert status == 2
    assert "[matcher] has no setting 'size'; there are" in one_sentence(err)


def test_a_missing_file_is_one_sentence_and_status_1(pair, tmp_path, capsys):
    status, _, err = run(capsys, "subtract", tmp_path / "none.fits", pair / "template.fits", "--out", tmp_path / "r")
    assert status == 1
    assert "cannot difference none.fits: " in one_sentence(err)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_fits_is_one_sentence_and_status_1(pair, tmp_path, capsys):
    (tmp_path / "text.fits").write_text("no FITS")
    status, _, err = run(capsys, "subtract", pair / "science.fits", tmp_path / "text.fits", "--out", tmp_path / "r")
    assert status == 1
    assert "text.fits" in one_sentence(err)
    assert [path.name for path in tmp_path.iterdir()] == ["text.fits"]


def test_data_that_cannot_be_differenced_are_one_sentence_and_status_1(pair, tmp_path, capsys, rng):
    """An empty sky has no stars to match on."""
    fits.writeto(tmp_path / "empty.fits", rng.normal(100, 5, (200, 200)).astype(np.float32))
    status, _, err = run(
        capsys, "subtract", tmp_path / "empty.fits", tmp_path / "empty.fits", "--out", tmp_path / "r", "--gain", 1.5
    )
    assert status == 1
    assert "cannot difference empty.fits: " in one_sentence(err)
    assert [path.name for path in tmp_path.iterdir()] == ["empty.fits"]


def test_a_result_never_replaces_its_input(pair, tmp_path, capsys):
    status, _, err = run(capsys, "subtract", tmp_path / "difference.fits", pair / "template.fits", "--out", tmp_path)
    assert status == 2
    assert "would replace the input" in one_sentence(err)


def test_a_folder_that_cannot_be_made_is_one_sentence_and_status_1(pair, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    status, _, err = run(
        capsys, "subtract", pair / "science.fits", pair / "template.fits", "--out", tmp_path / "file" / "result"
    )
    assert status == 1
    assert "cannot write the results to" in one_sentence(err)


@pytest.mark.parametrize("product", ["write_difference", "write_parquet", "write_text"])
@pytest.mark.usefixtures("at_once")
def test_a_full_disk_leaves_nothing(pair, tmp_path, capsys, monkeypatch, product):
    def full(*_args, **_keywords):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(f"diapipe.cli.products.{product}", full)
    status, _, err = run(capsys, "subtract", pair / "science.fits", pair / "template.fits", "--out", tmp_path / "r")
    assert status == 1
    assert "the disk is full" in one_sentence(err)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("failure", "status", "sentence"),
    [
        (KeyboardInterrupt(), 130, "interrupted; nothing was written"),
        (ZeroDivisionError("x / 0"), 3, "please report it"),
        (MemoryError(), 1, "not enough memory"),
    ],
)
def test_whatever_happens_ends_in_one_sentence(pair, tmp_path, capsys, monkeypatch, failure, status, sentence):
    def fail(*_args, **_keywords):
        raise failure

    monkeypatch.setattr("diapipe.cli.pair.difference_pair", fail)
    found, _, err = run(capsys, "subtract", pair / "science.fits", pair / "template.fits", "--out", tmp_path / "r")
    assert found == status
    assert sentence in one_sentence(err)
    assert list(tmp_path.iterdir()) == []


def test_verbose_shows_where_a_defect_is(pair, tmp_path, capsys, monkeypatch):
    def fail(*_args, **_keywords):
        raise ZeroDivisionError("x / 0")

    monkeypatch.setattr("diapipe.cli.pair.difference_pair", fail)
    words = ("subtract", pair / "science.fits", pair / "template.fits", "--out", tmp_path / "r", "--verbose")
    status, _, err = run(capsys, *words)
    assert status == 3
    assert "Traceback" in err


@pytest.mark.e2e
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_leave_nothing(pair, tmp_path, number, status):
    """A real process, stopped while it works."""
    words = ["subtract", str(pair / "science.fits"), str(pair / "template.fits"), "--out", str(tmp_path / "r")]
    with subprocess.Popen([sys.executable, "-m", "diapipe", *words], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        process.stderr.readline()
        assert any(path.name.startswith(".r.partial") for path in tmp_path.iterdir())
        process.send_signal(number)
        process.stderr.read()
    assert process.returncode == status
    assert list(tmp_path.iterdir()) == []


@pytest.mark.e2e
def test_help_answers_at_once():
    """Under half a second of CPU, the interpreter's start included: nothing heavy is imported."""
    before = os.times()
    subprocess.run([sys.executable, "-m", "diapipe", "--help"], check=True, capture_output=True)
    after = os.times()
    assert after.children_user + after.children_system - before.children_user - before.children_system < 0.5
    code = "import sys, diapipe.cli.main; print([m for m in ('numpy', 'astropy', 'numba', 'rich') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.e2e
def test_a_run_waits_for_no_package_that_it_does_not_use():
    """What only some commands need, or what a dependency would load beside what is asked of it, stays unloaded."""
    code = "import sys, diapipe.cli.pair; print([m for m in sys.argv[1:] if m in sys.modules])"
    heavy = "scipy.optimize scipy.interpolate scipy.signal scipy.stats matplotlib jinja2 pandas rich diapipe.simulate"
    found = subprocess.run([sys.executable, "-c", code, *heavy.split()], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.e2e
def test_pyarrow_does_not_bring_pandas(tmp_path):
    """It imports that wherever it is installed, for a quarter of a second, if it is given a chance."""
    code = (
        "import sys; from astropy.table import Table; from diapipe.io import write_parquet;"
        "write_parquet(Table({'x': [1.0, 2.0], 'name': ['a', 'b'], 'good': [True, False]}), sys.argv[1]);"
        "print('pandas' in sys.modules)"
    )
    path = tmp_path / "t.parquet"
    found = subprocess.run([sys.executable, "-c", code, path], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "False"


def test_simulated_files_are_read_back(pair, tmp_path, capsys):
    status, out, _ = run(capsys, "simulate", "--out", tmp_path / "s", "--size", 128, "--seed", 2)
    assert status == 0
    assert "Next: diapipe subtract" in out
    assert sorted(p.name for p in (tmp_path / "s").iterdir()) == [
        "science.fits", "stars.parquet", "template.fits", "truth.parquet",
    ]  # fmt: skip


@pytest.mark.parametrize(("command", "below"), [(["simulate"], ""), (["demo", "--pair"], "images")])
def test_a_simulation_replaces_no_file_of_others(command, below, tmp_path, capsys):
    """A science.fits that diapipe did not make stays as it is, until --overwrite."""
    (tmp_path / below).mkdir(exist_ok=True)
    theirs = tmp_path / below / "science.fits"
    theirs.write_text("three nights at the telescope")
    status, _, err = run(capsys, *command, "--out", tmp_path, "--size", 256)
    assert status == 2
    assert "holds science.fits, which is no result of diapipe" in one_sentence(err)
    assert theirs.read_text() == "three nights at the telescope"
    if command == ["simulate"]:
        assert run(capsys, *command, "--out", tmp_path, "--size", 128, "--overwrite")[0] == 0
        assert run(capsys, *command, "--out", tmp_path, "--size", 128)[0] == 0


def test_an_interrupted_demo_leaves_nothing(tmp_path, capsys, monkeypatch):
    """As the sentence says: the images that were made for it are gone too."""

    def stop(*_args, **_keywords):
        raise KeyboardInterrupt

    monkeypatch.setattr("diapipe.cli.pair.difference_pair", stop)
    status, _, err = run(capsys, "demo", "--pair", "--out", tmp_path / "demo", "--size", 256)
    assert (status, err.splitlines()[-1]) == (130, "diapipe: interrupted; nothing was written")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("at_once")
def test_the_files_of_a_demo_lie_where_its_summary_says(tmp_path, capsys):
    assert run(capsys, "demo", "--pair", "--out", tmp_path / "demo", "--size", 256)[0] == 0
    summary = json.loads((tmp_path / "demo" / "summary.json").read_text())
    assert summary["inputs"]["science"]["path"] == str(tmp_path / "demo" / "images" / "science.fits")
    assert sorted(path.name for path in (tmp_path / "demo").iterdir()) == sorted([*FILES, "images"])
    assert len(list((tmp_path / "demo" / "images").iterdir())) == 4


@pytest.mark.slow
def test_the_demo_recovers_the_truth(tmp_path, capsys):
    begun = time.process_time()
    status, out, _ = run(capsys, "demo", "--pair", "--out", tmp_path / "demo", "--size", 512)
    assert status == 0
    assert "Rubin DP1" in out
    assert sorted(path.name for path in (tmp_path / "demo").iterdir()) == sorted([*FILES, "images"])
    assert time.process_time() - begun < 60


def test_a_simulated_survey_is_written_once_and_replaced_on_request(tmp_path, capsys):
    """Forty small exposures; another seed is refused by name, and taken with --overwrite; options of a pair are not."""
    folder = tmp_path / "survey"
    asked = ("simulate", "--survey", "--size", 128, "--out", folder)
    status, out, _ = run(capsys, *asked, "--seed", 2)
    assert status == 0
    assert "40 exposures" in out
    assert f"Next: diapipe init {folder / 'repo'}" in out
    assert len(list((folder / "exposures").glob("*.fits"))) == 40
    status, _, err = run(capsys, *asked, "--seed", 3)
    assert status == 2
    assert "another survey, of seed 2" in err
    assert run(capsys, *asked, "--seed", 3, "--overwrite")[0] == 0
    status, _, err = run(capsys, *asked, "--depth", 2)
    assert status == 2
    assert "are of a pair" in err
