"""WeightMap: how much an image counts at every position of a stack."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diapipe.errors import InputError
from diapipe.numerics.arrays import Float32Array, FloatArray, RealArray


@dataclass(frozen=True, slots=True, eq=False)
class WeightMap:
    """Weights at the nodes of a regular grid, bilinear in between, constant beyond.

    Attributes
    ----------
    values
        Not negative, float32, shape (n_rows, n_columns).
    x0, y0
        Position of node (0, 0) in parent coordinates.
    step
        Pixels between nodes.

    Raises
    ------
    InputError
        If there is no node, or a weight is negative or no number.
    """

    values: Float32Array
    x0: float
    y0: float
    step: float

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.size == 0 or not (self.values >= 0).all() or not self.step > 0:
            raise InputError(
                f"a WeightMap needs nodes with weights of 0 or more, not an array {self.values.shape} with "
                f"{int(np.count_nonzero(~(self.values >= 0)))} others, every {self.step} px"
            )

    @classmethod
    def constant(cls, value: float) -> WeightMap:
        """The same weight everywhere."""
        return cls(np.full((1, 1), value, np.float32), 0.0, 0.0, 1.0)

    def at(self, *, x: RealArray | float, y: RealArray | float) -> FloatArray:
        """Weights at positions; the shape of ``x``."""
        row, down = _cell(y, self.y0, self.step, self.values.shape[0])
        column, across = _cell(x, self.x0, self.step, self.values.shape[1])
        row_after = np.minimum(row + 1, self.values.shape[0] - 1)
        column_after = np.minimum(column + 1, self.values.shape[1] - 1)
        lower = (1 - across) * self.values[row, column] + across * self.values[row, column_after]
        upper = (1 - across) * self.values[row_after, column] + across * self.values[row_after, column_after]
        return np.asarray((1 - down) * lower + down * upper, dtype=np.float64)


def _cell(
    position: RealArray | float, origin: float, step: float, n: int
) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.intp]], FloatArray]:
    """Node before each position along one axis, and the fraction of the way to the next."""
    u = np.clip((np.asarray(position, dtype=np.float64) - origin) / step, 0.0, n - 1.0)
    cell = np.minimum(np.floor(u).astype(np.intp), max(n - 2, 0))
    return cell, u - cell
