"""Names for the array types that the whole package speaks of."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

type FloatArray = NDArray[np.float64]
type Float32Array = NDArray[np.float32]
type RealArray = NDArray[np.floating[Any]]
type IntArray = NDArray[np.int64]
type MaskArray = NDArray[np.int32]
type BoolArray = NDArray[np.bool_]
