"""make_sky_map: the sky map that a person asks for, in a repository."""

from __future__ import annotations

import os
from dataclasses import dataclass

from lsst.daf.butler import Butler

from diapipe.errors import UsageError, counted
from diapipe.images.discrete_sky_map import DiscreteSkyMap, TractPlace
from diapipe.images.rings_sky_map import RingsSkyMap
from diapipe.images.sky_map import SkyMap
from diapipe.images.tract_grid import TractGrid
from diapipe.tasks.repository.opening import open_repository
from diapipe.tasks.repository.sky_map_records import (
    Registered,
    has_parameters,
    load_sky_map,
    median_pixel_scale_arcsec,
    register_sky_map,
    sky_map_names,
    visit_corners,
    visits_beyond,
)

_USUAL = TractGrid()

IMAGES = ("post_isr_image", "postISRCCD", "visit_image", "calexp")
"""Datasets whose WCS tells the pixel scale; the first that there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SkyMapRequest:
    """What a person says of a sky map; None is left to the data or to LSST's habit.

    Attributes
    ----------
    name
        What it is called.
    rings
        Number of rings of a map of the whole sky.
    tracts
        Right ascension, declination and side in degrees of each tract given by hand.
    pixel_scale
        Arcsec.
    patch_size, border
        Pixels.
    overlap, max_tract
        Degrees.
    all_tracts
        Whether tracts without visits are registered too.
    """

    name: str | None = None
    rings: int | None = None
    tracts: tuple[tuple[float, float, float], ...] = ()
    pixel_scale: float | None = None
    patch_size: int | None = None
    border: int = _USUAL.patch_border_px
    overlap: float | None = None
    max_tract: float | None = None
    all_tracts: bool = False

    def __post_init__(self) -> None:
        if self.rings is not None and self.tracts:
            raise UsageError("--rings and --tract make two different maps: give one of them")
        if self.max_tract is not None and (self.rings is not None or self.tracts):
            raise UsageError("--max-tract is for a map around the data, without --rings and --tract")
        if self.overlap is not None and self.tracts:
            raise UsageError("--overlap goes with --rings or with a map around the data; tracts by hand are as given")

    @property
    def is_around_data(self) -> bool:
        """Whether neither rings nor places are given."""
        return self.rings is None and not self.tracts

    @property
    def known_name(self) -> str:
        """The name, or what such a map is called."""
        return self.name or ("survey" if self.rings is None else f"rings{self.rings}")

    @property
    def says_nothing(self) -> bool:
        """Whether everything about pixels and tracts is left open."""
        return self.is_around_data and self == SkyMapRequest(name=self.name, all_tracts=self.all_tracts)

    def sky_map(self, butler: Butler) -> SkyMap:
        """The map that is asked for."""
        if self.rings is not None:
            scale = self.pixel_scale or _USUAL.pixel_scale_arcsec
            overlap = 1.0 / 60.0 if self.overlap is None else self.overlap
            return RingsSkyMap(
                name=self.known_name, grid=self._grid(scale), n_rings=self.rings, tract_overlap_deg=overlap
            )
        scale = self.pixel_scale or median_pixel_scale_arcsec(butler, datasets=IMAGES)
        if self.tracts:
            places = tuple(
                TractPlace(ra_deg=ra, dec_deg=dec, width_deg=side, height_deg=side) for ra, dec, side in self.tracts
            )
            return DiscreteSkyMap(name=self.known_name, grid=self._grid(scale), tracts=places)
        given = {"max_tract_deg": self.max_tract, "tract_overlap_deg": self.overlap}
        return DiscreteSkyMap.from_regions(
            self.known_name,
            list(visit_corners(butler).values()),
            pixel_scale_arcsec=scale,
            patch_size_px=self.patch_size,
            patch_border_px=self.border,
            **{key: value for key, value in given.items() if value is not None},
        )

    def _grid(self, scale: float) -> TractGrid:
        size = _USUAL.patch_size_px if self.patch_size is None else self.patch_size
        return TractGrid(pixel_scale_arcsec=scale, patch_size_px=size, patch_border_px=self.border)


def make_sky_map(path: str | os.PathLike[str], request: SkyMapRequest) -> list[str]:
    """Register the map that is asked for, or add to the one that is there the tracts that visits touch.

    Returns
    -------
    list of str
        What was done, in sentences for people.

    Raises
    ------
    UsageError
        If there are no visits for a map around the data, or another map has the name.
    """
    with open_repository(path, writeable=True) as butler:
        if request.says_nothing and request.known_name in sky_map_names(butler):
            sky_map = load_sky_map(butler, request.known_name)
        else:
            sky_map = request.sky_map(butler)
        tracts = range(sky_map.n_tracts) if request.all_tracts or isinstance(sky_map, DiscreteSkyMap) else None
        done = register_sky_map(butler, sky_map, tracts=tracts)
        return _report(done, visits_beyond(butler, sky_map))


def follow_visits(butler: Butler) -> list[str]:
    """Register the tracts that visits have come to touch, of every sky map of the repository that diapipe made.

    Returns
    -------
    list of str
        What was added and which visits no tract holds, in sentences for people; nothing where nothing is to be said.
    """
    told = []
    for name in sky_map_names(butler):
        if has_parameters(butler, name):
            sky_map = load_sky_map(butler, name)
            done, beyond = register_sky_map(butler, sky_map), visits_beyond(butler, sky_map)
            told += _report(done, beyond) if done.n_tracts or beyond else []
    return told


def _report(done: Registered, beyond: list[int]) -> list[str]:
    """What was done and what is left out."""
    sky_map, grid = done.sky_map, done.sky_map.grid
    patches = counted(done.n_patches, "patch").replace("patchs", "patches")
    tracts = f"{done.n_tracts} of {counted(sky_map.n_tracts, 'tract')}"
    new = f"{tracts} with {patches} registered" if done.n_tracts else "nothing new"
    state = "was there" if done.is_known else f"{sky_map.kind}, {grid.pixel_scale_arcsec:.4g} arcsec/px"
    lines = [f"sky map {sky_map.name}: {state}; {new}"]
    if beyond:
        shown = ", ".join(str(visit) for visit in beyond[:5]) + (", ..." if len(beyond) > 5 else "")
        lines.append(f"{counted(len(beyond), 'visit')} outside it ({shown}): a map of another --name can hold them")
    return lines
