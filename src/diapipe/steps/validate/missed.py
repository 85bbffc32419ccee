"""Why a true change was missed, so that a person sees it: no data, masked, flagged by what, blended, too faint."""

from __future__ import annotations

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from diapipe.catalogs.flag_names import PIXEL_FLAGS
from diapipe.catalogs.schema import DIA_SOURCE
from diapipe.images import UNUSABLE_DIFFERENCE, Difference, MaskPlane
from diapipe.numerics import pairs
from diapipe.numerics.arrays import FloatArray, IntArray
from diapipe.steps.validate.nearness import places_of
from diapipe.steps.validate.truth import unusable_planes

LISTED_SNR = 10.0
"""What is brighter and was missed is listed one by one."""
BLEND_FWHM = 2.0
"""A source nearer than this to a change that has none of its own may hold its light."""
NO_TEMPLATE, NO_DATA, MASKED, FLAGGED, BLENDED, FAINT, UNDETECTED, UNKNOWN, CROWDED = (
    *("no template", "no data", "masked", "flagged", "blended", "below threshold", "not detected", "not known"),
    "another change beside it",
)
"""Causes; after a colon may stand what it was."""
_RESIDUALS = tuple(column.name for column in DIA_SOURCE if column.name.startswith("dp_residual_"))
_BAD_PIXELS = tuple(f"pixelFlags_{name}" for name, plane in PIXEL_FLAGS.items() if plane & UNUSABLE_DIFFERENCE)


def why_missed(
    difference: Difference, dia_sources: Table, seen: Table, found: IntArray, *, snr_there: FloatArray, threshold: float
) -> NDArray[np.str_]:
    """A cause for each true change that counts as not found; "" for the others.

    Parameters
    ----------
    difference, dia_sources
        Where it was looked for, and what was found.
    seen
        True rows, with ``is_usable``, ``is_apart``, ``is_known`` (where it is told) and ``is_good``.
    found
        Index of the source of each row; -1 for none.
    snr_there
        Of an ideal fit at each place.
    threshold
        That sources were searched with.
    """
    near = _has_neighbour(difference, dia_sources, seen)
    known = np.asarray(seen["is_known"]) if "is_known" in seen.colnames else np.ones(len(seen), np.bool_)
    words = []
    for i, row in enumerate(seen):
        planes = unusable_planes(difference, float(row["x"]), float(row["y"]))
        if row["is_good"] and row["is_usable"]:
            words.append("")
        elif planes:
            words.append(_of_pixels(planes))
        elif not known[i]:
            words.append(UNKNOWN)
        elif not row["is_apart"]:
            words.append(CROWDED)
        elif found[i] >= 0:
            words.append(_of_flags(dia_sources[int(found[i])]))
        elif abs(snr_there[i]) < threshold:
            words.append(f"{FAINT}: S/N {snr_there[i]:.1f}")
        else:
            words.append(BLENDED if near[i] else f"{UNDETECTED}: S/N {snr_there[i]:.1f}")
    return np.array(words, dtype=np.str_)


def missed_bright(truth: Table) -> Table:
    """Rows of the true changes above `LISTED_SNR` that count as not found, the brightest first.

    None where the table, of an earlier time, does not tell why.
    """
    if "why_missed" not in truth.colnames:
        return truth[:0]
    snr = np.abs(np.asarray(truth["snr_true"], dtype=np.float64))
    rows = truth[(np.asarray(truth["why_missed"]) != "") & (snr > LISTED_SNR)]
    return rows[np.argsort(-np.abs(np.asarray(rows["snr_true"], dtype=np.float64)), kind="stable")]


def _of_pixels(planes: MaskPlane) -> str:
    if planes & MaskPlane.NO_DATA.of_template:
        return NO_TEMPLATE
    if planes & MaskPlane.NO_DATA:
        return NO_DATA
    return f"{MASKED}: {', '.join(str(plane.name) for plane in planes)}"


def _of_flags(source: Table.Row) -> str:
    """By what a source is not to be trusted, of the flags that its table has: earlier results had fewer."""
    names = [name for name in _RESIDUALS if name in source.colnames and source[name]]
    names += [name for name in _BAD_PIXELS if source["dp_badPixel"] and source[name]]
    names += ["psfFlux_flag"] if source["psfFlux_flag"] else []
    names += ["dp_trailOf"] if source["dp_trailOf"] else []
    return f"{FLAGGED}: {', '.join(names or ['dp_bad'])}"


def _has_neighbour(difference: Difference, dia_sources: Table, seen: Table) -> NDArray[np.bool_]:
    """Whether a source lies near each place, whose footprint may hold its light."""
    exposure, near = difference.exposure, np.zeros(len(seen), np.bool_)
    assert exposure.psf is not None  # whoever has judged knows it
    fwhm = exposure.psf.fwhm_at(x=exposure.box.x_center, y=exposure.box.y_center)
    near[pairs.all_pairs(places_of(seen), places_of(dia_sources), radius=BLEND_FWHM * fwhm).first] = True
    return near
