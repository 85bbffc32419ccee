"""``diapipe report FOLDER``: pages from the files of a result, all there or not at all."""

import json
import re
import shutil

import pytest

from diapipe.cli.main import main
from diapipe.cli.truth import simulated, write_truth
from diapipe.io import read_parquet, write_parquet
from diapipe.report import pair_report
from diapipe.report.folder import is_repository

PARTS = ["assets", "cutouts", "data", "index.html"]


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """Folder with a simulated pair and its result."""
    folder = tmp_path_factory.mktemp("pair")
    write_truth(simulated(size=400, seed=4), folder)
    words = ["subtract", str(folder / "science.fits"), str(folder / "template.fits"), "--out", str(folder / "result")]
    assert main([*words, "--write", "matched_template", "--quiet"]) == 0
    return folder / "result"


def run(capsys, *words):
    """Status, and what was said on both streams."""
    status = main([str(word) for word in words])
    said = capsys.readouterr()
    return status, said.out, " ".join(said.err.split())


def listed(report):
    """What the list of a report holds."""
    text = (report / "data" / "sources.js").read_text(encoding="utf-8")
    return json.loads(re.fullmatch(r"diapipe\.add\(\"sources\",(.*)\);\n", text)[1])


def test_both_pages_are_made_from_the_files(result, capsys):
    """The one-file page as it was, and a report with every source of the catalogue."""
    before = (result / "report.html").read_text()
    (result / "report.html").unlink()
    status, out, _ = run(capsys, "report", result)
    assert status == 0
    assert str(result / "report.html") in out
    assert str(result / "report" / "index.html") in out
    after = (result / "report.html").read_text()
    assert "Matched template" in after
    assert after.count("<tr") == before.count("<tr")
    assert sorted(path.name for path in (result / "report").iterdir()) == PARTS
    assert set(listed(result / "report")["ids"]) == {
        str(i) for i in read_parquet(result / "dia_sources.parquet")["diaSourceId"]
    }


def test_a_report_needs_nothing_beyond_its_folder(result, capsys, tmp_path):
    """Every address in it is one of its files or lies in the page itself."""
    assert run(capsys, "report", result, "--out", tmp_path / "elsewhere", "--quiet") == (0, "", "")
    page = (tmp_path / "elsewhere" / "index.html").read_text()
    addresses = re.findall(r'(?:src|href)="([^"]*)"|url\(([^)]*)\)', page)
    for address in filter(None, (a or b for a, b in addresses)):
        assert address.startswith(("data:", "#")) or (tmp_path / "elsewhere" / address).is_file(), address
    assert "http" not in page


def test_a_report_made_anew_replaces_the_earlier_one(result, capsys, tmp_path):
    out = tmp_path / "report"
    assert run(capsys, "report", result, "--out", out)[0] == 0
    (out / "cutouts" / "sources-99.png").write_text("of an earlier result")
    assert run(capsys, "report", result, "--out", out)[0] == 0
    assert not (out / "cutouts" / "sources-99.png").exists()
    assert sorted(path.name for path in out.iterdir()) == PARTS


def test_what_is_not_ours_stays(result, capsys, tmp_path):
    (tmp_path / "index.html").write_text("mine")
    status, _, err = run(capsys, "report", result, "--out", tmp_path)
    assert status == 2
    assert f"{tmp_path} holds index.html, which is no result of diapipe" in err
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]
    assert run(capsys, "report", result, "--out", tmp_path, "--overwrite")[0] == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == PARTS


def test_a_failure_leaves_the_earlier_report_whole(result, capsys, tmp_path, monkeypatch):
    out = tmp_path / "report"
    assert run(capsys, "report", result, "--out", out)[0] == 0
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pair_report, "values_of_pair", full)
    status, _, err = run(capsys, "report", result, "--out", out)
    assert status == 1
    assert "the disk is full" in err
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_a_folder_without_a_result_is_told(capsys, tmp_path):
    status, _, err = run(capsys, "report", tmp_path)
    assert status == 1
    assert "a folder of diapipe subtract or, with butler.yaml, a repository is needed" in err
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_result_is_told(result, capsys, tmp_path):
    """What its summary or its catalogue lost is named, by both commands that read a result."""
    damaged = tmp_path / "damaged"
    shutil.copytree(result, damaged, ignore=shutil.ignore_patterns("report*"))
    sources = read_parquet(damaged / "dia_sources.parquet")
    sources.remove_columns(["x", "dp_bad"])
    write_parquet(sources, damaged / "dia_sources.parquet")
    for words in (["report"], ["validate", "--truth", result.parent / "truth.parquet"]):
        status, _, err = run(capsys, *words, damaged)
        assert (status, "has no column x, dp_bad" in err) == (1, True)
    summary = json.loads((damaged / "summary.json").read_text())
    (damaged / "summary.json").write_text(json.dumps({"schema": summary["schema"], "noise": {}}))
    for words in (["report"], ["validate", "--truth", result.parent / "truth.parquet"]):
        status, _, err = run(capsys, *words, damaged)
        assert (status, "is damaged: it has no science, flux_unit" in err) == (1, True)


def test_without_the_science_image_the_difference_is_shown_alone(result, capsys, tmp_path):
    """And that is said."""
    moved = tmp_path / "moved"
    shutil.copytree(result, moved, ignore=shutil.ignore_patterns("report*", "matched_template.fits"))
    summary = json.loads((moved / "summary.json").read_text())
    summary["inputs"]["science"]["path"] = str(tmp_path / "gone.fits")
    (moved / "summary.json").write_text(json.dumps(summary))
    status, _, err = run(capsys, "report", moved)
    assert status == 0
    assert "the science image is no longer where it was" in err
    assert listed(moved / "report")["triplets"]["planes"] == ["difference"]


def test_report_and_validate_tell_a_repository_alike(tmp_path):
    """A folder with a butler.yaml, a file of configuration of either ending, an address; not a folder of a result."""
    (tmp_path / "butler.yaml").write_text("")
    for place in (tmp_path, tmp_path / "butler.yaml", str(tmp_path / "mine.yml"), "https://host/repo"):
        assert is_repository(place)
    assert not is_repository(tmp_path / "result")
