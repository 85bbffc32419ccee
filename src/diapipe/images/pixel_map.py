"""PixelMap: where the pixels of one image lie on another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from diapipe.images.box import Box
from diapipe.numerics.arrays import FloatArray, RealArray
from diapipe.numerics.gridding import cubic_weights

type PositionMap = Callable[[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]


@dataclass(frozen=True, slots=True, eq=False)
class PixelMap:
    """Positions on a source image of the pixels of a target image: a coarse grid, cubic interpolation in between.

    Attributes
    ----------
    x, y
        Source positions (parent coordinates) at the nodes, shape (n_rows, n_columns); NaN where there is none.
    x0, y0
        Target position of node (0, 0).
    step
        Target pixels between nodes.
    """

    x: FloatArray
    y: FloatArray
    x0: int
    y0: int
    step: int

    @classmethod
    def sampled(cls, positions: PositionMap, box: Box, *, step: int | None = None) -> PixelMap:
        """Sample a mapping over a box of the target, one node more on every side.

        Parameters
        ----------
        positions
            From target (x, y) to source (x, y), arrays of one shape.
        box
            Target pixels to be mapped.
        step
            Pixels between nodes; None takes 64, and less on small images, so that a polynomial of order 7 over the box
            is still followed to 1e-4 of its amplitude.
        """
        spacing = step or max(4, min(64, min(box.shape) // 32))
        x = box.x0 + spacing * np.arange(-1.0, np.ceil(box.width / spacing) + 2)
        y = box.y0 + spacing * np.arange(-1.0, np.ceil(box.height / spacing) + 2)
        grid_x, grid_y = np.meshgrid(x, y)
        source_x, source_y = positions(grid_x, grid_y)
        return cls(source_x, source_y, int(x[0]), int(y[0]), spacing)

    @property
    def node_positions(self) -> tuple[FloatArray, FloatArray]:
        """Target x and y of the nodes, shape of ``x``."""
        rows, columns = self.x.shape
        x, y = np.meshgrid(np.arange(columns), np.arange(rows))
        return self.x0 + self.step * x.astype(np.float64), self.y0 + self.step * y.astype(np.float64)

    def at(self, *, x: RealArray | float, y: RealArray | float) -> tuple[FloatArray, FloatArray]:
        """Source x and y of target positions; the shape of ``x``."""
        rows, along_y, _ = self._cells(y, self.y0, self.x.shape[0])
        columns, along_x, _ = self._cells(x, self.x0, self.x.shape[1])
        return self._summed(rows, columns, along_y, along_x)

    def affine_at(self, *, x: float, y: float) -> FloatArray:
        """Local derivative ∂(source x, y)/∂(target x, y), shape (2, 2)."""
        rows, along_y, slope_y = self._cells(y, self.y0, self.x.shape[0])
        columns, along_x, slope_x = self._cells(x, self.x0, self.x.shape[1])
        by_x, by_y = (
            self._summed(rows, columns, along_y, slope_x),
            self._summed(rows, columns, slope_y, along_x),
        )
        return np.array([[by_x[0], by_y[0]], [by_x[1], by_y[1]]], dtype=np.float64)

    @property
    def mean_affine(self) -> FloatArray:
        """Derivative ∂(source x, y)/∂(target x, y), shape (2, 2), median over the nodes; NaN if nothing is mapped."""
        slopes = [np.gradient(nodes, self.step, axis=axis) for nodes in (self.x, self.y) for axis in (1, 0)]
        middle = [np.median(s[np.isfinite(s)]) if np.isfinite(s).any() else np.nan for s in slopes]
        return np.array(middle, dtype=np.float64).reshape(2, 2)

    def area_at_nodes(self) -> FloatArray:
        """Source pixels per target pixel at the nodes: |det ∂(source)/∂(target)|; shape of ``x``."""
        x_by_y, x_by_x = np.gradient(self.x, self.step, edge_order=2)
        y_by_y, y_by_x = np.gradient(self.y, self.step, edge_order=2)
        return np.asarray(np.abs(x_by_x * y_by_y - x_by_y * y_by_x))

    @property
    def scale(self) -> float:
        """Source pixels per target pixel along one axis, median over the nodes; NaN where nothing is mapped."""
        area = self.area_at_nodes()
        return float(np.sqrt(np.median(area[np.isfinite(area)]))) if np.isfinite(area).any() else float("nan")

    def source_box(self, margin: int = 0) -> Box | None:
        """Smallest box that holds all mapped positions, grown by ``margin``; None if none is finite."""
        good = np.isfinite(self.x) & np.isfinite(self.y)
        if not good.any():
            return None
        x, y = self.x[good], self.y[good]
        box = Box(int(y.min() // 1), int(y.max() // 1) + 1, int(x.min() // 1), int(x.max() // 1) + 1)
        return box.dilated(margin)

    def moved(self, dx: FloatArray, dy: FloatArray) -> PixelMap:
        """The map with source positions moved by values given at the nodes."""
        return PixelMap(self.x + dx, self.y + dy, self.x0, self.y0, self.step)

    def _cells(
        self, position: RealArray | float, origin: int, n_nodes: int
    ) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.intp]], FloatArray, FloatArray]:
        """First of the four nodes around each position, with the weights of value and of derivative, shape (4, ...)."""
        u = (np.asarray(position, dtype=np.float64) - origin) / self.step
        cell = np.clip(np.floor(u).astype(np.intp), 1, n_nodes - 3)
        values, slopes = cubic_weights(u - cell)
        return cell - 1, values, slopes / self.step

    def _summed(
        self,
        rows: np.ndarray[tuple[int, ...], np.dtype[np.intp]],
        columns: np.ndarray[tuple[int, ...], np.dtype[np.intp]],
        along_y: FloatArray,
        along_x: FloatArray,
    ) -> tuple[FloatArray, FloatArray]:
        source_x, source_y = np.zeros(np.shape(rows)), np.zeros(np.shape(rows))
        for j in range(4):
            for i in range(4):
                weight = along_y[j] * along_x[i]
                source_x = source_x + weight * self.x[rows + j, columns + i]
                source_y = source_y + weight * self.y[rows + j, columns + i]
        return source_x, source_y
