"""Model: a trained forest, the features it looks at and how its sums become probabilities; kept in a small file."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from diapipe.errors import ReadError
from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.forest import Forest, forest_sums

PACKAGED = Path(__file__).with_name("reliability.npz")
"""The model that comes with the program."""

_SMALL = {"feature": np.int16, "threshold": np.float32, "left": np.int32, "right": np.int32, "value": np.float32}


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A forest with what surrounds it.

    Attributes
    ----------
    version
        Names the model.
    features
        Names of the columns that the forest looks at, in its order.
    forest
        Its sums are log-odds before calibration.
    calibration
        Constant and slope that turn these into true log-odds (Platt 1999).
    """

    version: str
    features: tuple[str, ...]
    forest: Forest
    calibration: tuple[float, float]

    def probability(self, table: FloatArray) -> FloatArray:
        """Calibrated probability of samples of shape (n, k); NaN where a feature is not known."""
        known = np.isfinite(table).all(axis=1)
        found = np.full(len(table), np.nan)
        constant, slope = self.calibration
        found[known] = 1.0 / (1.0 + np.exp(-(constant + slope * forest_sums(self.forest, table[known]))))
        return found

    def write(self, path: Path) -> None:
        """To a file, compressed, of the same bytes for the same model."""
        arrays = {name: np.asarray(getattr(self.forest, name), kind) for name, kind in _SMALL.items()}
        arrays |= {"roots": np.asarray(self.forest.roots, np.int32), "depth": np.array(self.forest.depth)}
        arrays |= {"calibration": np.array(self.calibration), "features": np.array(self.features)}
        with path.open("wb") as file:
            np.savez_compressed(file, version=np.array(self.version), allow_pickle=False, **arrays)


@cache
def read_model(path: Path) -> Model:
    """A model from its file.

    Raises
    ------
    ReadError
        If the file is missing or holds no model.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            nodes = {name: file[name].astype(np.int64) for name in ("feature", "left", "right", "roots")}
            nodes |= {name: file[name].astype(np.float64) for name in ("threshold", "value")}
            constant, slope = file["calibration"].tolist()
            return Model(
                version=str(file["version"]),
                features=tuple(file["features"].tolist()),
                forest=Forest(**nodes, depth=int(file["depth"])),
                calibration=(constant, slope),
            )
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ReadError(f"cannot read {path} as a model of `diapipe train-reliability`: {error}") from error
