"""DiaCatalog: what a reference catalogue says of a source decides."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

from diapipe.catalogs.sources import ReferenceList, SourceList
from diapipe.errors import InputError, UsageError
from diapipe.numerics.arrays import BoolArray
from diapipe.steps.select.base import AbstractSelector, within


@dataclass(frozen=True, slots=True, kw_only=True)
class DiaCatalog(AbstractSelector):
    """Constant stars of ordinary colour, as a reference catalogue has them (``diacatalog`` of LSST, SPEC B.9).

    Attributes
    ----------
    min_flux, max_flux
        Limits of the source's flux; None for none (fluxLim, fluxMax; 0 there).
    stars, galaxies
        Whether sources that the catalogue calls unresolved, or resolved, are taken (selectStar, selectGalaxy).
    variables
        Whether stars that are no photometric standards are taken too (includeVariable).
    min_g_r_mag, max_g_r_mag
        Range of the colour g - r (grMin, grMax).
    """

    any_sign: ClassVar[tuple[str, ...]] = ("min_g_r_mag", "max_g_r_mag")

    bad_flags: tuple[str, ...] = (
        "pixelFlags_edge",
        "pixelFlags_interpolatedCenter",
        "pixelFlags_saturatedCenter",
        "centroid_flag",
    )
    min_flux: float | None = None
    max_flux: float | None = None
    stars: bool = True
    galaxies: bool = False
    variables: bool = False
    min_g_r_mag: float = 0.0
    max_g_r_mag: float = 3.0

    def __post_init__(self) -> None:
        super(DiaCatalog, self).__post_init__()
        if self.min_g_r_mag >= self.max_g_r_mag:
            raise UsageError(
                f"min_g_r_mag must be below max_g_r_mag, not {self.min_g_r_mag:g} and {self.max_g_r_mag:g}"
            )

    def chosen(self, sources: SourceList, reference: ReferenceList | None) -> BoolArray:
        """Sources of the classes, colours and fluxes asked for."""
        entries = _needed(reference)
        return self._fit(sources, entries) & (entries.is_photometric | self.variables)

    def extreme(self, sources: SourceList, reference: ReferenceList | None) -> BoolArray:
        """Constant stars bluer or redder than the range: those that refraction moves most."""
        entries = _needed(reference)
        colour = entries.colour("g", "r")
        beyond = (colour < self.min_g_r_mag) | (colour > self.max_g_r_mag)
        return beyond & self.of_any_colour()._fit(sources, entries) & entries.is_photometric

    def variable(self, sources: SourceList, reference: ReferenceList | None) -> BoolArray:
        """Variable stars within the range."""
        entries = _needed(reference)
        return self._fit(sources, entries) & ~entries.is_photometric

    def of_any_colour(self) -> Self:
        """The same choice without limits of the colour."""
        return replace(self, min_g_r_mag=-float("inf"), max_g_r_mag=float("inf"))

    def _fit(self, sources: SourceList, reference: ReferenceList) -> BoolArray:
        """Sources of the classes, colours and fluxes, constant or not."""
        of_class = (reference.is_resolved & self.galaxies) | (~reference.is_resolved & self.stars)
        colour = within(reference.colour("g", "r"), self.min_g_r_mag, self.max_g_r_mag)
        bright = within(sources.flux, self.min_flux, self.max_flux)
        return of_class & colour & bright & ~sources.flagged(self.bad_flags) & ~sources.is_sky


def _needed(reference: ReferenceList | None) -> ReferenceList:
    """The catalogue, or the error that there is none."""
    if reference is None:
        raise InputError("sources are selected by what a reference catalogue says of them; none was given")
    return reference
