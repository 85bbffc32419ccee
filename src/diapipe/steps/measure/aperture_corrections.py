"""Aperture corrections: PSF fluxes brought onto the scale of aperture fluxes, on which images are calibrated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diapipe.images import Exposure
from diapipe.images.aperture_corrections import correction_at
from diapipe.steps.limits import Limited

_FLAG_OF = {"psfFlux": "psfFlux", "scienceFlux": "forced_PsfFlux", "templateFlux": "forced_template_PsfFlux"}
"""Flux column: prefix of its flags."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApertureCorrections(Limited):
    """Which fluxes are corrected, and how.

    Attributes
    ----------
    fluxes
        PSF fluxes that are multiplied by the correction of their image, with their errors; empty for none. Those on the
        difference and on the template take that of the image whose PSF they have.
    include_error
        Whether the error of the correction, where the image brings one, becomes part of that of the flux.
    flag_missing
        Whether a flux without a usable correction is flagged as poor; otherwise only ``*_flag_apCorr`` tells.
    """

    fluxes: tuple[str, ...] = ("psfFlux", "scienceFlux", "templateFlux")
    include_error: bool = False
    flag_missing: bool = False


def corrected(
    columns: Mapping[str, NDArray[Any]], difference: Exposure, science: Exposure, *, options: ApertureCorrections
) -> dict[str, NDArray[Any]]:
    """Columns that the corrections change or add.

    Parameters
    ----------
    columns
        With ``x``, ``y`` and the fluxes; one that is missing is left out.
    difference, science
        Whose `Exposure.aperture_corrections` are looked up.
    options
        Which fluxes, and how.

    Notes
    -----
    F' = c F, σ' = c σ with c the value of the map at the source, and (σ')² + (σ_c F)² if ``include_error``. Where the
    map is missing, not finite or not positive the flux stays as it is and ``*_flag_apCorr`` is set.
    """
    changed: dict[str, NDArray[Any]] = {}
    for name in options.fluxes:
        if name in columns:
            image = science if name == "scienceFlux" else difference
            changed |= _one(name, columns, image, options)
    return changed


def _one(
    name: str, columns: Mapping[str, NDArray[Any]], image: Exposure, options: ApertureCorrections
) -> dict[str, NDArray[Any]]:
    """Columns of one flux."""
    factor, error = correction_at(image, x=columns["x"], y=columns["y"])
    with np.errstate(invalid="ignore"):
        missing = ~(np.isfinite(factor) & (factor > 0.0))
    factor, error = np.where(missing, 1.0, factor), np.where(missing, 0.0, error)
    flux, flux_err = columns[name], columns[f"{name}Err"]
    scaled = factor * flux_err
    flag = f"{_FLAG_OF[name]}_flag"
    return {
        name: factor * flux,
        f"{name}Err": np.hypot(scaled, error * flux) if options.include_error else scaled,
        f"{name}_apCorr": np.where(missing, np.nan, factor),
        f"{name}_apCorrErr": np.where(missing, np.nan, error),
        f"{flag}_apCorr": missing,
        flag: columns[flag] | missing if options.flag_missing else columns[flag],
    }
