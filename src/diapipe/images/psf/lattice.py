"""PsfLattice: a PSF at many positions for the price of a few, by bilinear interpolation between nodes."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from diapipe.errors import PsfUndefinedError
from diapipe.images.box import Box
from diapipe.images.psf.base import SIGMA_TO_FWHM, Psf
from diapipe.numerics.arrays import BoolArray, FloatArray, IntArray
from diapipe.numerics.moments import adaptive_moments

NODE_SPACING_PX = 400.0
"""Largest distance of neighbouring nodes. A PSF that changes by 5% over a 4k image is right to 3e-4 in between; one
that leaps, as a coadd's does, has a node at every position: between distant ones fluxes were off by up to 18%."""


@dataclass(frozen=True, slots=True, eq=False)
class PsfLattice:
    """PSF images around given positions.

    Attributes
    ----------
    nodes
        Kernel images at the nodes that the positions need; shape (n_nodes, size, size).
    index
        The four nodes around each position; shape (n, 4).
    weights
        Their weights, of unit sum; all 0 where the PSF is undefined at all four; shape (n, 4).
    """

    nodes: FloatArray
    index: IntArray
    weights: FloatArray

    @classmethod
    def around(cls, psf: Psf, *, x: FloatArray, y: FloatArray, box: Box) -> PsfLattice:
        """Evaluate the PSF at the nodes around the positions.

        Parameters
        ----------
        psf
            The model.
        x, y
            Parent pixel coordinates, shape (n,).
        box
            The image: its corners are nodes, so the result for one position does not depend on the others. Not asked
            for where the PSF is not smooth.
        """
        if not psf.is_smooth:
            return cls._at_each(psf, x, y, box)
        column, across = _cells(x, box.x0 - 0.5, box.width)
        row, down = _cells(y, box.y0 - 0.5, box.height)
        corners = [(j, i) for j in (0, 1) for i in (0, 1)]
        weights = np.stack([np.abs(1 - j - down) * np.abs(1 - i - across) for j, i in corners], axis=1)
        n_columns = _n_cells(box.width) + 1
        numbers = np.stack([(row + j) * n_columns + column + i for j, i in corners], axis=1)
        needed, index = np.unique(numbers, return_inverse=True)
        nodes = np.zeros((len(needed), psf.size, psf.size))
        defined = np.zeros(len(needed))
        step_x, step_y = _step(box.width), _step(box.height)
        for k, (node_row, node_column) in enumerate(zip(*np.divmod(needed, n_columns), strict=True)):
            try:
                nodes[k] = psf.kernel_image(x=box.x0 - 0.5 + node_column * step_x, y=box.y0 - 0.5 + node_row * step_y)
                defined[k] = 1.0
            except PsfUndefinedError:
                continue
        index = index.reshape(-1, 4)
        weights = weights * defined[index]
        total = weights.sum(axis=1, keepdims=True)
        return cls(nodes, index, np.divide(weights, total, out=np.zeros_like(weights), where=total > 0))

    @classmethod
    def _at_each(cls, psf: Psf, x: FloatArray, y: FloatArray, box: Box) -> PsfLattice:
        """A node at every position, for a PSF that is not smooth; undefined where no stamp meets the image."""
        nodes, weights = np.zeros((len(x), psf.size, psf.size)), np.zeros((len(x), 4))
        beside_x, beside_y = np.abs(x - box.x_center) - 0.5 * box.width, np.abs(y - box.y_center) - 0.5 * box.height
        for k in np.flatnonzero(np.maximum(beside_x, beside_y) <= psf.size):
            with suppress(PsfUndefinedError):
                nodes[k], weights[k, 0] = psf.kernel_image(x=float(x[k]), y=float(y[k])), 1.0
        return cls(nodes, np.repeat(np.arange(len(x))[:, None], 4, axis=1), weights)

    def of(self, which: BoolArray | IntArray) -> PsfLattice:
        """The same for some of the positions."""
        return PsfLattice(self.nodes, self.index[which], self.weights[which])

    @property
    def typical_fwhm(self) -> float:
        """Median FWHM of the nodes by their noise-equivalent area, in pixels; a quarter of the stamp without any."""
        squares = (self.nodes**2).sum(axis=(1, 2))
        squares = squares[squares > 0]
        if len(squares) == 0:
            return 0.25 * float(self.nodes.shape[-1])
        return float(SIGMA_TO_FWHM * np.sqrt(1.0 / (4.0 * np.pi * np.median(squares))))

    def moments(self, *, sigma: float) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Adaptive second moments xx, yy, xy of the PSF at each position, in square pixels, blended from the nodes'.

        ``sigma`` is the width of the first weight, in pixels: about that of the PSF.
        """
        n, size = self.nodes.shape[0], self.nodes.shape[1]
        if n == 0:
            return np.empty(0), np.empty(0), np.empty(0)
        image = self.nodes.reshape(n * size, size).astype(np.float32)
        x = np.full(n, float(size // 2))
        found = adaptive_moments(
            image, np.ones_like(image), x, x + size * np.arange(n), sigma_start=sigma, radius=size // 2 - 3
        )
        blended = [(self.weights * v[self.index]).sum(axis=1) for v in (found.ixx, found.iyy, found.ixy)]
        return blended[0], blended[1], blended[2]

    def peaks(self) -> tuple[FloatArray, FloatArray]:
        """Central pixel and root of the sum of squares, sqrt(ΣP²), of the PSF at each position; NaN where undefined."""
        half = self.nodes.shape[-1] // 2
        height = (self.weights * self.nodes[:, half, half][self.index]).sum(axis=1)
        norm = (self.weights * np.sqrt((self.nodes**2).sum(axis=(1, 2)))[self.index]).sum(axis=1)
        defined = norm > 0
        return np.where(defined, height, np.nan), np.where(defined, norm, np.nan)


def _step(length: int) -> float:
    """Distance between nodes that divides a side evenly."""
    return length / _n_cells(length)


def _n_cells(length: int) -> int:
    """Number of cells along a side."""
    return max(1, int(np.ceil(length / NODE_SPACING_PX)))


def _cells(position: FloatArray, start: float, length: int) -> tuple[IntArray, FloatArray]:
    """Cell of each position along one axis, and the fraction of the way through it; clamped to the image."""
    n = _n_cells(length)
    scaled = np.clip((np.nan_to_num(position) - start) / _step(length), 0.0, n)
    cell = np.minimum(scaled.astype(np.int64), n - 1)
    return cell, scaled - cell
