"""A repository in PostgreSQL is one as any other; what is wrong with a database is told in a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.same_objects import assert_same
from tests.tasks.small_repository import DETECTORS, SKYMAP, VISITS, data_id, make_small_repository, visit_exposure

from diapipe.cli.main import main
from diapipe.errors import InputError, UsageError
from diapipe.images import Box
from diapipe.tasks.repository import create_repository


def test_a_repository_in_postgres(tmp_path: Path, postgres_database: str) -> None:
    """Records, regions joined on the sky, images whole and cut out: all as in SQLite."""
    made = make_small_repository(tmp_path / "survey", db=postgres_database)
    assert not (tmp_path / "survey" / "gen3.sqlite3").exists()
    box = Box(3, 9, 20, 50)
    with made.opened() as butler:
        assert len(butler.query_datasets("visit_image", collections=made.run)) == len(VISITS) * len(DETECTORS)
        found = butler.get("visit_image", data_id(11, 0), collections=made.run, parameters={"bbox": box})
        with butler.query() as query:
            joined = set(query.where(skymap=SKYMAP).data_ids(["visit", "detector", "patch"]))
    assert_same(visit_exposure(11, 0)[box].masked_image, found.masked_image)
    with make_small_repository(tmp_path / "other", with_images=False).opened() as butler, butler.query() as query:
        assert set(query.where(skymap=SKYMAP).data_ids(["visit", "detector", "patch"])) == joined


def test_a_database_holds_one_repository(
    tmp_path: Path, postgres_database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second is refused with exit status 2 and one sentence, and makes no folder."""
    assert main(["init", str(tmp_path / "one"), "--db", postgres_database, "--quiet"]) == 0
    assert main(["init", str(tmp_path / "two"), "--db", postgres_database]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "holds a repository already" in said
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_who_may_not_enable_an_extension_is_told_who_may(tmp_path: Path, postgres_database: str) -> None:
    """btree_gist needs an owner's right; the sentence has the line that an administrator runs."""
    psycopg = pytest.importorskip("psycopg")
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        connection.execute("CREATE ROLE guest LOGIN")
    address = postgres_database.replace("diapipe@", "guest@")
    with pytest.raises(InputError, match=r"lacks the extension btree_gist, and .* `CREATE EXTENSION btree_gist`"):
        create_repository(tmp_path / "survey", db=address)
    assert not list(tmp_path.iterdir())


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    """Told by the address and the reason, with no folder left."""
    address = f"postgresql://diapipe@/survey?host={tmp_path}"
    with pytest.raises(InputError, match=r"cannot use the database postgresql://.*: connection"):
        create_repository(tmp_path / "survey", db=address)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("survey", "'survey' is no address of a PostgreSQL database"),
        ("mysql://me@there/survey", "no address of a PostgreSQL database"),
        ("postgresql://me:secret@there/survey", r"there/survey holds a password, .*\.pgpass"),
    ],
)
def test_an_address_that_cannot_be_used(tmp_path: Path, address: str, sentence: str) -> None:
    """A password is neither stored nor repeated."""
    with pytest.raises(UsageError, match=sentence) as caught:
        create_repository(tmp_path / "survey", db=address)
    assert "secret" not in str(caught.value)
