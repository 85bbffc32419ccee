"""A repository is made whole or not at all, and opened or refused in one sentence."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from lsst.daf.butler import Butler
from lsst.pipe.base import Pipeline

from diapipe.cli.main import main
from diapipe.cli.run import survey_pipeline
from diapipe.errors import InputError, UsageError, WriteError
from diapipe.tasks.repository import CONFIG_FOLDER, create_repository, open_repository
from diapipe.tasks.repository import creation as module


@pytest.mark.parametrize("name", ["survey", "survey.1"])
def test_init_makes_a_repository_that_the_butler_opens(tmp_path: Path, name: str) -> None:
    """Also in a folder with a dot in its name, which the Butler would take for a file format."""
    assert main(["init", str(tmp_path / name), "--quiet"]) == 0
    with Butler.from_config(str(tmp_path / name)) as butler:
        assert butler.storageClasses.getStorageClass("DiaExposure").pytype.__name__ == "Exposure"
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_init_refuses_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A second init leaves the repository as it is and exits with 2 and one sentence."""
    root = tmp_path / "survey"
    assert main(["init", str(root), "--quiet"]) == 0
    before = (root / "butler.yaml").read_text()
    assert main(["init", str(root)]) == 2
    assert capsys.readouterr().err == f"diapipe: {root} is a repository already; choose another folder\n"
    assert (root / "butler.yaml").read_text() == before


def test_init_refuses_a_folder_with_something_in_it(tmp_path: Path) -> None:
    """A repository gets a folder of its own; an empty one will do."""
    (tmp_path / "night1.fits").touch()
    with pytest.raises(UsageError, match="not an empty folder"):
        create_repository(tmp_path)
    (tmp_path / "empty").mkdir()
    create_repository(tmp_path / "empty")


def test_init_needs_the_folder_above(tmp_path: Path) -> None:
    """A path mistyped makes no tree of folders."""
    with pytest.raises(UsageError, match="does not exist"):
        create_repository(tmp_path / "nights" / "survey")


def test_nothing_is_left_of_a_repository_that_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full half-way leaves no folder behind."""

    def fail(root: str, **_: object) -> None:
        Path(root).mkdir()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.Butler, "makeRepo", fail)
    with pytest.raises(WriteError, match="No space left"):
        create_repository(tmp_path / "survey")
    assert not list(tmp_path.iterdir())


def test_what_is_no_repository_is_refused_in_a_sentence(tmp_path: Path) -> None:
    """Missing folder, and folder without a repository."""
    with pytest.raises(UsageError, match="does not exist; `diapipe init"):
        open_repository(tmp_path / "survey")
    with pytest.raises(UsageError, match=r"has no butler\.yaml"):
        open_repository(tmp_path)


def test_a_foreign_repository_is_told_how_to_learn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One made by `butler create` lacks our storage classes until DAF_BUTLER_CONFIG_PATH names our folder."""
    Butler.makeRepo(str(tmp_path / "foreign"))
    with pytest.raises(UsageError, match=r"DAF_BUTLER_CONFIG_PATH to .*config"):
        open_repository(tmp_path / "foreign")
    monkeypatch.setenv("DAF_BUTLER_CONFIG_PATH", str(CONFIG_FOLDER))
    with open_repository(tmp_path / "foreign") as butler:
        assert butler.storageClasses.getStorageClass("DiaDifference").allComponents().keys() >= {"kernel", "psf"}


def test_class_paths_fit_the_repository() -> None:
    """The Butler keeps them in columns of limited width; longer ones fail in PostgreSQL alone."""
    config, pipeline = module.seed(), Pipeline.from_uri(survey_pipeline())
    paths = list(config["datastore", "formatters"].toDict().values())
    paths += [task.task_class_name for task in pipeline.to_graph().tasks.values()]
    assert len(paths) > 5
    assert max(map(len, paths)) <= 64


def test_a_repository_moves_with_its_folder(tmp_path: Path) -> None:
    """Nothing in it says where it stands."""
    root = create_repository(tmp_path / "survey")
    root.rename(tmp_path / "moved")
    assert str(tmp_path) not in (tmp_path / "moved" / "butler.yaml").read_text()
    open_repository(tmp_path / "moved").close()


def test_a_repository_without_its_database_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Lost, damaged, or in PostgreSQL where no server answers: a sentence with the database in it, and no new file."""
    create_repository(tmp_path / "survey")
    database, config = tmp_path / "survey" / "gen3.sqlite3", tmp_path / "survey" / "butler.yaml"
    whole, text = database.read_bytes(), config.read_text()
    database.unlink()
    with pytest.raises(UsageError, match=r"has lost its database: .*/survey/gen3\.sqlite3 is not there"):
        open_repository(tmp_path / "survey", writeable=True)
    assert not database.exists()
    database.write_bytes(whole[:5000])
    with pytest.raises(InputError, match=r"cannot use sqlite:.*gen3\.sqlite3, the database of .*/survey: .*malformed"):
        open_repository(tmp_path / "survey")
    config.write_text(re.sub("db: .*", "db: postgresql://nobody@localhost:1/survey", text))
    with pytest.raises(InputError, match=r"cannot use postgresql://nobody@localhost:1/survey, .*refused"):
        open_repository(tmp_path / "survey")
    assert not capfd.readouterr().err


def test_a_repository_of_another_version_is_refused(tmp_path: Path) -> None:
    """The versions that the database has and that this butler knows are in the sentence; so is a broken butler.yaml."""
    create_repository(tmp_path / "survey")
    with closing(sqlite3.connect(tmp_path / "survey" / "gen3.sqlite3")) as database, database:
        database.execute("UPDATE butler_attributes SET value = '99.0.0' WHERE name LIKE 'version:%datasets%'")
    with pytest.raises(UsageError, match=r"was made by another version of the butler, .*99\.0\.0.*use the"):
        open_repository(tmp_path / "survey")
    (tmp_path / "survey" / "butler.yaml").write_text("registry: [")
    with pytest.raises(UsageError, match=r"the butler\.yaml of .*survey cannot be read: while parsing"):
        open_repository(tmp_path / "survey")


def test_the_next_command_can_be_pasted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also where the path has a space in it."""
    assert main(["init", str(tmp_path / "my survey")]) == 0
    assert f"Next: diapipe ingest '{tmp_path}/my survey' FILES" in capsys.readouterr().out
