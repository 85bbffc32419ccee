"""Where the PSF of a stack is one, to a few pixels, and what it is there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diapipe.errors import PsfUndefinedError
from diapipe.images import Box
from diapipe.images.cells import cells_of
from diapipe.images.fields import field_terms
from diapipe.images.psf import Psf
from diapipe.images.psf.base import PsfLayer
from diapipe.images.psf.lattice import LAYER_SPACING_PX
from diapipe.numerics.arrays import BoolArray, Float32Array, FloatArray, IntArray
from diapipe.numerics.homogenizing import settled

STEP_PX = 4
"""Side of the squares of pixels whose PSF is told: the border of an input is known to half of it."""

REACH = 6
"""So many squares to either side the levels are sought between which a PSF goes in a ramp: coadds keep weights in cells
of 8 px, of which a ramp is two long, and more where it is crossed at an angle."""

FLAT = 0.004
"""Squares whose PSFs differ from those beside them by no more than this part of their norm are in no ramp."""

SAME = 0.005
"""PSFs that differ by no more than this part of their norm are one: of a star no more is left."""

NEGLIGIBLE = 3e-4
"""Images of which no PSF has more than this part of its norm are left out."""

SMOOTH_ORDER = 2
"""Degree of the polynomials that a kernel follows over an image."""

SPOTS = 3
"""Positions along each axis of a cell at which an image is sought that is undefined in the middle."""


@dataclass(frozen=True, slots=True, eq=False)
class PsfCell:
    """The PSF of a part of an image, over which what it is the sum of hardly changes.

    Attributes
    ----------
    rows, columns
        Which squares of the whole image.
    places
        PSF of each square as coordinates along ``images``, in which distances are norms; shape (n_rows, n_columns, m).
    known
        Where there is a PSF, shape (n_rows, n_columns).
    images
        Orthonormal, shape (m, size, size).
    """

    rows: slice
    columns: slice
    places: Float32Array
    known: BoolArray
    images: FloatArray

    @property
    def total(self) -> FloatArray:
        """Sum of the PSFs of all squares."""
        return np.tensordot(self.places[self.known].sum(axis=0, dtype=np.float64), self.images, axes=1)

    @property
    def leap(self) -> float:
        """By how much of its norm the PSF differs, in the hundredth of the squares where it does most, from what is
        smooth over the cell.
        """
        row, column = np.nonzero(self.known)
        if len(row) == 0:
            return 0.0
        shape = Box(0, self.known.shape[0], 0, self.known.shape[1])
        terms = field_terms(shape, SMOOTH_ORDER, x=column.astype(np.float64), y=row.astype(np.float64)).T
        places = self.places[self.known].astype(np.float64)
        fitted, *_ = np.linalg.lstsq(terms, places, rcond=None)
        off = np.linalg.norm(places - terms @ fitted, axis=1)
        return float(np.quantile(off, 0.99) / np.linalg.norm(places.mean(axis=0)))

    def groups(self) -> tuple[IntArray, FloatArray]:
        """Number, from 1, of the group of like PSFs of each square, 0 where there is none; and the PSF of each."""
        places = self.places[self.known]
        same, numbers = SAME * float(np.linalg.norm(places.mean(axis=0))), np.zeros(len(places), np.int64)
        left, means = np.arange(len(places)), []
        while len(left):
            like = ((places[left] - places[left[0]]) ** 2).sum(axis=1) <= same**2
            means.append(places[left[like]].mean(axis=0, dtype=np.float64))
            numbers[left[like]] = len(means)
            left = left[~like]
        found = np.zeros(self.known.shape, np.int64)
        found[self.known] = numbers
        psfs = np.tensordot(np.array(means), self.images, axes=1)
        return found, psfs / psfs.sum(axis=(1, 2), keepdims=True)


def psf_cells(psf: Psf, box: Box) -> list[PsfCell]:
    """The PSF of every square of an image, by cells; none where nothing smooth is known that it is the sum of.

    At the border of an input the PSF of a square is that of either side, whichever it is nearer to.

    Parameters
    ----------
    psf
        One that leaps.
    box
        The image; squares are counted from its first pixel.
    """
    shape = -(-box.height // STEP_PX), -(-box.width // STEP_PX)
    per_axis = max(1, int(np.ceil(max(box.height, box.width) / LAYER_SPACING_PX)))
    squares = cells_of(Box(0, shape[0], 0, shape[1]), per_axis)
    found = [
        _psf_cell(psf, box, part, part.dilated(REACH + 1).intersect(Box(0, shape[0], 0, shape[1]))) for part in squares
    ]
    return [cell for cell in found if cell is not None]


def _psf_cell(psf: Psf, box: Box, part: Box, wide: Box | None) -> PsfCell | None:
    """The PSF of some squares, as those around them tell of borders."""
    assert wide is not None
    row, column = np.mgrid[wide.y0 : wide.y1 + 1 : 2, wide.x0 : wide.x1 + 1 : 2].astype(np.float64)
    middle = 0.5 * (STEP_PX - 1)
    x, y = box.x0 + STEP_PX * column.ravel() + middle, box.y0 + STEP_PX * row.ravel() + middle
    layers = psf.layers(x=x, y=y)
    if layers is None:
        return None
    pixels = Box(
        *(box.y0 + STEP_PX * part.y0, box.y0 + STEP_PX * part.y1),
        *(box.x0 + STEP_PX * part.x0, box.x0 + STEP_PX * part.x1),
    )
    drawn = [(layer.shares, image) for layer in layers if (image := _image_in(layer, pixels)) is not None]
    if not drawn:
        return None
    shares, images = np.concatenate([own for own, _ in drawn], axis=1), np.concatenate([image for _, image in drawn])
    sums = shares @ images.sum(axis=(1, 2))
    known = sums > 0.0
    if not known.any():
        return None
    shares = np.divide(shares, sums[:, None], out=np.zeros_like(shares), where=known[:, None])
    places, basis = _principal(shares, images)
    size = float(np.linalg.norm(places[known].mean(axis=0)))
    share = _between(known.reshape(row.shape).astype(np.float32), wide.shape)
    places = _between(places.reshape(*row.shape, -1), wide.shape)  # 0 where unknown
    found = share > 0.0
    places = np.divide(places, share[..., None], out=np.zeros_like(places), where=found[..., None])
    source = settled(places, found, flat=FLAT * size, reach=REACH)[part.slices_in(wide)]
    places, found = places.reshape(-1, len(basis))[source], found.ravel()[source]
    return PsfCell(slice(part.y0, part.y1), slice(part.x0, part.x1), places, found, basis)


def _between(values: Float32Array, shape: tuple[int, int]) -> Float32Array:
    """Values of every second square, at all squares of a shape: between two of them their mean.

    Cells of a coadd's weights are as long as two squares: nothing is between that was not linear there.
    """
    for axis, side in enumerate(shape):
        along = np.moveaxis(values, axis, 0)
        found = np.repeat(along, 2, axis=0)[: 2 * len(along) - 1]
        found[1::2] = np.float32(0.5) * (along[:-1] + along[1:])
        values = np.moveaxis(found[:side], 0, axis)
    return np.ascontiguousarray(values)


def _image_in(layer: PsfLayer, pixels: Box) -> FloatArray | None:
    """The images of a layer in the middle of a cell, else wherever in it they are defined."""
    for spot in (pixels, *cells_of(pixels, SPOTS)):
        try:
            return layer.images_at(spot.x_center, spot.y_center)
        except PsfUndefinedError:
            continue
    return None


def _principal(shares: FloatArray, images: FloatArray) -> tuple[Float32Array, FloatArray]:
    """The same sums along few orthonormal images: coordinates, shape (n, k), and these, shape (k, height, width)."""
    rows = images.reshape(len(images), -1)
    powers, axes = np.linalg.eigh(rows @ rows.T)
    strong = powers > 1e-12 * powers[-1]
    root = np.sqrt(powers[strong])
    places = shares @ (axes[:, strong] * root)
    powers, turn = np.linalg.eigh(places.T @ places)
    turn = turn[:, powers > NEGLIGIBLE**2 * powers[-1]]
    basis = turn.T @ (axes[:, strong] / root).T @ rows
    return np.asarray(places @ turn, dtype=np.float32), basis.reshape(-1, *images.shape[1:])
