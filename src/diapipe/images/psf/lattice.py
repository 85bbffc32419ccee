"""PsfLattice: a PSF at many positions for the price of a few, by bilinear interpolation between nodes."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from diapipe.errors import PsfUndefinedError
from diapipe.images.box import Box
from diapipe.images.psf.base import SIGMA_TO_FWHM, Psf, PsfLayer
from diapipe.numerics.arrays import BoolArray, FloatArray, IntArray
from diapipe.numerics.moments import adaptive_moments
from diapipe.numerics.psf_photometry import blended

NODE_SPACING_PX = 400.0
"""Largest distance of neighbouring nodes. A PSF that changes by 5% over a 4k image is right to 3e-4 in between."""

LAYER_SPACING_PX = 800.0
"""That of a PSF that leaps, as a coadd's: its nodes hold what hardly changes. Where they held it as a whole, fluxes in
between were off by up to 18%."""

LAYER_CELLS = 3
"""Cells that it has along each side at least: the distortion of a small image may bend as much as that of a large."""

_SAMPLE = 256


@dataclass(frozen=True, slots=True, eq=False)
class PsfLattice:
    """PSF images around given positions.

    Attributes
    ----------
    nodes
        Images at the nodes that the positions need: the PSF there, or images of which it is a sum; shape (n_nodes,
        size, size).
    index
        The nodes around each position, four of every image; shape (n, n_around).
    weights
        Their weights; all 0 where the PSF is undefined. Of unit sum where the nodes are PSFs; shape (n, n_around).
    of_psfs
        Whether they are.
    """

    nodes: FloatArray
    index: IntArray
    weights: FloatArray
    of_psfs: bool = True

    @classmethod
    def around(cls, psf: Psf, *, x: FloatArray, y: FloatArray, box: Box) -> PsfLattice:
        """Evaluate the PSF at the nodes around the positions.

        Where it leaps, what is smooth in it (`Psf.layers`) is evaluated there, and put together as it is at each
        position; where nothing is known to be, the PSF is drawn at each.

        Parameters
        ----------
        psf
            The model.
        x, y
            Parent pixel coordinates, shape (n,).
        box
            The image: its corners are nodes, so the result for one position does not depend on the others.
        """
        reach = psf.size  # farther off no stamp meets the image, and a WCS gives what is no question to a PSF model
        near_x = np.clip(np.nan_to_num(x), box.x0 - reach, box.x1 + reach)
        near_y = np.clip(np.nan_to_num(y), box.y0 - reach, box.y1 + reach)
        layers = psf.layers(x=near_x, y=near_y)
        if layers is None:
            return cls._at_each(psf, x, y, box)
        at_least, spacing = (1, NODE_SPACING_PX) if psf.is_smooth else (LAYER_CELLS, LAYER_SPACING_PX)
        along_x, along_y = (
            np.linspace(first - 0.5, first + length - 0.5, max(at_least, int(np.ceil(length / spacing))) + 1)
            for first, length in ((box.x0, box.width), (box.y0, box.height))
        )
        grid = _Grid.of(x, y, along_x, along_y)
        parts = [grid.evaluated(layer, psf.size) for layer in layers]
        if len(parts) == 1:
            nodes, index, weights = parts[0]
        else:
            nodes, index, weights = _joined(parts)
        return cls(nodes, index, weights, psf.is_smooth)

    @classmethod
    def _at_each(cls, psf: Psf, x: FloatArray, y: FloatArray, box: Box) -> PsfLattice:
        """A node at every position; undefined where no stamp meets the image."""
        nodes, weights = np.zeros((len(x), psf.size, psf.size)), np.zeros((len(x), 4))
        beside_x, beside_y = np.abs(x - box.x_center) - 0.5 * box.width, np.abs(y - box.y_center) - 0.5 * box.height
        for k in np.flatnonzero(np.maximum(beside_x, beside_y) <= psf.size):
            with suppress(PsfUndefinedError):
                nodes[k], weights[k, 0] = psf.kernel_image(x=float(x[k]), y=float(y[k])), 1.0
        return cls(nodes, _own_index(len(x)), weights)

    @property
    def drawn(self) -> PsfLattice:
        """The same with nodes that are PSFs: one at every position, unless they are already."""
        if self.of_psfs:
            return self
        images = blended(self.nodes, self.index, self.weights, self.nodes.shape[-1] // 2)
        weights = np.zeros((len(images), 4))
        weights[:, 0] = self.weights.any(axis=1)
        return PsfLattice(images, _own_index(len(images)), weights)

    def of(self, which: BoolArray | IntArray) -> PsfLattice:
        """The same for some of the positions."""
        return PsfLattice(self.nodes, self.index[which], self.weights[which], self.of_psfs)

    @property
    def typical_fwhm(self) -> float:
        """Median FWHM of the nodes by their noise-equivalent area, in pixels; a quarter of the stamp without any.

        Where they are no PSFs, of `_SAMPLE` positions.
        """
        some = np.arange(0, len(self.index), max(1, len(self.index) // _SAMPLE))
        squares = ((self if self.of_psfs else self.of(some).drawn).nodes ** 2).sum(axis=(1, 2))
        squares = squares[squares > 0]
        if len(squares) == 0:
            return 0.25 * float(self.nodes.shape[-1])
        return float(SIGMA_TO_FWHM * np.sqrt(1.0 / (4.0 * np.pi * np.median(squares))))

    def moments(self, *, sigma: float) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Adaptive second moments xx, yy, xy of the PSF at each position, in square pixels, blended from the nodes'.

        ``sigma`` is the width of the first weight, in pixels: about that of the PSF.
        """
        if not self.of_psfs:
            return self.drawn.moments(sigma=sigma)
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
        if not self.of_psfs:
            return self.drawn.peaks()
        half = self.nodes.shape[-1] // 2
        height = (self.weights * self.nodes[:, half, half][self.index]).sum(axis=1)
        norm = (self.weights * np.sqrt((self.nodes**2).sum(axis=(1, 2)))[self.index]).sum(axis=1)
        defined = norm > 0
        return np.where(defined, height, np.nan), np.where(defined, norm, np.nan)


@dataclass(frozen=True, slots=True, eq=False)
class _Grid:
    """Nodes over an image: the numbers of the four around each position, their weights, and how they lie."""

    numbers: IntArray
    weights: FloatArray
    along_x: FloatArray
    along_y: FloatArray

    @classmethod
    def of(cls, x: FloatArray, y: FloatArray, along_x: FloatArray, along_y: FloatArray) -> _Grid:
        (column, across), (row, down) = _cells(x, along_x), _cells(y, along_y)
        corners = [(j, i) for j in (0, 1) for i in (0, 1)]
        weights = np.stack([np.abs(1 - j - down) * np.abs(1 - i - across) for j, i in corners], axis=1)
        numbers = np.stack([(row + j) * len(along_x) + column + i for j, i in corners], axis=1)
        return cls(numbers, weights, along_x, along_y)

    def evaluated(self, layer: PsfLayer, size: int) -> tuple[FloatArray, IntArray, FloatArray]:
        """The images of a layer at the nodes that it needs, and index and weights of every position."""
        (n, m), used = layer.shares.shape, layer.shares.any(axis=1)
        needed, index = np.unique(self.numbers[used], return_inverse=True)
        nodes, defined = np.zeros((len(needed), m, size, size)), np.zeros(len(needed))
        for k, number in enumerate(needed):
            with suppress(PsfUndefinedError):
                nodes[k], defined[k] = layer.images_at(*self._place(int(number))), 1.0
        around, weights = np.zeros((n, 4), np.int64), np.zeros((n, 4))
        around[used] = index.reshape(-1, 4)
        weights[used] = self.weights[used] * defined[around[used]]
        total = weights.sum(axis=1, keepdims=True)
        weights = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
        each = around[:, :, None] * m + np.arange(m)
        shares = weights[:, :, None] * layer.shares[:, None]
        return nodes.reshape(-1, size, size), each.reshape(n, 4 * m), shares.reshape(n, 4 * m)

    def _place(self, number: int) -> tuple[float, float]:
        """Where a node lies."""
        row, column = divmod(number, len(self.along_x))
        return float(self.along_x[column]), float(self.along_y[row])


def _joined(parts: list[tuple[FloatArray, IntArray, FloatArray]]) -> tuple[FloatArray, IntArray, FloatArray]:
    """Several layers as one, with as many nodes around each position as one of them has in use."""
    first = np.cumsum([0, *(len(nodes) for nodes, _, _ in parts)])
    index = np.concatenate([own + start for (_, own, _), start in zip(parts, first[:-1], strict=True)], axis=1)
    weights = np.concatenate([own for _, _, own in parts], axis=1)
    most = int((weights != 0.0).sum(axis=1).max(initial=4))
    order = np.argsort(weights == 0.0, axis=1, kind="stable")[:, :most]
    nodes = np.concatenate([nodes for nodes, _, _ in parts])
    return nodes, np.take_along_axis(index, order, axis=1), np.take_along_axis(weights, order, axis=1)


def _own_index(n: int) -> IntArray:
    """Four times the position's own node."""
    return np.repeat(np.arange(n)[:, None], 4, axis=1)


def _cells(position: FloatArray, nodes: FloatArray) -> tuple[IntArray, FloatArray]:
    """Cell of each position along one axis, and the fraction of the way through it; clamped to the image."""
    n = len(nodes) - 1
    scaled = np.clip((np.nan_to_num(position) - nodes[0]) / (nodes[1] - nodes[0]), 0.0, n)
    cell = np.minimum(scaled.astype(np.int64), n - 1)
    return cell, scaled - cell
