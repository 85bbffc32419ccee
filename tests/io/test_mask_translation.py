"""Mask bits by name."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.images import MaskPlane
from diapipe.io.mask_planes import plane_of, translate

LSST = {
    "BAD": 0,
    "SAT": 1,
    "INTRP": 2,
    "CR": 3,
    "EDGE": 4,
    "DETECTED": 5,
    "DETECTED_NEGATIVE": 6,
    "SUSPECT": 7,
    "NO_DATA": 8,
}
MIXED = {
    "CR": 0,
    "BAD": 1,
    "EDGE": 9,
    "NO_DATA": 13,
    "STREAK": 30,
    "NOT_DEBLENDED": 5,
    "SATURATED": 14,
    "FAKE_TEMPLATE": 6,
}


def slow_translate(pixels: np.ndarray, bits: dict[str, int]) -> np.ndarray:
    result = np.zeros(pixels.shape, np.int32)
    for name, bit in bits.items():
        plane = plane_of(name)
        if plane is not None:
            result[(pixels >> bit) & 1 == 1] |= int(plane)
    return result


@pytest.mark.parametrize("bits", [LSST, MIXED], ids=["LSST's order", "another order"])
@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint32, np.int16, np.uint8])
def test_against_plane_by_plane(bits: dict[str, int], dtype: type) -> None:
    """Moving planes in groups gives what one plane after the other does."""
    top = np.iinfo(dtype).max
    pixels = np.random.default_rng(2).integers(0, min(top, 2**31 - 1), (50, 60)).astype(dtype)
    known = sum(1 << bit for bit in bits.values() if 1 << bit <= top)
    pixels = (pixels & dtype(known)).astype(dtype)
    got, dropped = translate(pixels, bits)
    assert got.dtype == np.int32
    np.testing.assert_array_equal(got, slow_translate(pixels.astype(np.int64), bits))
    has_blends = bits is MIXED and np.bitwise_or.reduce(pixels, axis=None) >> 5 & 1
    assert dropped == (("NOT_DEBLENDED",) if has_blends else ())


def test_bits_without_name() -> None:
    """A bit that no card names is dropped and told by its number; an unused plane is not told of."""
    got, dropped = translate(np.array([[1, 2, 8]], np.int32), {"BAD": 0, "SAT": 1, "CLIPPED": 2})
    np.testing.assert_array_equal(got, [[1, 2, 0]])
    assert dropped == ("BIT3",)


def test_no_names_at_all() -> None:
    """Without names, what is not zero is BAD."""
    got, dropped = translate(np.array([[0, 1, -4, 512]], np.int16), {})
    np.testing.assert_array_equal(got, [[0, 1, 1, 1]])
    assert dropped == ()


@pytest.mark.parametrize(
    ("name", "plane"),
    [
        ("SAT", MaskPlane.SAT),
        ("SATURATED", MaskPlane.SAT),
        ("SATURATED_TEMPLATE", MaskPlane.SAT_TEMPLATE),
        ("UNMASKEDNAN", MaskPlane.NO_DATA),
        ("CLIPPED", MaskPlane.CLIPPED),
        ("SENSOR_EDGE", None),
        ("CLIPPED_TEMPLATE", None),
        ("", None),
    ],
)
def test_names_and_synonyms(name: str, plane: MaskPlane | None) -> None:
    assert plane_of(name) is plane
