"""Tables in memory: they answer as the tables of the middleware in SQLite do."""

from __future__ import annotations

import uuid

import pytest
import sqlalchemy
from lsst.daf.butler import ddl
from lsst.daf.butler.registry.databases.sqlite import SqliteDatabase
from lsst.daf.butler.registry.opaque import ByNameOpaqueTableStorageManager

from diapipe.tasks.running.memory_tables import MemoryTables

SPEC = ddl.TableSpec(
    fields=[
        ddl.FieldSpec("dataset_id", dtype=ddl.GUID, primaryKey=True),
        ddl.FieldSpec("component", dtype=sqlalchemy.String, length=32, primaryKey=True),
        ddl.FieldSpec("path", dtype=sqlalchemy.String, length=256),
    ]
)
ONE, TWO, THREE = (uuid.UUID(int=n) for n in (1, 2, 3))


def row(name, path, component="-"):
    return {"dataset_id": name, "component": component, "path": path}


@pytest.fixture
def tables():
    """The same table in memory and in SQLite."""
    database = SqliteDatabase.fromUri("sqlite:///:memory:", origin=0)
    with database.declareStaticTables(create=True) as context:
        slow = ByNameOpaqueTableStorageManager.initialize(database, context)
        fast = MemoryTables.initialize(database, context)
    yield [manager.register("records", SPEC) for manager in (fast, slow)]
    database.dispose()


def answers(tables, **where):
    """What both say, which must be the same."""
    fast, slow = (
        sorted(tuple(found[name] for name in ("dataset_id", "component", "path")) for found in table.fetch(**where))
        for table in tables
    )
    assert fast == slow
    return fast


def test_rows_are_found_as_in_sqlite(tables):
    """By one identifier, several, a path, the beginning of one, all together and all at once."""
    for table in tables:
        table.insert(row(ONE, "a/one"), row(TWO, "a/two"), row(TWO, "b/two", "wcs"))
    assert len(answers(tables)) == 3
    assert len(answers(tables, dataset_id=TWO)) == 2
    assert len(answers(tables, dataset_id=[ONE, TWO, TWO])) == 3
    assert len(answers(tables, dataset_id={ONE, THREE})) == 1
    assert answers(tables, dataset_id=[]) == []
    assert len(answers(tables, path="a/two")) == 1
    assert len(answers(tables, path="a/%")) == 2
    assert len(answers(tables, dataset_id=TWO, component="wcs")) == 1
    assert len(answers(tables, component=["-", "wcs"], path="b/two")) == 1


def test_rows_are_changed_as_in_sqlite(tables):
    """A row that is there stays where it is ensured, and changes where it is replaced; rows go by some columns."""
    for table in tables:
        table.insert(row(ONE, "a"), row(TWO, "b"), row(TWO, "c", "wcs"))
        table.ensure(row(ONE, "changed"), row(THREE, "d"))
    assert answers(tables, dataset_id=ONE) == [(ONE, "-", "a")]
    for table in tables:
        table.replace(row(ONE, "changed"))
    assert answers(tables, dataset_id=ONE) == [(ONE, "-", "changed")]
    for table in tables:
        table.delete(["dataset_id", "component"], {"dataset_id": TWO, "component": "wcs"})
    assert answers(tables, dataset_id=TWO) == [(TWO, "-", "b")]
    for table in tables:
        table.delete(["dataset_id"], {"dataset_id": TWO}, {"dataset_id": ONE})
    assert answers(tables) == [(THREE, "-", "d")]
