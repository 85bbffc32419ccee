"""DataRef: a detector of a visit in a repository, as older callers address it: by names of datasets."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from astropy.table import Table
from lsst.daf.butler import Butler, DatasetType, DeferredDatasetHandle
from lsst.pipe.base import TaskMetadata

from diapipe.errors import InputError, UsageError
from diapipe.images import Difference, Exposure
from diapipe.tasks.connections import (
    COADDS,
    DIFFERENCE,
    EXPOSURE,
    READY,
    SUBFILTERS,
    TABLE,
    VISIT,
    dataset_names,
    read,
    template_source,
)
from diapipe.tasks.dataset_names import OLD_NAMES

_STORAGE_CLASSES: dict[type, str] = {
    Difference: DIFFERENCE,
    Exposure: EXPOSURE,
    Table: TABLE,
    TaskMetadata: "TaskMetadata",
}


class DataRef:
    """Datasets that belong to one data ID.

    Parameters
    ----------
    butler
        With the collections to be read and, for `put`, a run to write into.
    dataId
        Key and value pairs; the older key ``ccd`` means ``detector``, ``filter`` means ``band``.

    Attributes
    ----------
    dataId
        With the newer keys.
    """

    def __init__(self, butler: Butler, dataId: Mapping[str, Any]) -> None:
        self.butler = butler
        self.dataId = {_NEWER_KEYS.get(key, key): value for key, value in dataId.items()}

    @property
    def full_id(self) -> Any:
        """The data ID with all that the repository knows of it: band, time."""
        return self.butler.registry.expandDataId(self.dataId)

    def get(self, name: str, **dataId: Any) -> Any:
        """The dataset of that name, older or newer; further keys stand before those of the reference.

        Raises
        ------
        InputError
            If there is none.
        """
        ref = self._find(name, dataId)
        if ref is None:
            raise InputError(f"there is no {name} of {self._told(dataId)} in {self._collections()}")
        return self.butler.get(ref)

    def datasetExists(self, name: str, **dataId: Any) -> bool:
        """Whether there is one."""
        return self._find(name, dataId) is not None

    def put(self, value: Any, name: str) -> None:
        """Write a dataset under exactly that name; a type that the repository does not know is registered.

        Raises
        ------
        UsageError
            If the repository has no place for such an object.
        """
        known = next(iter(self.butler.registry.queryDatasetTypes(name)), None)
        if known is None:
            kind = next((found for type_, found in _STORAGE_CLASSES.items() if isinstance(value, type_)), None)
            if kind is None:
                raise UsageError(f"a repository has no place for a {type(value).__name__}, which {name} would be")
            known = DatasetType(name, tuple(self.dataId), kind, universe=self.butler.dimensions)
            self.butler.registry.registerDatasetType(known)
        self.butler.put(value, known, self.dataId)

    def handles(self, name: str) -> list[DeferredDatasetHandle]:
        """Datasets of that name on the sky of this one, to be read later."""
        known = self._registered(name)
        if known is None:
            return []
        keys = {key: self.dataId[key] for key in self.dataId if key in _ON_THE_SKY}
        sky = {} if "skymap" not in known.dimensions else {"skymap": self.dataId.get("skymap") or self._only_sky_map()}
        found = self.butler.query_datasets(known, data_id=keys | sky, explain=False)
        return [self.butler.getDeferred(ref) for ref in found]

    def _only_sky_map(self) -> str:
        names = sorted(record.name for record in self.butler.query_dimension_records("skymap", explain=False))
        if len(names) != 1:
            raise UsageError(f"the repository has the sky maps {names}; add skymap=NAME to the data ID to choose one")
        return str(names[0])

    def _find(self, name: str, dataId: Mapping[str, Any]) -> Any:
        known = self._registered(name)
        if known is None:
            return None
        key = {**self.dataId, **dataId}
        if "skymap" in known.dimensions and "skymap" not in key:
            key["skymap"] = self._only_sky_map()
        return self.butler.find_dataset(known, {k: v for k, v in key.items() if k in known.dimensions})

    def _registered(self, name: str) -> DatasetType | None:
        """The dataset type of a name, or of what it is called in this repository; None if it has neither."""
        for candidate in (name, *newer_names(name)):
            found: list[DatasetType] = list(self.butler.registry.queryDatasetTypes(candidate))
            if found:
                return found[0]
        return None

    def _told(self, dataId: Mapping[str, Any]) -> str:
        return ", ".join(f"{key} {value}" for key, value in {**self.dataId, **dataId}.items())

    def _collections(self) -> str:
        return ", ".join(self.butler.collections.defaults) or "no collection"


_NEWER_KEYS = {"ccd": "detector", "filter": "band"}
_ON_THE_SKY = ("instrument", "visit", "detector")


def newer_names(name: str) -> list[str]:
    """Names of Data Preview 1 of which one is an older name, of whatever kind of coadd."""
    patterns = {new: re.escape(old).replace(re.escape("{coaddName}"), r"\w+") for new, old in OLD_NAMES.items()}
    return [new for new, pattern in patterns.items() if re.fullmatch(pattern, name)]


def datasets_of(config: Any, sensorRef: DataRef, templateIds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What a configuration of `ImageDifferenceTask` reads, by connection, as the middleware would hand it over."""
    names, source = dataset_names(config), template_source(config)
    given: dict[str, Any] = {"exposure": sensorRef.get(names["exposure"])}
    wanted = read(config)
    for name in ("calexpBackgroundExposure", "selectSources", "visitSummary", "refCatalog", READY):
        if wanted.get(name, True) and sensorRef.datasetExists(names[name]):
            given[name] = sensorRef.get(names[name])
    if wanted["storedDifference"]:
        given["storedDifference"] = sensorRef.get(names["storedDifference"])
    if source in (COADDS, SUBFILTERS):
        given["skyMap"], given[source] = [sensorRef.get(names["skyMap"])], sensorRef.handles(names[source])
    if source == VISIT:
        visits = [DataRef(sensorRef.butler, found).dataId["visit"] for found in templateIds]
        visits = visits or [config.getTemplate.templateVisit]
        others = [visit for visit in visits if visit not in (None, sensorRef.dataId["visit"])]
        given["exposure"] = [given["exposure"], *(sensorRef.get(names["exposure"], visit=n) for n in others[:1])]
    return given
