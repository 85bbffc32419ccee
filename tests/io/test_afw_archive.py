"""Objects of an afw archive, in files made here as the stack would make them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from diapipe.images import Box
from diapipe.images.psf.coadd import CoaddPsf
from diapipe.images.psf.psfex import PsfexPsf
from diapipe.io import read_exposure, read_psfex

SHAPE = (60, 80)
CRVAL = np.radians([40.0, 20.0])

type Catalog = dict[str, list[object]]


def skywcs_text(dx: float, dy: float, scale: float = 1.0) -> str:
    """A SkyWcs: shift, scale, TAN about CRVAL, by the same chain of mappings as AST writes for LSST."""
    ra, dec = CRVAL
    sr, cr, sd, cd = np.sin(ra), np.cos(ra), np.sin(dec), np.cos(dec)
    rotation = np.array([[cr * sd, -sr, cr * cd], [sr * sd, cr, sr * cd], [-cd, 0.0, sd]])
    matrix = "\n".join(f"M{n} = {value!r}" for n, value in enumerate(map(float, rotation.ravel())))
    pixel = 5e-5 * scale
    return f"""1 SkyWcs 0  Begin FrameSet
Nframe = 2
Currnt = 2
Lnk2 = 1
Frm1 =
Begin Frame
End Frame
Frm2 =
Begin SkyFrame
System = "ICRS"
End SkyFrame
Map2 =
Begin CmpMap
Nin = 2
IsA Mapping
MapA =
Begin CmpMap
Nin = 2
IsA Mapping
MapA =
Begin ShiftMap
Nin = 2
IsA Mapping
Sft1 = {-dx}
Sft2 = {-dy}
End ShiftMap
MapB =
Begin MatrixMap
Nin = 2
IsA Mapping
M0 = {np.radians(-pixel)}
M3 = {np.radians(pixel)}
Form = "Full"
End MatrixMap
End CmpMap
InvB = 1
MapB =
Begin CmpMap
Nin = 2
IsA Mapping
InvA = 1
MapA =
Begin SphMap
Nin = 3
Nout = 2
IsA Mapping
End SphMap
MapB =
Begin CmpMap
Nin = 3
Nout = 2
IsA Mapping
InvA = 1
MapA =
Begin MatrixMap
Nin = 3
IsA Mapping
{matrix}
Form = "Full"
End MatrixMap
MapB =
Begin CmpMap
Nin = 3
Nout = 2
IsA Mapping
MapA =
Begin SphMap
Nin = 3
Nout = 2
IsA Mapping
End SphMap
MapB =
Begin WcsMap
Nin = 2
IsA Mapping
Type = "TAN"
End WcsMap
End CmpMap
End CmpMap
End CmpMap
End CmpMap
End FrameSet
"""


def column_of(name: str, values: list[object]) -> fits.Column:
    first = values[0]
    if isinstance(first, str):
        return fits.Column(name, "64A", array=values)
    if isinstance(first, np.ndarray):
        code = {"u": "B", "i": "J", "f": "D"}[first.dtype.kind]
        return fits.Column(name, f"Q{code}()", array=np.array([*values, None], dtype=object)[:-1])
    return fits.Column(name, "J" if isinstance(first, int) else "D", array=values)


def archive_file(path: Path, cards: dict[str, int], objects: dict[int, tuple[str, list[Catalog]]]) -> Path:
    """A file with three planes and an archive; each catalogue of each object is a table of its own."""
    primary = fits.PrimaryHDU()
    primary.header["AR_HDU"] = 5
    for name, identifier in cards.items():
        primary.header[f"HIERARCH {name}_ID"] = identifier
    planes = [fits.ImageHDU(np.ones(SHAPE, "f4"), name="IMAGE"), fits.ImageHDU(np.zeros(SHAPE, "i4"), name="MASK")]
    planes.append(fits.ImageHDU(np.ones(SHAPE, "f4"), name="VARIANCE"))
    index: list[tuple[object, ...]] = []
    tables = []
    for identifier, (kind, catalogs) in objects.items():
        for n, catalog in enumerate(catalogs):
            tables.append(fits.BinTableHDU.from_columns([column_of(*item) for item in catalog.items()]))
            index.append((identifier, len(tables), n, 0, len(next(iter(catalog.values()))), kind, "lsst"))
    names = ("id", "cat.archive", "cat.persistable", "row0", "nrows", "name", "module")
    columns = [column_of(name, [row[k] for row in index]) for k, name in enumerate(names)]
    table = fits.BinTableHDU.from_columns(columns, name="ARCHIVE_INDEX")
    fits.HDUList([primary, *planes, table, *tables]).writeto(path)
    return path


def skywcs(dx: float, dy: float, scale: float = 1.0) -> tuple[str, list[Catalog]]:
    return "SkyWcs", [{"wcs": [np.frombuffer(skywcs_text(dx, dy, scale).encode(), np.uint8)]}]


def gaussian(sigma: float) -> tuple[str, list[Catalog]]:
    return "GaussianPsf", [{"dimensions_x": [21], "dimensions_y": [21], "sigma": [sigma]}]


def test_coadd_psf(tmp_path: Path) -> None:
    """Two inputs, one covering the left half only: the mean where both lie, the second alone on the right."""
    inputs: Catalog = {"wcs": [3, 4], "psf": [5, 6], "id": [1, 2], "weight": [1.0, 3.0]}
    inputs |= {"bbox_min_x": [0, 0], "bbox_min_y": [0, 0], "bbox_max_x": [49, 199], "bbox_max_y": [99, 199]}
    main: Catalog = {
        "avgpos_x": [40.0],
        "avgpos_y": [30.0],
        "coaddwcs": [1],
        "cachesize": [1],
        "warpingkernelname": ["lanczos3"],
    }
    objects = {1: skywcs(40.0, 30.0), 2: ("CoaddPsf", [main, inputs]), 3: skywcs(50.0, 40.0), 4: skywcs(60.0, 60.0)}
    objects |= {5: gaussian(1.5), 6: gaussian(2.5)}
    got = read_exposure(archive_file(tmp_path / "a.fits", {"SKYWCS": 1, "PSF": 2}, objects))
    assert "AFW_UNREAD" not in got.metadata
    assert isinstance(got.psf, CoaddPsf)
    assert got.wcs is not None
    np.testing.assert_allclose(got.wcs.all_pix2world(40.0, 30.0, 0), np.degrees(CRVAL), atol=1e-10)
    first, second = got.psf.components
    np.testing.assert_allclose(first.offset, [-10.0, -10.0], atol=1e-4)
    np.testing.assert_allclose(second.offset, [-20.0, -30.0], atol=1e-4)
    narrow, wide = first.psf.kernel_image(x=0, y=0), second.psf.kernel_image(x=0, y=0)
    np.testing.assert_allclose(got.psf.kernel_image(x=20.0, y=30.0), 0.25 * narrow + 0.75 * wide)
    np.testing.assert_allclose(got.psf.kernel_image(x=60.0, y=30.0), wide)


def test_psfex_psf(tmp_path: Path) -> None:
    """PSFEx's numbers in 0-based positions, the fast axis of its pixels along x: the same model as that of a .psf file
    that holds the same numbers, where positions count from 1.
    """
    images = np.stack([tilted(25), 0.1 * tilted(25)[::-1], 0.05 * tilted(25)[:, ::-1]])
    main: Catalog = {"ndim": [2], "ngroup": [1], "ncoeff": [3], "_size_size": [3], "_comp_size": [images.size]}
    main |= {"_context_size": [2], "averagePosition_x": [0.0], "averagePosition_y": [0.0], "_pixstep": [0.8]}
    arrays: Catalog = {"degree": [np.array([1])], "_size": [np.array([25, 25, 3])], "_comp": [images.ravel()]}
    arrays |= {"_context_first": [np.array([40.0, 30.0])], "_context_second": [np.array([80.0, 60.0])]}
    path = archive_file(tmp_path / "a.fits", {"PSF": 1}, {1: ("PsfexPsf", [main, arrays])})
    psf = read_exposure(path).psf
    assert isinstance(psf, PsfexPsf)
    assert (psf.degree, psf.x_zero, psf.y_scale, psf.sampling) == (1, 40.0, 60.0, 0.8)
    column = fits.Column("PSF_MASK", f"{images.size}D", dim="(25,25,3)", array=images[None])
    table = fits.BinTableHDU.from_columns([column], name="PSF_DATA")
    table.header.update({"POLNAXIS": 2, "POLNAME1": "X_IMAGE", "POLZERO1": 41.0, "POLSCAL1": 80.0, "POLNGRP": 1})
    table.header.update({"POLNAME2": "Y_IMAGE", "POLZERO2": 31.0, "POLSCAL2": 60.0, "POLDEG1": 1, "PSF_SAMP": 0.8})
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(tmp_path / "a.psf")
    for x, y in [(40.0, 30.0), (10.0, 50.0)]:
        np.testing.assert_allclose(
            psf.kernel_image(x=x, y=y), read_psfex(tmp_path / "a.psf").kernel_image(x=x, y=y), rtol=0, atol=1e-7
        )


def tilted(n: int) -> np.ndarray:
    """An ellipse with its long axis at 20 degrees from x, brighter on the right: no symmetry."""
    y, x = np.mgrid[:n, :n] - n // 2
    u, v = x * np.cos(0.35) + y * np.sin(0.35), y * np.cos(0.35) - x * np.sin(0.35)
    return np.exp(-0.5 * (u**2 / 9.0 + v**2 / 2.25)) * (1.0 + 0.3 * np.tanh(x / 3.0))


def test_double_gaussian(tmp_path: Path) -> None:
    """Two concentric Gaussians: peaks 1 and b."""
    rows: Catalog = {"dimensions_x": [31], "dimensions_y": [31], "sigma1": [2.0], "sigma2": [4.0], "b": [0.1]}
    path = archive_file(tmp_path / "a.fits", {"PSF": 1}, {1: ("DoubleGaussianPsf", [rows])})
    psf = read_exposure(path).psf
    assert psf is not None
    image = psf.kernel_image(x=0.0, y=0.0)
    ratio = (np.exp(-0.5 * 9 / 4) + 0.1 * np.exp(-0.5 * 9 / 16)) / 1.1
    assert image[15, 18] / image[15, 15] == pytest.approx(ratio)


def test_spatially_varying_calibration(tmp_path: Path) -> None:
    """The persisted field is nJy per count outright: at a point it is the field's value, whatever the mean."""
    calib: Catalog = {"flags": [0], "calibrationMean": [2.0], "calibrationErr": [0.1], "field": [2], "version": [1]}
    field: Catalog = {"order_x": [1], "bbox_min_x": [0], "bbox_min_y": [0], "bbox_max_x": [79], "bbox_max_y": [59]}
    field["coefficients"] = [np.array([2.0, 0.4, -0.2, 0.05])]
    objects = {1: ("PhotoCalib", [calib]), 2: ("ChebyshevBoundedField", [field])}
    got = read_exposure(archive_file(tmp_path / "a.fits", {"PHOTOCALIB": 1}, objects)).photo_calib
    assert got is not None
    u, v = (10.0 - 39.5) / 40.0, (50.0 - 29.5) / 30.0
    assert float(got.at(x=10.0, y=50.0)) == pytest.approx(2.0 + 0.4 * u - 0.2 * v + 0.05 * u * v)
    assert got.mean == 2.0


def test_what_is_not_understood_is_said(tmp_path: Path) -> None:
    """A PSF of another class leaves none, and the metadata name it; the rest of the exposure is read."""
    path = archive_file(
        tmp_path / "a.fits", {"SKYWCS": 1, "PSF": 2}, {1: skywcs(0.0, 0.0), 2: ("PiffPsf", [{"x": [1.0]}])}
    )
    got = read_exposure(path)
    assert got.psf is None
    assert got.wcs is not None
    assert "PSF: a PSF of class PiffPsf is not understood" in got.metadata["AFW_UNREAD"]
    assert got.box == Box.from_shape(SHAPE)
