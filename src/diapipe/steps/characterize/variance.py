"""The variance plane: made from gain and read noise, or checked against the scatter that the pixels show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diapipe.errors import InputError
from diapipe.images import Exposure, MaskPlane
from diapipe.numerics.arrays import Float32Array, MaskArray
from diapipe.numerics.jit import jit
from diapipe.steps.characterize.noise import SkyNoise
from diapipe.steps.limits import Limited

LEAST = np.float32(1e-30)
"""Variances below this have an inverse that overflows single precision in sums: no noise is so small."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variance(Limited):
    """How the variance is made and checked.

    Attributes
    ----------
    gain_electrons
        Electrons per count; None: as the exposure says, else estimated.
    read_noise_electrons
        Of a pixel; None: as the exposure says, else 0.
    tolerance
        A claimed variance within this fraction of the measured one stays as it is.
    largest_factor
        A given variance is rescaled by at most this factor or its inverse; beyond it, its unit is wrong.
    signal_sigma
        The smoothed signal counts towards the variance where it is this significant.
    """

    may_be_zero = ("read_noise_electrons", "tolerance", "signal_sigma")

    gain_electrons: float | None = None
    read_noise_electrons: float | None = None
    tolerance: float = 0.03
    largest_factor: float = 10.0
    signal_sigma: float = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseModel:
    """Variance of a pixel = constant + (sky if ``with_sky``) / gain + signal / gain, in squared counts.

    Attributes
    ----------
    gain
        Electrons per count; None if nothing tells, so that bright sources get no noise of their own.
    gain_source
        ``"given"``, ``"option"``, ``"estimated"`` or ``"unknown"``.
    """

    constant: float
    with_sky: bool
    gain: float | None
    gain_source: str
    reason: str


def noise_model(exposure: Exposure, *, sky_level: float, measured: float, options: Variance) -> NoiseModel:
    """Decide how the variance follows from the counts.

    Parameters
    ----------
    exposure
        Brings gain and read noise, if anyone does.
    sky_level
        Typical sky, in counts.
    measured
        Measured variance of source-free pixels, in squared counts.
    options
        May bring gain and read noise of their own.
    """
    gain, source = _gain(exposure, options)
    read = options.read_noise_electrons if options.read_noise_electrons is not None else exposure.info.read_noise
    if gain is not None:
        floor = ((read or 0.0) / gain) ** 2
        claimed = max(sky_level, 0.0) / gain + floor
        if claimed > 0 and 0.5 < measured / claimed < 2.0:
            return NoiseModel(
                constant=floor, with_sky=True, gain=gain, gain_source=source, reason="gain and read noise"
            )
        reason = (
            f"measured scatter {np.sqrt(measured):.4g} and gain: sky {sky_level:.4g} and gain {gain:.3g} would give "
            f"{np.sqrt(claimed):.4g}, so the sky was subtracted before or the gain is off"
        )
        return NoiseModel(constant=measured, with_sky=False, gain=gain, gain_source=source, reason=reason)
    if sky_level > 10.0 * np.sqrt(measured):
        gain = sky_level / measured
        reason = f"gain {gain:.3g} estimated from sky level and scatter, as if the sky's photons were all of the noise"
        return NoiseModel(constant=0.0, with_sky=True, gain=gain, gain_source="estimated", reason=reason)
    return NoiseModel(
        constant=measured,
        with_sky=False,
        gain=None,
        gain_source="unknown",
        reason="measured scatter: the gain is unknown",
    )


def _gain(exposure: Exposure, options: Variance) -> tuple[float | None, str]:
    """Gain from the options or the exposure, if it is a usable number."""
    for gain, source in ((options.gain_electrons, "option"), (exposure.info.gain, "given")):
        if gain is not None and np.isfinite(gain) and gain > 0:
            return float(gain), source
    return None, "unknown"


def of_sky(model: NoiseModel, level: Float32Array | None, shape: tuple[int, int]) -> Float32Array:
    """Variance of the sky alone; ``level`` is the sky in counts where the model wants it. Shape ``shape``."""
    if level is None or model.gain is None:
        return np.full(shape, model.constant, np.float32)
    return np.asarray(np.maximum(level, 0.0) / np.float32(model.gain) + np.float32(model.constant), dtype=np.float32)


@jit
def add_signal(
    image: Float32Array,
    variance: Float32Array,
    out: Float32Array,
    first: int,
    last: int,
    per_count: float,
    n_sigma: float,
) -> None:
    """Fill rows of ``out`` with ``variance`` plus the smoothed signal's share; see `with_signal`."""
    n_rows, n_columns = image.shape
    column = np.zeros(n_columns, np.float32)
    for y in range(first, last):
        above, below = max(0, y - 1), min(n_rows - 1, y + 1)
        for x in range(n_columns):
            column[x] = np.float32(0.25) * (image[above, x] + image[below, x]) + np.float32(0.5) * image[y, x]
        for x in range(n_columns):
            left, right = max(0, x - 1), min(n_columns - 1, x + 1)
            signal = np.float32(0.25) * (column[left] + column[right]) + np.float32(0.5) * column[x]
            limit = np.float32(n_sigma * n_sigma * 0.140625) * variance[y, x]
            is_signal = signal * signal > limit
            more = signal * np.float32(per_count) if is_signal else np.float32(0.0)
            least = np.float32(0.1) * variance[y, x]
            out[y, x] = max(variance[y, x] + more, least)


def with_signal(image: Float32Array, sky_variance: Float32Array, *, gain: float | None, n_sigma: float) -> Float32Array:
    """Variance of sky and sources.

    The sources' counts are smoothed by the 3 x 3 binomial filter first, and count only where they exceed ``n_sigma`` of
    the smoothed noise (0.375 of a pixel's): a variance that follows a pixel's own noise gives low pixels high weight,
    and inverse-variance fluxes come out too small. Counts far below the mesh, as between the stars of a crowded field,
    count as well, down to a tenth of the sky's variance.
    """
    if gain is None:
        return sky_variance
    out = np.empty_like(sky_variance)
    clean = np.nan_to_num(image, nan=0.0, posinf=0.0, neginf=0.0) if not np.isfinite(image.sum()) else image
    add_signal(clean, sky_variance, out, 0, len(image), 1.0 / gain, n_sigma)
    return out


@dataclass(frozen=True, slots=True, eq=False)
class Checked:
    """A variance plane that agrees with the measured scatter, the factor applied to it, and why."""

    variance: Float32Array
    mask: MaskArray
    factor: float
    measured_factor: float
    reason: str


def flag_impossible(variance: Float32Array, mask: MaskArray, name: str) -> MaskArray:
    """Mask with BAD where a given variance is not a positive, finite number.

    Raises
    ------
    InputError
        If that is so everywhere that the mask leaves.
    """
    possible = (variance > LEAST) & (variance < np.float32(np.inf))
    if possible.all():
        return mask
    if not possible.any():
        raise InputError(
            f"the variance of {name} has no positive finite pixel; the squared unit of the image is needed"
        )
    return np.where(possible, mask, mask | np.int32(MaskPlane.BAD))


def check(variance: Float32Array, mask: MaskArray, noise: SkyNoise, *, name: str, options: Variance) -> Checked:
    """Compare a variance with the scatter measured in its units, and rescale it where they disagree.

    Parameters
    ----------
    variance, mask
        The claimed plane, and the mask that goes with it.
    noise
        Noise of image / sqrt(variance) between the sources: its variance is the factor.
    name
        What messages call the image.
    options
        Tolerance and limit.

    Raises
    ------
    InputError
        If they disagree by more than ``largest_factor``: the plane then is something else, or in another unit.
    """
    factor = noise.variance
    if not np.isfinite(factor) or factor <= 0:
        return Checked(variance, mask, 1.0, float("nan"), "kept: no source-free pixels to check it on")
    claimed = float(np.sqrt(np.median(variance[:: max(1, len(variance) // 64)])))
    found = claimed * float(np.sqrt(factor))
    if not 1.0 / options.largest_factor <= factor <= options.largest_factor:
        raise InputError(
            f"the variance of {name} claims a sky noise of {claimed:.4g}, the pixels scatter by {found:.4g} (variance "
            f"ratio {factor:.3g}); it must agree within a factor of {options.largest_factor:g}, in the squared unit of "
            "the image; name its extension ERR or WEIGHT if it is an error or a weight",
            factor=factor,
        )
    if abs(factor - 1.0) <= options.tolerance:
        return Checked(variance, mask, 1.0, factor, f"kept: the measured variance is {factor:.3f} of the claimed one")
    reason = f"multiplied by {factor:.3f}: it claimed a sky noise of {claimed:.4g}, the pixels scatter by {found:.4g}"
    return Checked(variance * np.float32(factor), mask, factor, factor, reason)
