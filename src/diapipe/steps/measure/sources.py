"""The sources that are measured."""

from __future__ import annotations

from dataclasses import dataclass

from diapipe.images import Psf
from diapipe.images.planes import Planes
from diapipe.images.psf.lattice import PsfLattice
from diapipe.numerics.arrays import FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Sources:
    """Where the sources are, in array coordinates, the sign of each, and the footprint that it is in."""

    x: FloatArray
    y: FloatArray
    sign: FloatArray
    footprint: IntArray

    def __len__(self) -> int:
        return len(self.x)


def lattice_of(psf: Psf, planes: Planes, sources: Sources) -> PsfLattice:
    """The PSF around the sources."""
    return PsfLattice.around(psf, x=sources.x + planes.box.x0, y=sources.y + planes.box.y0, box=planes.box).drawn
