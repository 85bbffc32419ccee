"""Triplets: what lies around each source on science image, template and difference, as stacks of cut-outs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diapipe.errors import PsfUndefinedError
from diapipe.images.exposure import Difference, Exposure
from diapipe.images.mask import UNUSABLE_DIFFERENCE, MaskPlane
from diapipe.images.planes import Planes
from diapipe.images.psf import Psf
from diapipe.images.psf.lattice import PsfLattice
from diapipe.images.squares import Squares
from diapipe.numerics.arrays import BoolArray, Float32Array, FloatArray, IntArray, MaskArray
from diapipe.numerics.psf_photometry import blended
from diapipe.numerics.shifting import shift_stacks
from diapipe.numerics.spokes import fill_spokes, wheel

OFF_IMAGE = MaskPlane.NO_DATA
"""What the mask of a cut-out says of pixels that the image does not reach."""

SPOKE_EDGES_FWHM = np.array([0.5, 1.25, 2.25, 3.0, 4.0, 5.0, 6.5, 8.0, 10.0])
"""Radii of the rings of spokes."""
N_SECTORS = 64
"""Spokes of a turn."""

_SMALLEST_HALF = 7


@dataclass(frozen=True, slots=True, eq=False)
class Triplets:
    """Cut-outs of n sources, each (n, side, side), the source on the middle pixel or less than one off it.

    Attributes
    ----------
    science, template, difference
        Pixels in the unit of the difference, NaN off the image; the template as it was subtracted.
    variance
        Of the difference.
    mask
        `MaskPlane` bits of the difference; `OFF_IMAGE` off the image.
    psf
        A source of unit flux on the difference at the very place of each; 0 where the PSF is undefined.
    dx, dy
        Place of each source from the centre of the middle pixel, shape (n,).
    fwhm
        Width of the PSF by which spokes are measured, pixels, shape (n,).
    spokes
        The difference farther out than cut-outs reach, by ring (`SPOKE_EDGES_FWHM`) and sector: sums of pixels over
        their noise, and numbers of usable pixels; shape (n, 2, rings, `N_SECTORS`).
    """

    science: Float32Array
    template: Float32Array
    difference: Float32Array
    variance: Float32Array
    mask: MaskArray
    psf: Float32Array
    dx: FloatArray
    dy: FloatArray
    fwhm: FloatArray
    spokes: FloatArray

    def __len__(self) -> int:
        return len(self.psf)

    def __getitem__(self, which: slice | BoolArray | IntArray) -> Triplets:
        """Those of some sources."""
        return Triplets(*(getattr(self, name)[which] for name in Triplets.__slots__))


def half_width(difference: Difference, *, reach_fwhm: float = 3.0) -> int:
    """Half-width in pixels of cut-outs that reach so far, in FWHM of the PSF in the middle of the difference.

    Raises
    ------
    PsfUndefinedError
        If the difference has no PSF.
    """
    return max(_SMALLEST_HALF, int(np.ceil(reach_fwhm * _fwhm_of(difference))))


def cut_triplets(difference: Difference, science: Exposure, *, x: FloatArray, y: FloatArray, half: int) -> Triplets:
    """Cut out what lies around sources.

    Parameters
    ----------
    difference
        With its PSF. Where it does not keep the matched template, science less difference stands for it.
    science
        The image it was made of; its box holds that of the difference.
    x, y
        Parent pixel coordinates, finite, shape (n,).
    half
        Half-width of the cut-outs in pixels.

    Raises
    ------
    PsfUndefinedError
        If the difference has no PSF.
    BoundsError
        If the science image does not reach as far as the difference.
    """
    planes, box = difference.exposure.masked_image, difference.box
    fwhm = _fwhm_of(difference)
    lattice = PsfLattice.around(_psf_of(difference.exposure), x=x, y=y, box=box).drawn
    dx, dy = x - np.floor(x + 0.5), y - np.floor(y + 0.5)
    around = Squares.around(box, x=x, y=y, half=half)
    seen, matched = science.masked_image[box].image, difference.matched_template
    science_pixels, difference_pixels = around.values(seen), around.values(planes.image)
    return Triplets(
        science=science_pixels,
        template=science_pixels - difference_pixels if matched is None else around.values(matched.image),
        difference=difference_pixels,
        variance=around.values(planes.variance),
        mask=around.bits(planes.mask, off_image=int(OFF_IMAGE)),
        psf=_drawn(lattice, dx, dy, 2 * half + 1),
        dx=dx,
        dy=dy,
        fwhm=np.full(len(x), fwhm),
        spokes=spokes_of(Planes.of(planes), x=x - box.x0, y=y - box.y0, fwhm=fwhm),
    )


def spokes_of(planes: Planes, *, x: FloatArray, y: FloatArray, fwhm: float) -> FloatArray:
    """`Triplets.spokes` of a difference around places in array coordinates, ``fwhm`` in pixels."""
    cells = wheel(SPOKE_EDGES_FWHM * fwhm, N_SECTORS)
    out = np.empty((len(x), 2, (len(SPOKE_EDGES_FWHM) - 1) * N_SECTORS))
    rows, columns = (np.floor(axis + 0.5).astype(np.int64) for axis in (y, x))
    fill_spokes(*planes.arrays, int(UNUSABLE_DIFFERENCE), rows, columns, cells, out)
    return out.reshape(len(x), 2, -1, N_SECTORS)


def _drawn(lattice: PsfLattice, dx: FloatArray, dy: FloatArray, side: int) -> Float32Array:
    """The PSF as a source draws it that lies off the middle pixel."""
    n = len(dx)
    images = blended(lattice.nodes, lattice.index, lattice.weights, lattice.nodes.shape[-1] // 2)[:, None]
    out = np.zeros((n, 1, side, side))
    shift_stacks(images, np.arange(n), dx, dy, out)
    return out[:, 0].astype(np.float32)


def _fwhm_of(difference: Difference) -> float:
    """That of the PSF in the middle, pixels."""
    return _psf_of(difference.exposure).fwhm_at(x=difference.box.x_center, y=difference.box.y_center)


def _psf_of(exposure: Exposure) -> Psf:
    """The PSF; PsfUndefinedError without one."""
    if exposure.psf is None:
        raise PsfUndefinedError(f"{exposure.name} has no PSF; cut-outs of its sources need one")
    return exposure.psf
