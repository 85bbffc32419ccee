"""From datasets as they are read to what `ImageDifferenceTask.run` is given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from diapipe.errors import BoundsError, NoOverlapError
from diapipe.images import Box, CoaddPatch, Exposure, MaskedImage
from diapipe.images.sky_map import SkyMap
from diapipe.tasks.characterize import identified
from diapipe.tasks.connections import COADDS, READY, SUBFILTERS, VISIT, template_source
from diapipe.tasks.scaled import scaled, scaled_sources


def run_arguments(config: Any, given: Mapping[str, Any], dataId: Any) -> dict[str, Any]:
    """Arguments of `ImageDifferenceTask.run`.

    Parameters
    ----------
    config
        Of the task.
    given
        By connection: the dataset, a list of handles where it is read later, None or nothing where there is none.
    dataId
        Of the science image, with ``visit`` and ``detector``.

    Raises
    ------
    NoWorkError
        If there is no template, or the visit is not on the photometric scale.
    """
    source = template_source(config)
    exposures = given["exposure"] if isinstance(given["exposure"], list) else [given["exposure"]]
    science = identified(exposures[0], dataId)
    sources, summary = given.get("selectSources"), given.get("visitSummary")
    if summary is not None:
        sources = None if sources is None else scaled_sources(sources, science, summary)
        science = scaled(science, summary)
    return {
        "exposure": science,
        "selectSources": sources,
        "templateExposure": None if source is None else _template(source, given, exposures[1:], science),
        "calexpBackgroundExposure": _sky(config, given, science),
        "subtractedExposure": given.get("storedDifference"),
    }


def _sky(config: Any, given: Mapping[str, Any], science: Exposure) -> Exposure | None:
    """The sky to be given back; none at all where nobody took it out."""
    if not config.doAddCalexpBackground:
        return None
    nothing = Exposure(
        name="no sky", masked_image=MaskedImage.from_planes(np.zeros(science.box.shape), box=science.box)
    )
    return given.get("calexpBackgroundExposure") or nothing


def _template(source: str, given: Mapping[str, Any], others: list[Exposure], science: Exposure) -> Any:
    """The template, or what it is to be made of."""
    found: Any = others
    if source in (COADDS, SUBFILTERS):
        found = patches(given.get(source) or (), given.get("skyMap") or ())
    elif source == READY:
        found = given.get(READY)
    if found is None or found == []:
        what = {VISIT: "its template visit has no such detector", READY: "no template was made for it"}
        raise NoOverlapError(f"cannot difference {science.name}: {what.get(source, 'no coadd overlaps it')}")
    return found


def patches(handles: Iterable[Any], sky_maps: Iterable[Mapping[str, Any]]) -> list[CoaddPatch]:
    """Coadds that are read box by box, when and where they are needed.

    Parameters
    ----------
    handles
        Deferred datasets, whose data IDs tell sky map, tract, patch and, if they have one, subfilter.
    sky_maps
        Parameters of those that the data IDs name.
    """
    known = {found["name"]: SkyMap.from_dict(found) for found in sky_maps}
    ordered = sorted(handles, key=lambda h: tuple(h.dataId.get(key, -1) for key in ("tract", "patch", "subfilter")))
    return [_patch(handle, known[handle.dataId["skymap"]]) for handle in ordered]


def _patch(handle: Any, sky_map: SkyMap) -> CoaddPatch:
    """The coadd of a patch behind a handle."""

    def pixels(box: Box) -> Exposure:
        try:
            found: Exposure = handle.get(parameters={"bbox": box})
        except BoundsError:  # the coadd is smaller than its patch
            held: Box = handle.get(component="bbox")
            found = handle.get(parameters={"bbox": box.intersect(held) or held})
        return found

    key = handle.dataId
    return CoaddPatch(
        tract=sky_map.tract(int(key["tract"])),
        patch_index=int(key["patch"]),
        pixels=pixels,
        subfilter=None if key.get("subfilter") is None else int(key["subfilter"]),
    )
