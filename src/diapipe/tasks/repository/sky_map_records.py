"""Sky maps of a repository: their parameters as a dataset, their tracts and patches as records with regions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.wcs import WCS
from lsst.daf.butler import Butler, DatasetType

from diapipe.errors import UsageError
from diapipe.images.sky_map import SkyMap
from diapipe.images.tracts import Tract
from diapipe.numerics.arrays import FloatArray
from diapipe.tasks.repository.polygons import corners_of, region_of_box

SKYMAPS = "skymaps"
"""RUN collection of the parameters of all sky maps."""

DATASET = "skyMap"
"""Dataset type of the parameters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """What a call has added to a repository.

    Attributes
    ----------
    sky_map
        Which map it is about.
    is_known
        Whether the repository had it before.
    n_tracts, n_patches
        Tracts and patches that were added now.
    """

    sky_map: SkyMap
    is_known: bool
    n_tracts: int
    n_patches: int


def register_sky_map(butler: Butler, sky_map: SkyMap, *, tracts: Iterable[int] | None = None) -> Registered:
    """Give a repository a sky map, and tracts of it; what it has already stays as it is.

    Parameters
    ----------
    butler
        Writeable.
    sky_map
        The map.
    tracts
        Ids of the tracts to register; None for those that the defined visits touch. More can be added at any time.

    Raises
    ------
    UsageError
        If another map has the name, or this one is there under another.
    """
    is_known = sky_map.name in sky_map_names(butler)
    _refuse_conflict(butler, sky_map)
    wanted = tracts_of_visits(butler, sky_map) if tracts is None else sorted(set(tracts))
    with butler.transaction():
        butler.registry.syncDimensionData("skymap", _record(sky_map))
        n_tracts, n_patches = _insert_tracts(butler, sky_map, wanted)
    if not has_parameters(butler, sky_map.name):
        butler.registry.registerDatasetType(
            DatasetType(DATASET, ("skymap",), "StructuredDataDict", universe=butler.dimensions)
        )
        butler.collections.register(SKYMAPS)
        butler.put(sky_map.to_dict(), DATASET, skymap=sky_map.name, run=SKYMAPS)
    return Registered(sky_map=sky_map, is_known=is_known, n_tracts=n_tracts, n_patches=n_patches)


def sky_map_names(butler: Butler) -> tuple[str, ...]:
    """The names of all sky maps of a repository, in alphabetical order."""
    return tuple(sorted(record.name for record in butler.registry.queryDimensionRecords("skymap")))


def load_sky_map(butler: Butler, name: str | None = None) -> SkyMap:
    """A sky map of a repository; without a name the only one that there is.

    Raises
    ------
    UsageError
        If there is none of that name, or none or several where the name is left out.
    """
    known = sky_map_names(butler)
    if name is None and len(known) == 1:
        name = known[0]
    if name not in known:
        there = f"it has {', '.join(known)}" if known else "it has none; `diapipe skymap` makes one"
        asked = "one sky map is needed" if name is None else f"there is no sky map {name}"
        raise UsageError(f"{asked} in this repository: {there}")
    if not has_parameters(butler, name):
        raise UsageError(f"the sky map {name} has no parameters in the collection {SKYMAPS}: another program made it")
    return SkyMap.from_dict(butler.get(DATASET, skymap=name, collections=SKYMAPS))


def tracts_of_visits(butler: Butler, sky_map: SkyMap) -> list[int]:
    """Ids of the tracts on whose pixels defined visits lie."""
    _, tracts = sky_map.overlaps(list(visit_corners(butler).values()))
    return [int(id) for id in np.unique(tracts)]


def visits_beyond(butler: Butler, sky_map: SkyMap) -> list[int]:
    """Visits of which no tract of the map has anything."""
    corners = visit_corners(butler)
    regions, _ = sky_map.overlaps(list(corners.values()))
    within = set(regions.tolist())
    return sorted(visit for i, (_, visit) in enumerate(corners) if i not in within)


def visit_corners(butler: Butler) -> dict[tuple[str, int], tuple[FloatArray, FloatArray]]:
    """Corners of the sky region of every defined visit, right ascensions and declinations, by instrument and visit."""
    return {
        (str(record.instrument), int(record.id)): corners_of(record.region)
        for record in butler.registry.queryDimensionRecords("visit")
        if record.region is not None
    }


def median_pixel_scale_arcsec(butler: Butler, *, datasets: tuple[str, ...], n_most: int = 16) -> float:
    """Median side of a pixel of ingested images, of at most so many, evenly chosen; to four digits.

    Raises
    ------
    UsageError
        If there are no images with a WCS.
    """
    refs = next(filter(None, (_datasets(butler, name) for name in datasets)), [])
    step = max(1, -(-len(refs) // n_most))
    found = (butler.get(ref.makeComponentRef("wcs")) for ref in refs[::step])
    scales = [_scale_in_the_middle(wcs) for wcs in found if wcs is not None]
    if not scales:
        raise UsageError(
            "the repository has no images with a WCS, from which to take a pixel scale: give --pixel-scale"
        )
    return float(f"{np.median(scales):.4g}")


def _datasets(butler: Butler, name: str) -> list[Any]:
    """All datasets of a type, in a fixed order; none where the type is not registered."""
    if not list(butler.registry.queryDatasetTypes(name)):
        return []
    runs = butler.collections.query("*")
    return sorted(butler.registry.queryDatasets(name, collections=list(runs)), key=lambda ref: str(ref.dataId))


def _scale_in_the_middle(wcs: WCS) -> float:
    """Side of a square with the area of a pixel, arcsec."""
    return 3600.0 * float(np.sqrt(abs(np.linalg.det(wcs.celestial.pixel_scale_matrix))))


def _record(sky_map: SkyMap) -> dict[str, Any]:
    """The row of the map itself; rings have equal tracts, other maps few."""
    tracts = [sky_map.tract(id) for id in range(sky_map.n_tracts)] if sky_map.n_tracts < 1000 else [sky_map.tract(0)]
    return {
        "name": sky_map.name,
        "hash": sky_map.digest,
        "tract_max": sky_map.n_tracts,
        "patch_nx_max": max(tract.n_columns for tract in tracts),
        "patch_ny_max": max(tract.n_rows for tract in tracts),
    }


def _insert_tracts(butler: Butler, sky_map: SkyMap, ids: Iterable[int]) -> tuple[int, int]:
    """Add the tracts that are not there; how many tracts and patches that were."""
    registry = butler.registry
    known = {record.id for record in registry.queryDimensionRecords("tract", skymap=sky_map.name)}
    tracts = [sky_map.tract(id) for id in ids if id not in known]
    rows = [row for tract in tracts for row in _patch_rows(sky_map.name, tract)]
    if tracts:
        registry.insertDimensionData(
            "tract", *(_tract_row(sky_map.name, tract) for tract in tracts), skip_existing=True
        )
        registry.insertDimensionData("patch", *rows, skip_existing=True)
    return len(tracts), len(rows)


def _tract_row(name: str, tract: Tract) -> dict[str, Any]:
    return {"skymap": name, "id": tract.id, "region": region_of_box(tract.wcs, tract.box)}


def _patch_rows(name: str, tract: Tract) -> list[dict[str, Any]]:
    """Rows of all patches of a tract; the region is that of the outer box."""
    return [
        {
            "skymap": name,
            "tract": tract.id,
            "id": patch.index,
            "cell_x": patch.column,
            "cell_y": patch.row,
            "region": region_of_box(tract.wcs, patch.outer),
        }
        for patch in tract.patches
    ]


def has_parameters(butler: Butler, name: str) -> bool:
    """Whether the parameters of a map are stored."""
    if not list(butler.registry.queryDatasetTypes(DATASET)) or SKYMAPS not in set(butler.collections.query("*")):
        return False
    return bool(butler.exists(DATASET, skymap=name, collections=SKYMAPS))


def _refuse_conflict(butler: Butler, sky_map: SkyMap) -> None:
    """Refuse a map whose name or whose tracts another map has: the Butler keeps both unique."""
    hashes = {record.name: record.hash for record in butler.registry.queryDimensionRecords("skymap")}
    if hashes.get(sky_map.name) == sky_map.digest:
        return
    if sky_map.name in hashes:
        stored = load_sky_map(butler, sky_map.name).to_dict() if has_parameters(butler, sky_map.name) else None
        words = "" if stored is None else f": {'; '.join(_differences(stored, sky_map.to_dict()))}"
        raise UsageError(
            f"the repository has another sky map called {sky_map.name}{words}; give this one another --name, for "
            "tracts that have coadds never change"
        )
    same = [name for name, digest in hashes.items() if digest == sky_map.digest]
    if same:
        raise UsageError(f"the repository has the sky map {sky_map.name} already, under the name {same[0]}; use that")


def _differences(stored: Mapping[str, Any], wanted: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Which parameters differ: what is stored and what was asked for."""
    found = []
    for key in dict.fromkeys([*stored, *wanted]):
        old, new = stored.get(key), wanted.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += _differences(old, new, f"{prefix}{key}.")
        elif isinstance(old, list | tuple) or isinstance(new, list | tuple):
            if [*(old or ())] != [*(new or ())]:
                found.append(f"{prefix}{key} has other places ({len(old or ())} there, {len(new or ())} now)")
        elif old != new:
            found.append(f"{prefix}{key} is {old}, not {new}")
    return found
