"""CoaddPatch: a coadd of one patch of the sky map, read when and where it is needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from diapipe.errors import InputError
from diapipe.images.box import Box
from diapipe.images.exposure import Exposure
from diapipe.images.tracts import Patch, Tract


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CoaddPatch:
    """The coadd of a patch.

    Attributes
    ----------
    tract
        The tract whose pixels it has.
    patch_index
        Which of its patches it is.
    pixels
        The exposure, in the pixel coordinates of the tract; or a function that reads the part in a box of it, which is
        called once, with a box inside the patch's outer one.
    subfilter
        Which part of the band it shows, from the shortest wavelength on; None is the whole band.
    label
        What messages call it; "" for the numbers of patch and tract.
    """

    tract: Tract
    patch_index: int
    pixels: Exposure | Callable[[Box], Exposure]
    subfilter: int | None = None
    label: str = ""

    @classmethod
    def whole(cls, exposure: Exposure, number: int) -> CoaddPatch:
        """An image on a grid of its own, as the only patch of a tract of that number.

        Raises
        ------
        InputError
            If it has no celestial WCS.
        """
        if exposure.wcs is None or not exposure.wcs.has_celestial:
            raise InputError(f"{exposure.name} has no celestial WCS; without one nobody knows where it overlaps others")
        box = exposure.box
        tract = Tract(id=number, wcs=exposure.wcs, box=box, patch_size_px=max(1, *box.shape))
        return cls(tract=tract, patch_index=0, pixels=exposure, label=exposure.name)

    @property
    def patch(self) -> Patch:
        """Which pixels of the tract it has."""
        return self.tract.patch(self.patch_index)

    @property
    def name(self) -> str:
        """What messages call it."""
        if self.label:
            return self.label
        part = "" if self.subfilter is None else f", subfilter {self.subfilter}"
        return f"patch {self.patch_index} of tract {self.tract.id}{part}"

    def read(self, box: Box) -> Exposure | None:
        """The part in ``box`` on the WCS of the tract; None where the image has nothing of it.

        Raises
        ------
        InputError
            If the pixels lie outside the patch, as those of an image do whose coordinates are not the tract's.
        """
        if isinstance(self.pixels, Exposure):
            part = self.pixels.box.intersect(box)
            if self.pixels.box.intersect(self.patch.outer) is None:
                self._refuse(self.pixels.box)
            found = None if part is None else self.pixels[part]
        else:
            found = self.pixels(box)
            if found.box.intersect(box) is None:
                self._refuse(found.box)
        return None if found is None else replace(found, wcs=self.tract.wcs)

    def _refuse(self, box: Box) -> None:
        raise InputError(
            f"the coadd of {self.name} has pixels {box}, the patch has {self.patch.outer}; "
            "coadds need the pixel coordinates of their tract"
        )
