"""Small files of invented cameras, for everything that ingests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from lsst.daf.butler import Butler

from diapipe.tasks.repository import open_repository
from diapipe.tasks.repository.camera import Camera
from diapipe.tasks.repository.camera_description import parse_camera

SIDE = 24
BEGIN_MJD = 61050.2
DESCRIPTION = """
name: TestCam
check: {INSTRUME: TestCam}
visit: EXPNUM
detector: CHIP
filter: FILTER
bands: {r.*: r, g.*: g}
time: {start: MJD-OBS}
"""


_KEPT: dict[Path, Butler] = {}


@contextmanager
def kept(root: Path) -> Iterator[Butler]:
    """A writeable Butler that stays open until `forget`: opening one takes longer than most tests."""
    if root not in _KEPT:
        _KEPT[root] = open_repository(root, writeable=True)
    yield _KEPT[root]


def forget(root: Path) -> None:
    """Close what `kept` opened: another process or command is about to write, or has written."""
    if root in _KEPT:
        _KEPT.pop(root).close()


def camera(text: str = DESCRIPTION, **changes: str) -> Camera:
    """The camera of a description, with lines replaced or added."""
    lines = [line for line in text.strip().splitlines() if line.split(":")[0] not in changes]
    return parse_camera("\n".join([*lines, *(f"{key}: {value}" for key, value in changes.items())]), name="test.yaml")


def wcs_cards(ra: float = 30.0, dec: float = -10.0, *, scale_arcsec: float = 1.0) -> dict[str, Any]:
    """A tangent plane with the reference in the middle, north up."""
    middle = 0.5 * (SIDE + 1)
    cards: dict[str, Any] = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CUNIT1": "deg", "CUNIT2": "deg"}
    cards |= {"CRVAL1": ra, "CRVAL2": dec, "CRPIX1": middle, "CRPIX2": middle}
    return cards | {"CD1_1": -scale_arcsec / 3600, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": scale_arcsec / 3600}


def cards_of(visit: int, chip: int = 0, **changes: Any) -> dict[str, Any]:
    """Cards of one image; a change to None takes a card away."""
    cards = {"INSTRUME": "TestCam", "EXPNUM": visit, "CHIP": chip, "FILTER": "r test", "EXPTIME": 30.0, "GAIN": 2.0}
    cards |= {"MJD-OBS": BEGIN_MJD + visit / 100, "OBJECT": "field 1", **wcs_cards(30.0 + 0.01 * chip)}
    cards |= {name.replace("_", "-") if name == "MJD_OBS" else name: value for name, value in changes.items()}
    return {name: value for name, value in cards.items() if value is not None}


def pixels_of(visit: int, chip: int = 0) -> np.ndarray[Any, Any]:
    """Noise that the numbers seed."""
    return np.random.default_rng([visit, chip]).normal(100.0, 5.0, (SIDE, SIDE)).astype(np.float32)


def image_hdu(
    visit: int, chip: int = 0, *, kind: Any = fits.PrimaryHDU, name: str | None = None, **changes: Any
) -> Any:
    """One image with its cards."""
    hdu = kind(pixels_of(visit, chip))
    for key, value in cards_of(visit, chip, **changes).items():
        hdu.header[key] = value
    if name is not None:
        hdu.header["EXTNAME"] = name
    return hdu


def write_image(path: Path, visit: int, chip: int = 0, **changes: Any) -> str:
    """A file with one image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image_hdu(visit, chip, **changes).writeto(path, overwrite=True)
    return str(path)


def write_night(folder: Path, visits: range, chips: range = range(1)) -> list[str]:
    """A file for every chip of some visits."""
    return [write_image(folder / f"v{visit:04d}_{chip}.fits", visit, chip) for visit in visits for chip in chips]
