"""Difference imaging for astronomy: subtract a template, find what changed, measure it honestly.

The names below are the public vocabulary; everything else is reached through its module. Each is imported at its first
use, so that ``import diapipe`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diapipe.errors import DiapipeError, InputError, NoWorkError, UsageError
    from diapipe.flow import DifferenceResult, difference_pair
    from diapipe.images import (
        Box,
        ChebyshevField,
        Difference,
        Exposure,
        Footprints,
        GaussianPsf,
        MaskedImage,
        MaskPlane,
        ObservationInfo,
        PhotoCalib,
        PolynomialPsf,
        Psf,
        SpatialKernel,
    )
    from diapipe.io import (
        ReadOptions,
        read_difference,
        read_exposure,
        read_parquet,
        write_difference,
        write_exposure,
    )
    from diapipe.recipe import Recipe
    from diapipe.simulate import PairSpec, simulate_pair

__version__ = "0.1.0"

__all__ = [
    "Box",
    "ChebyshevField",
    "DiapipeError",
    "Difference",
    "DifferenceResult",
    "Exposure",
    "Footprints",
    "GaussianPsf",
    "InputError",
    "MaskPlane",
    "MaskedImage",
    "NoWorkError",
    "ObservationInfo",
    "PairSpec",
    "PhotoCalib",
    "PolynomialPsf",
    "Psf",
    "ReadOptions",
    "Recipe",
    "SpatialKernel",
    "UsageError",
    "__version__",
    "difference_pair",
    "read_difference",
    "read_exposure",
    "read_parquet",
    "simulate_pair",
    "write_difference",
    "write_exposure",
]

_HOMES = {
    "diapipe.errors": "DiapipeError InputError NoWorkError UsageError",
    "diapipe.flow": "DifferenceResult difference_pair",
    "diapipe.recipe": "Recipe",
    "diapipe.images": "Box ChebyshevField Difference Exposure Footprints GaussianPsf MaskPlane MaskedImage "
    "ObservationInfo PhotoCalib PolynomialPsf Psf SpatialKernel",
    "diapipe.io": "ReadOptions read_difference read_exposure read_parquet write_difference write_exposure",
    "diapipe.simulate": "PairSpec simulate_pair",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    """Import a public name where it lives (PEP 562)."""
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'diapipe' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
