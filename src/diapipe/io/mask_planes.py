"""Masks of files to `MaskPlane` bits and back, by the planes' names."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from astropy.io import fits

from diapipe.images.mask import MaskPlane
from diapipe.numerics.arrays import IntArray, MaskArray

SYNONYMS = {
    "UNMASKEDNAN": MaskPlane.NO_DATA,
    "NODATA": MaskPlane.NO_DATA,
    "OFFIMAGE": MaskPlane.NO_DATA,
    "SATURATED": MaskPlane.SAT,
    "BLEED": MaskPlane.SAT,
    "BLEED_TRAIL": MaskPlane.SAT,
    "COSMIC_RAY": MaskPlane.CR,
    "COSMICRAY": MaskPlane.CR,
    "INTERPOLATED": MaskPlane.INTRP,
    "HOT": MaskPlane.BAD,
    "DEAD": MaskPlane.BAD,
    "BADPIX": MaskPlane.BAD,
    "BAD_PIXEL": MaskPlane.BAD,
    "VIGNETTED": MaskPlane.SUSPECT,
    "SPIKE": MaskPlane.SUSPECT,
    "SATELLITE": MaskPlane.STREAK,
    "FAKE": MaskPlane.INJECTED,
}
"""Planes that other programs call otherwise."""


def plane_of(name: str) -> MaskPlane | None:
    """The plane of this name or synonym, also with ``_TEMPLATE`` after it; None if there is none."""
    if name in MaskPlane.__members__:
        return MaskPlane[name]
    base = SYNONYMS.get(name.removesuffix("_TEMPLATE"))
    return base.of_template if base is not None and name.endswith("_TEMPLATE") else base


def bits_by_name(header: fits.Header) -> dict[str, int]:
    """Bit number of each plane, from the ``MP_<PLANE>`` cards."""
    return {key[3:]: int(header[key]) for key in header if key.startswith("MP_")}


def translate(pixels: IntArray | MaskArray, bits: Mapping[str, int]) -> tuple[MaskArray, tuple[str, ...]]:
    """Mask with the bits where `MaskPlane` has them.

    Parameters
    ----------
    pixels
        Mask as the file has it.
    bits
        Bit number of each plane in the file. Without any, every pixel that is not zero is BAD.

    Returns
    -------
    MaskArray
        The planes that `MaskPlane` knows.
    tuple of str
        Names of the planes that some pixel has and that are dropped, bits without a name as ``BIT<n>``.
    """
    if not bits:
        return np.where(pixels != 0, np.int32(int(MaskPlane.BAD)), np.int32(0)), ()
    return translate_bits(pixels, {bit: name for name, bit in bits.items()})


def translate_bits(pixels: IntArray | MaskArray, names: Mapping[int, str]) -> tuple[MaskArray, tuple[str, ...]]:
    """The same by the plane's name for each bit, where several may mean one plane; bits without a name are dropped."""
    used = int(np.bitwise_or.reduce(pixels, axis=None))
    moves: dict[int, int] = {}
    dropped = []
    for bit in range(63):
        if not used >> bit & 1:
            continue
        plane = plane_of(names.get(bit, ""))
        if plane is None:
            dropped.append(names.get(bit, f"BIT{bit}"))
        else:
            shift = int(plane).bit_length() - 1 - bit
            moves[shift] = moves.get(shift, 0) | 1 << bit
    return _moved(pixels, moves, all_known=not dropped), tuple(dropped)


def translate_codes(pixels: IntArray | MaskArray, planes: Mapping[int, MaskPlane]) -> MaskArray:
    """Mask of pixels that hold one code each; a code without a plane is good."""
    result = np.zeros(pixels.shape, np.int32)
    for code, plane in planes.items():
        result[pixels == code] = int(plane)
    return result


def _moved(pixels: IntArray | MaskArray, moves: Mapping[int, int], *, all_known: bool) -> MaskArray:
    """OR of the bits of each group moved by its shift; where nothing moves or is dropped, the pixels themselves."""
    if not moves:
        return np.zeros(pixels.shape, np.int32)
    if list(moves) == [0] and pixels.dtype == np.int32:
        kept: MaskArray = pixels.astype(np.int32, copy=False)
        return kept if all_known else kept & np.int32(moves[0])
    wide = pixels if pixels.dtype == np.int32 and all(m < 1 << 31 for m in moves.values()) else pixels.astype(np.int64)
    result = np.zeros(pixels.shape, wide.dtype)
    for shift, group in moves.items():
        part = wide & wide.dtype.type(group)
        result |= part << shift if shift >= 0 else part >> -shift
    return result.astype(np.int32, copy=False)


def plane_cards() -> list[tuple[str, object, str]]:
    """``MP_<PLANE>`` cards of every plane."""
    return [
        (
            f"HIERARCH MP_{plane.name}" if len(plane.name or "") > 5 else f"MP_{plane.name}",
            int(plane).bit_length() - 1,
            "",
        )
        for plane in MaskPlane
    ]
