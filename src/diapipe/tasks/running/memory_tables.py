"""Tables of a datastore in dictionaries: what one process needs to know of its datasets, without a database.

The quantum-backed butler keeps these tables in an SQLite database in memory, which costs a third of what a quantum
costs beside its task. They hold a row a dataset and are asked by identifier.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Self

from lsst.daf.butler import DimensionUniverse
from lsst.daf.butler.ddl import TableSpec
from lsst.daf.butler.registry.bridge.ephemeral import EphemeralDatastoreRegistryBridge
from lsst.daf.butler.registry.interfaces import (
    DatasetIdRef,
    DatastoreRegistryBridge,
    DatastoreRegistryBridgeManager,
    OpaqueTableStorage,
    OpaqueTableStorageManager,
    VersionTuple,
)

type Row = Mapping[str, Any]

_KEY = "dataset_id"


class MemoryTable(OpaqueTableStorage):
    """Rows by dataset.

    Parameters
    ----------
    name
        Of the table.
    keys
        Columns that tell a row from all others, the identifier of the dataset among them.
    """

    def __init__(self, name: str, keys: Iterable[str]) -> None:
        super().__init__(name)
        self._keys = tuple(keys)
        self._rows: dict[Any, list[Row]] = {}

    def insert(self, *data: dict[str, Any], transaction: object = None) -> None:
        """Add rows that are not there."""
        for row in data:
            self._rows.setdefault(row[_KEY], []).append(row)

    def ensure(self, *data: dict[str, Any], transaction: object = None) -> None:
        """Add those that are not there."""
        self.insert(*(row for row in data if not any(self._same(row))))

    def replace(self, *data: dict[str, Any], transaction: object = None) -> None:
        """Add rows, in place of those that are there."""
        self.delete(self._keys, *data)
        self.insert(*data)

    def fetch(self, **where: Any) -> Iterator[Row]:
        """The rows whose columns have a value, one of several, or one that begins so (``text%``)."""
        wanted = where.pop(_KEY, None)
        if wanted is None:
            ids: Iterable[Any] = list(self._rows)
        else:
            ids = set(wanted) if isinstance(wanted, list | tuple | set) else [wanted]
        found = [row for name in ids for row in self._rows.get(name, ())]
        yield from (row for row in found if all(_fits(row[column], value) for column, value in where.items()))

    def fetch_batches(self, **where: Any) -> Iterator[Sequence[Row]]:
        """The same, all at once."""
        yield list(self.fetch(**where))

    def delete(self, columns: Iterable[str], *rows: Row) -> None:
        """Remove the rows that have the same values in some columns."""
        names = list(columns)
        for row in rows:
            for gone in list(self.fetch(**{name: row[name] for name in names})):
                left = [kept for kept in self._rows[gone[_KEY]] if kept is not gone]
                if left:
                    self._rows[gone[_KEY]] = left
                else:
                    del self._rows[gone[_KEY]]

    def _same(self, row: Row) -> Iterator[Row]:
        return self.fetch(**{name: row[name] for name in self._keys})


def _fits(value: Any, wanted: Any) -> bool:
    """Whether a value is the one wanted."""
    if isinstance(wanted, list | tuple | set):
        return value in wanted
    if isinstance(wanted, str) and wanted.endswith("%"):
        return str(value).startswith(wanted[:-1])
    return bool(value == wanted)


class MemoryTables(OpaqueTableStorageManager):
    """All tables of a datastore."""

    def __init__(self) -> None:
        super().__init__()
        self._tables: dict[str, MemoryTable] = {}

    @classmethod
    def initialize(
        cls, db: object, context: object, registry_schema_version: VersionTuple | None = None
    ) -> MemoryTables:
        """An empty one; no database is used."""
        return cls()

    def get(self, name: str) -> MemoryTable | None:
        """A table."""
        return self._tables.get(name)

    def register(self, name: str, spec: TableSpec) -> MemoryTable:
        """A table, made where it is not there."""
        keys = [field.name for field in spec.fields if field.primaryKey]
        return self._tables.setdefault(name, MemoryTable(name, keys))

    def clone(self, db: object) -> Self:
        """The same: there is no connection of its own."""
        return self

    @classmethod
    def currentVersions(cls) -> list[VersionTuple]:
        """None is written anywhere."""
        return []


class MemoryBridges(DatastoreRegistryBridgeManager):
    """Which datasets a datastore has, as sets."""

    def __init__(self, *, opaque: OpaqueTableStorageManager, universe: DimensionUniverse) -> None:
        super().__init__(opaque=opaque, universe=universe)
        self._bridges: dict[str, EphemeralDatastoreRegistryBridge] = {}

    @classmethod
    def initialize(
        cls,
        db: object,
        context: object,
        *,
        opaque: OpaqueTableStorageManager,
        datasets: object,
        universe: DimensionUniverse,
        registry_schema_version: VersionTuple | None = None,
    ) -> MemoryBridges:
        """An empty one; no database is used."""
        return cls(opaque=opaque, universe=universe)

    def register(self, name: str, *, ephemeral: bool = True) -> DatastoreRegistryBridge:
        """The set of a datastore."""
        return self._bridges.setdefault(name, EphemeralDatastoreRegistryBridge(name))

    def findDatastores(self, ref: DatasetIdRef) -> Iterable[str]:
        """The datastores that have a dataset."""
        return [name for name, bridge in self._bridges.items() if ref in bridge]

    def refresh(self) -> None:
        """Nothing: nobody else writes here."""

    def clone(self, *, db: object, opaque: OpaqueTableStorageManager) -> Self:
        """The same: there is no connection of its own."""
        return self

    @classmethod
    def currentVersions(cls) -> list[VersionTuple]:
        """None is written anywhere."""
        return []
