"""CoaddInput: an image on the coadd's grid, read when and where it is needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from diapipe.errors import InputError
from diapipe.images import Box, Exposure, calibrated


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CoaddInput:
    """A warp: the image of a visit on the pixels of a patch.

    Attributes
    ----------
    name
        What messages call it.
    box
        The pixels that it has, in those of the coadd.
    pixels
        The exposure; or a function that reads the part in a box, a part of ``box``.
    """

    name: str
    box: Box
    pixels: Exposure | Callable[[Box], Exposure]

    @classmethod
    def whole(cls, exposure: Exposure) -> CoaddInput:
        """An exposure that is in memory."""
        return cls(name=exposure.name, box=exposure.box, pixels=exposure)

    def read(self, box: Box) -> Exposure | None:
        """The part in ``box`` in nJy; None where the image has nothing of it.

        Raises
        ------
        InputError
            If the pixels are not those asked for, or nothing tells what a count is worth.
        """
        part = self.box.intersect(box)
        if part is None:
            return None
        found = self.pixels[part] if isinstance(self.pixels, Exposure) else self.pixels(part)
        if found.box != part:
            raise InputError(f"{self.name} was asked for the pixels {part} and gave {found.box}")
        return calibrated(found)
