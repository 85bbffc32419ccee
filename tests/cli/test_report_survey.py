"""``diapipe report REPO``: what it makes of a repository, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from astropy.table import Table
from tests.small_survey import SmallSurvey

from diapipe.cli.main import main
from diapipe.tasks import survey_results


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A folder that looks like a repository, and the results that are read from it."""
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo" / "butler.yaml").write_text("")

    @contextmanager
    def opened(repo: str, *, output: str) -> Iterator[SmallSurvey]:
        assert output == "mine"
        yield SmallSurvey(repo=repo, collection=f"diapipe/{output}")

    monkeypatch.setattr(survey_results, "opened_survey", opened)
    return tmp_path / "repo"


def words(repository, *more):
    return ["report", str(repository), "--output", "mine", *map(str, more)]


def test_a_survey_gets_its_report_beside_the_repository(repository, capsys):
    """Made again it takes the place of the earlier one, of which nothing is left."""
    out = repository.with_name("repo-report")
    assert main(words(repository)) == 0
    assert f"Look at the page:    {out / 'index.html'}" in capsys.readouterr().out
    assert (out / "objects" / "303.html").exists()
    page = (out / "index.html").read_text()
    assert "diapipe report" in page
    assert "<title>repo: mine" in page
    assert main(words(repository, "--objects", 1)) == 0
    assert [path.name for path in (out / "objects").iterdir()] == ["101.html"]


@pytest.mark.parametrize("given", [".", "butler.yaml"])
def test_a_report_is_called_as_the_folder_of_the_repository(repository, tmp_path, monkeypatch, given):
    """Whatever leads there."""
    monkeypatch.chdir(repository)
    assert main(["report", given, "--output", "mine", "--out", str(tmp_path / "pages"), "--objects", "0"]) == 0
    assert "<title>repo: mine" in (tmp_path / "pages" / "index.html").read_text()


def test_one_page_is_added_to_a_report(repository, tmp_path, capsys):
    """The other pages stay; without a report a new folder is made."""
    out = tmp_path / "pages"
    assert main(words(repository, "--out", out, "--objects", 0)) == 0
    assert main(words(repository, "--out", out, "--object", 202)) == 0
    assert (out / "objects" / "202.html").exists()
    assert (out / "index.html").exists()
    assert main(words(repository, "--out", tmp_path / "new", "--visit", 4, "--detector", 0)) == 0
    assert str(tmp_path / "new" / "visits" / "visit0004-detector0.html") in capsys.readouterr().out


@pytest.mark.parametrize("file", ["mine.parquet", "mine.csv"])
def test_a_catalogue_stands_beside(repository, tmp_path, file):
    """Of whatever kind a table may be."""
    catalogue = Table({"ra": [150.0022222], "dec": [2.0022222], "name": ["V1 <Cet>"]})
    catalogue.write(tmp_path / file)
    assert main(words(repository, "--out", tmp_path / "p", "--catalogue", tmp_path / file, "--quiet")) == 0
    assert "In the mine: V1 &lt;Cet&gt; (0.00″)" in (tmp_path / "p" / "objects" / "101.html").read_text()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--visit", "4"], "needs both --visit and --detector"),
        (["--visit", "4", "--detector", "0", "--object", "1"], "either --visit and --detector or --object"),
        (["--visit", "99", "--detector", "0"], "has no visit 99, detector 0"),
        (["--visit", "6", "--detector", "1"], "too few stars"),
        (["--object", "5"], "has no object 5"),
    ],
)
def test_what_cannot_be_made_is_told(repository, tmp_path, capsys, more, said):
    """In a sentence; no folder is left of what was begun."""
    assert main(words(repository, "--out", tmp_path / "p" / "q", *more)) != 0
    assert said in capsys.readouterr().err
    assert not (tmp_path / "p").exists()


def test_a_catalogue_that_cannot_be_used_is_named(repository, tmp_path, capsys):
    """As the file that it is."""
    Table({"foo": [1.0]}).write(tmp_path / "mine.csv")
    assert main(words(repository, "--out", tmp_path / "p", "--catalogue", tmp_path / "mine.csv")) == 1
    assert "mine.csv has no column ra, dec, name; it has foo" in capsys.readouterr().err


@pytest.mark.parametrize("page", [["--visit", "4", "--detector", "0"], ["--object", "202"]])
def test_a_folder_that_cannot_be_made_is_told(repository, tmp_path, capsys, page):
    """One page alone says so as the whole report does, and as no defect."""
    (tmp_path / "file").write_text("")
    assert main(words(repository, "--out", tmp_path / "file" / "p", *page)) == 1
    assert f"cannot write the results to {tmp_path / 'file' / 'p'}" in " ".join(capsys.readouterr().err.split())


def test_folders_of_others_are_left_alone(repository, tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "index.html").write_text("my home page")
    assert main(words(repository, "--out", tmp_path / "mine")) == 2
    assert "no result of diapipe" in capsys.readouterr().err
    assert (tmp_path / "mine" / "index.html").read_text() == "my home page"


def test_options_of_a_survey_are_refused_for_a_pair(tmp_path, capsys):
    assert main(["report", str(tmp_path), "--object", "7"]) == 2
    assert "--object is for a repository" in capsys.readouterr().err
