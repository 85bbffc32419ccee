"""What a source stands in: masked pixels, brighter noise, saturated light."""

from __future__ import annotations

import numpy as np

from diapipe.images.mask import SATURATED_DIFFERENCE, UNUSABLE_DIFFERENCE, MaskPlane
from diapipe.numerics.arrays import FloatArray, MaskArray
from diapipe.steps.classify.seen import Seen

_AWAY = 4.0
"""Distance of what is not there, FWHM."""
_RAYS = MaskPlane.CR | MaskPlane.CR_TEMPLATE
_LINES = MaskPlane.STREAK | MaskPlane.STREAK_TEMPLATE
_BORDERS = MaskPlane.EDGE | MaskPlane.NO_DATA | MaskPlane.EDGE_TEMPLATE | MaskPlane.NO_DATA_TEMPLATE
_DEFECTS = MaskPlane.BAD | MaskPlane.BAD_TEMPLATE


def surrounding_features(seen: Seen, mask: MaskArray) -> dict[str, FloatArray]:
    """Features of mask and noise, each of shape (n,)."""
    told = {"coverage": seen.coverage, "unusable": _share(seen, mask, UNUSABLE_DIFFERENCE)}
    for name, planes in {
        "saturated": SATURATED_DIFFERENCE, "ray": _RAYS, "line": _LINES, "border": _BORDERS, "defect": _DEFECTS,
    }.items():  # fmt: skip
        told[f"{name}_distance"] = _distance(seen, mask, planes)
    return told | _noise(seen)


def _share(seen: Seen, mask: MaskArray, planes: MaskPlane) -> FloatArray:
    """Part of the pixels within three FWHM that have one of the planes."""
    inside = seen.radius < 3.0
    hit = inside & ((mask & np.int32(int(planes))) != 0)
    return np.asarray(hit.sum(axis=(1, 2)) / np.maximum(inside.sum(axis=(1, 2)), 1), dtype=np.float64)


def _distance(seen: Seen, mask: MaskArray, planes: MaskPlane) -> FloatArray:
    """Distance of the nearest pixel with one of the planes, FWHM."""
    hit = (mask & np.int32(int(planes))) != 0
    return np.asarray(np.minimum(np.where(hit, seen.radius, _AWAY).min(axis=(1, 2)), _AWAY))


def _noise(seen: Seen) -> dict[str, FloatArray]:
    """Noise at the source over that around it, and how far pixels around scatter beyond theirs."""
    core, around = seen.within(0.0, 0.5), seen.within(1.75, 3.0)
    quiet = np.where(seen.within(0.0, 3.0), seen.sigma, np.inf).min(axis=(1, 2))
    here = np.where(core, seen.sigma, 0.0).sum(axis=(1, 2)) / np.maximum(core.sum(axis=(1, 2)), 1)
    n = np.maximum(around.sum(axis=(1, 2)), 1)
    ring = np.where(around, seen.pull, 0.0)
    mean = ring.sum(axis=(1, 2)) / n
    large = (around & (np.abs(seen.pull) > 3.0)).sum(axis=(1, 2)) / n
    return {
        "noise_ratio": np.clip(np.log10(np.maximum(here, 1e-30) / np.where(quiet < np.inf, quiet, 1.0)), -1.0, 2.0),
        "around_level": np.clip(mean, -3.0, 3.0),
        "around_large": large,
    }
