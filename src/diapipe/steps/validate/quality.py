"""The noise of differences on empty sky, and what is left of their stars: of one, and of many together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from astropy.table import Table

from diapipe.catalogs.stars import BRIGHT_SIGNAL_TO_NOISE
from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.stats import robust_sigma
from diapipe.steps.validate.bins import MAG_STEP, number

type Quality = Mapping[str, Mapping[str, Any]]
"""``noise`` and ``stars`` of a difference, as in its `summary.json`."""

NOISE = ("n_pixels", "pixel_sigma", "lag1_x", "lag1_y", "largest_lag", "score_mean", "score_sigma")
"""What is told of the noise: over its claimed sigma, correlation with the next pixel, the largest at any lag, score."""
_STARS = ("magnitude", "reduced_chi2", "residual_fraction", "residual_fraction_err")
_FEWEST = 5
_AT_MOST = 2000
"""Stars kept for a figure."""


def together(parts: Sequence[Quality]) -> dict[str, dict[str, Any]]:
    """The quality of several differences in the form of one: means by pixels, all stars of one kind of magnitude.

    Empty where nothing is known.
    """
    found = {"noise": _noise([part["noise"] for part in parts]), "stars": _stars([part["stars"] for part in parts])}
    return {name: values for name, values in found.items() if values}


def noise_numbers(noise: Mapping[str, Any]) -> dict[str, float | None]:
    """Those of `NOISE`, of one difference or of several together."""
    lags = _array(noise["autocorrelation"])
    lags[len(lags) // 2, len(lags) // 2] = 0.0
    values = {name: noise.get(name) for name in NOISE} | {"largest_lag": _largest(lags)}
    return {name: None if value is None else number(float(value)) for name, value in values.items()}


def star_numbers(stars: Mapping[str, Any]) -> dict[str, float | None]:
    """How many stars, and the median of their reduced χ², bright and faint."""
    chi2, error = (_array(stars[name]) for name in ("reduced_chi2", "residual_fraction_err"))
    bright = error * BRIGHT_SIGNAL_TO_NOISE < 1.0
    parts = {"bright": chi2[bright], "faint": chi2[~bright]}
    medians = {f"chi2_{name}": float(np.nanmedian(v)) if np.isfinite(v).any() else None for name, v in parts.items()}
    return {"n": len(chi2), "n_bright": int(bright.sum()), **medians}


def star_table(stars: Mapping[str, Any]) -> Table:
    """Residuals of stars by magnitude: ``from``, ``to``, ``n``, and

    ``chi2`` (median of the reduced χ²), ``left`` (median of the flux left over the star's), ``left_err``, and
    ``pull_sigma`` (robust scatter of what is left over its claimed error).
    """
    rows = []
    if stars:
        mag, chi2, left, error = (_array(stars[name]) for name in _STARS)
        step = np.floor(mag / MAG_STEP)
        for low in np.unique(step[np.isfinite(step)]):
            chosen = (step == low) & np.isfinite(chi2) & (error > 0)
            n = int(np.count_nonzero(chosen))
            if n >= _FEWEST:
                median = float(np.median(left[chosen]))
                scatter = 1.2533 * robust_sigma(left[chosen]) / np.sqrt(n)
                pull = robust_sigma(left[chosen] / error[chosen])
                rows.append(
                    (MAG_STEP * low, MAG_STEP * (low + 1), n, float(np.median(chi2[chosen])), median, scatter, pull)
                )
    names = ("from", "to", "n", "chi2", "left", "left_err", "pull_sigma")
    return Table(rows=rows or None, names=names, dtype=("f8", "f8", "i8", *["f8"] * 4))


def _noise(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means weighted by the pixels that were looked at; counts are summed."""
    known = [part for part in parts if part["n_pixels"] and part["pixel_sigma"] is not None]
    if not known:
        return {}
    weight = np.array([part["n_pixels"] for part in known], dtype=np.float64)

    def mean(name: str, power: int = 1) -> Any:
        values = np.array([_array(part[name]) for part in known])
        at = weight.reshape(-1, *[1] * (values.ndim - 1)) * np.isfinite(values)  # little sky lacks some lags
        with np.errstate(invalid="ignore"):
            return (np.sum(at * np.nan_to_num(values) ** power, axis=0) / at.sum(axis=0)) ** (1.0 / power)

    return {
        "n_pixels": int(weight.sum()),
        "pixel_sigma": float(mean("pixel_sigma", 2)),
        **{name: float(mean(name)) for name in ("lag1_x", "lag1_y", "score_mean")},
        "score_sigma": float(mean("score_sigma", 2)),
        "autocorrelation": mean("autocorrelation").tolist(),
        "score_edges": known[0]["score_edges"],
        "score_counts": np.sum([part["score_counts"] for part in known], axis=0).tolist(),
    }


def _stars(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """All stars whose magnitudes are of one kind, that of the first difference that has any."""
    known = [part for part in parts if part["n"]]
    if not known:
        return {}
    kind = known[0]["magnitude_kind"]
    columns = {
        name: np.concatenate([_array(part[name]) for part in known if part["magnitude_kind"] == kind])
        for name in _STARS
    }
    n = len(columns["magnitude"])
    kept = slice(None, None, max(1, -(-n // _AT_MOST)))
    found: dict[str, Any] = {name: values[kept].tolist() for name, values in columns.items()}
    found |= {"n": len(found["magnitude"]), "magnitude_kind": kind}
    return found | {"median_reduced_chi2_bright": star_numbers(found)["chi2_bright"]}


def _array(values: Any) -> FloatArray:
    """Numbers of JSON, None being NaN."""
    return np.array(values, dtype=np.float64)


def _largest(values: FloatArray) -> float:
    """The value farthest from 0."""
    flat = values.ravel()
    return float(flat[np.argmax(np.nan_to_num(np.abs(flat)))])
