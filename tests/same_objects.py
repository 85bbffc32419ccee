"""Whether two objects of diapipe are the same in every attribute."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
from astropy.wcs import WCS

SKY_TOLERANCE_DEG = 1e-11
"""0.04 microarcseconds: what 16 digits of a card leave of a position."""


def assert_same(one: Any, other: Any, where: str = "") -> None:
    """Fail with the path of the first attribute that differs; arrays bit for bit, a WCS by the sky of its pixels."""
    assert type(one) is type(other), f"{where}: {type(one).__name__} and {type(other).__name__}"
    if isinstance(one, np.ndarray):
        assert one.dtype == other.dtype, f"{where}: {one.dtype} and {other.dtype}"
        assert one.shape == other.shape, f"{where}: {one.shape} and {other.shape}"
        assert one.tobytes() == other.tobytes(), f"{where}: {np.count_nonzero(one != other)} values differ"
    elif isinstance(one, WCS):
        assert_same_sky(one, other, where)
    elif is_dataclass(one):
        for f in (f for f in fields(one) if f.init):
            assert_same(getattr(one, f.name), getattr(other, f.name), f"{where}.{f.name}")
    elif isinstance(one, Mapping):
        assert list(one) == list(other) or set(one) == set(other), f"{where}: {list(one)} and {list(other)}"
        for key in one:
            assert_same(one[key], other[key], f"{where}[{key!r}]")
    elif isinstance(one, tuple | list):
        assert len(one) == len(other), f"{where}: {len(one)} and {len(other)}"
        for n, pair in enumerate(zip(one, other, strict=True)):
            assert_same(*pair, f"{where}[{n}]")
    else:
        assert one == other or (one != one and other != other), f"{where}: {one!r} and {other!r}"


def assert_same_sky(one: WCS, other: WCS, where: str) -> None:
    """The corners of 200 by 200 pixels on the sky, the size of right ascension on it."""
    x, y = np.meshgrid([-50.0, 47.5, 150.0], [-50.0, 52.5, 150.0])
    (ra, dec), (ra_other, dec_other) = one.all_pix2world(x, y, 0), other.all_pix2world(x, y, 0)
    away = np.hypot(((ra - ra_other + 180) % 360 - 180) * np.cos(np.radians(dec)), dec - dec_other)
    assert away.max() < SKY_TOLERANCE_DEG, f"{where}: the sky is {away.max():.3g} deg away"
