"""MeshField: a smooth number over an image, known at the centres of a mesh."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from diapipe.images.box import Box
from diapipe.numerics import background as meshes
from diapipe.numerics.arrays import Float32Array, FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class MeshField:
    """A smooth level over an image: values at the centres of a mesh and the natural cubic spline through them.

    Attributes
    ----------
    values
        Shape (n_y, n_x).
    x, y
        Centres of the cells in parent coordinates, shapes (n_x,) and (n_y,).
    """

    values: FloatArray
    x: FloatArray
    y: FloatArray

    @property
    def level(self) -> float:
        """Median over the mesh."""
        return float(np.median(self.values))

    def over(self, box: Box) -> Float32Array:
        """The level at every pixel of ``box``; float32, shape ``box.shape``."""
        return self.rows(box)(0, box.height)

    def rows(self, box: Box) -> Callable[[int, int], Float32Array]:
        """Function that gives the level on rows ``first`` to ``last`` of ``box``: for work in bands."""
        across = meshes.spline_matrix(self.x, np.arange(box.x0, box.x1, dtype=np.float64)).T.astype(np.float32)
        down = meshes.spline_matrix(self.y, np.arange(box.y0, box.y1, dtype=np.float64)) @ self.values
        along = np.ascontiguousarray(across)
        level = down.astype(np.float32)
        return lambda first, last: level[first:last] @ along
