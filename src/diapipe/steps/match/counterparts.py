"""Which candidates are a star in one image only, or of quite another brightness: they tell nothing of a kernel."""

from __future__ import annotations

import numpy as np

from diapipe.numerics.arrays import BoolArray, Float32Array, FloatArray

SURE_SIGMA = 5.0
"""A star is in the other image, too, if it is seen there with this significance; such stars tell the usual ratio."""

UNLIKE = 2.0
"""A ratio of fluxes this many times the usual one, or so many times less, is that of another star, or of none."""

_DOUBT_SIGMA = 3.0


def echo(target: Float32Array, reference: Float32Array, variance: Float32Array, good: BoolArray) -> tuple[float, float]:
    """How much of the reference's light the target has in the middle of a stamp, and the error of that.

    The weighted mean of T / R with the weights R², both above their medians: what a fit of R to T gives. NaN where
    there is no light, or where the innermost pixels are not all usable: PSFs differ, and their wings are not to be
    judged without their cores.

    Parameters
    ----------
    target, reference
        Pixels of a square stamp.
    variance
        Of the target.
    good
        Usable pixels.
    """
    core, inner = (slice(n, len(good) - n) for n in (len(good) // 4, 3 * len(good) // 8))
    usable = good[core, core]
    if not good[inner, inner].all():
        return np.nan, np.nan
    light = np.where(usable, reference[core, core] - np.median(reference[good]), 0.0).astype(np.float64)
    other = np.where(usable, target[core, core] - np.median(target[good]), 0.0)
    power = float((light**2).sum())
    if power <= 0.0:
        return np.nan, np.nan
    noise = float((light**2 * np.where(usable, variance[core, core], 0.0)).sum())
    return float((light * other).sum()) / power, np.sqrt(noise) / power


def without_counterpart(part: FloatArray, error: FloatArray, why: list[str]) -> list[str]:
    """Reasons against candidates whose light the other image does not have; those of ``why`` stand.

    Judged by the median of what is surely in both, so that it does not matter how many are in one only, and with three
    errors of doubt, so that faint stars on a shallow image stay.

    Parameters
    ----------
    part, error
        By `echo`, shape (n,).
    why
        What already speaks against each, '' for nothing.
    """
    among = np.array([not reason for reason in why]) & np.isfinite(part) & np.isfinite(error)
    sure = among & (part > SURE_SIGMA * error)
    if not sure.any():
        return why
    usual, doubt = float(np.median(part[sure])), _DOUBT_SIGMA * error
    unlike = among & ((part + doubt < usual / UNLIKE) | (part - doubt > usual * UNLIKE))
    return [old or ("another flux in the other image" if out else "") for old, out in zip(why, unlike, strict=True)]
