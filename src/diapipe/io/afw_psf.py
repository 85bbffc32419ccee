"""PSFs that LSST files persist, as the PSFs of diapipe."""

from __future__ import annotations

import numpy as np
from astropy.wcs import WCS

from diapipe.errors import ReadError
from diapipe.images.box import Box
from diapipe.images.psf.base import Psf
from diapipe.images.psf.coadd import CoaddComponent, CoaddPsf
from diapipe.images.psf.gaussian import GaussianPsf
from diapipe.images.psf.polynomial import PolynomialPsf
from diapipe.images.psf.psfex import PsfexPsf
from diapipe.images.tan_sip import fit_sip
from diapipe.io import ast_text
from diapipe.io.afw_archive import Archive, Persisted, Rows


def sky_mapping(skywcs: Persisted) -> ast_text.Mapping2D:
    """Mapping from 0-based parent pixels to degrees of a persisted SkyWcs; ReadError if it is another class."""
    if skywcs.kind != "SkyWcs":
        raise ReadError(f"a WCS of class {skywcs.kind} is not understood; a SkyWcs is needed")
    text = np.asarray(skywcs.main.value("wcs")).astype(np.uint8).tobytes().decode("ascii", "replace")
    return ast_text.pixel_to_sky(text)


def read(found: Persisted, archive: Archive, box: Box) -> Psf:
    """The PSF of the image that covers ``box``.

    Raises
    ------
    ReadError
        If its class is not understood.
    """
    reader = _READERS.get(found.kind)
    if reader is None:
        raise ReadError(f"a PSF of class {found.kind} is not understood; known are {', '.join(_READERS)}")
    return reader(found, archive, box)


def _gaussian(found: Persisted, archive: Archive, box: Box) -> Psf:
    width = max(found.main.number("dimensions_x"), found.main.number("dimensions_y"))
    return GaussianPsf(float(found.main.value("sigma")), width + 1 - width % 2)


def _double_gaussian(found: Persisted, archive: Archive, box: Box) -> Psf:
    """Two concentric Gaussians, the second with peak b relative to the first's."""
    half = max(found.main.number("dimensions_x"), found.main.number("dimensions_y")) // 2
    offset = np.arange(-half, half + 1)
    r2 = offset[:, None] ** 2 + offset[None, :] ** 2
    inner, outer, b = (float(found.main.value(name)) for name in ("sigma1", "sigma2", "b"))
    image = np.exp(-0.5 * r2 / inner**2) + (b * np.exp(-0.5 * r2 / outer**2) if b else 0.0)
    return PolynomialPsf.constant(image / image.sum(), box)


def _psfex(found: Persisted, archive: Archive, box: Box) -> Psf:
    """PSFEx's own numbers, its images with x as the fast axis, as in its files; positions are 0-based parent pixels.

    So since meas_extensions_psfex hands PSFEx the rows of a star as they are; its own test has stars elongated at 30
    degrees. Its first versions (2014) transposed them on the way in and out: files of that time are read transposed.
    """
    arrays = found.catalogs[1]
    size = [int(n) for n in np.ravel(arrays.value("_size"))]
    degree = [int(n) for n in np.ravel(arrays.value("degree"))]
    zero, scale = (np.ravel(arrays.value(f"_context_{part}")).astype(float) for part in ("first", "second"))
    if len(zero) != 2 or len(degree) != 1:
        raise ReadError(f"a PsfexPsf of {len(zero)} variables in {len(degree)} groups is not understood; 2 in 1 are")
    images = np.reshape(np.ravel(arrays.value("_comp")), (-1, size[1], size[0])).astype(np.float64)
    return PsfexPsf(images, degree[0], zero[0], zero[1], scale[0], scale[1], float(found.main.value("_pixstep")))


def _coadd(found: Persisted, archive: Archive, box: Box) -> Psf:
    """The input images with their WCSs and PSFs; the mapping to the coadd is linear over each of them."""
    coadd_wcs = archive.get(found.main.number("coaddwcs"))
    if coadd_wcs is None:
        raise ReadError("a CoaddPsf has no WCS of the coadd")
    to_coadd = fit_sip(sky_mapping(coadd_wcs), box).wcs
    inputs = found.catalogs[1]
    parts = [_component(inputs, n, archive, to_coadd, box) for n in range(len(inputs))]
    return CoaddPsf(tuple(part for part in parts if part is not None))


def _component(inputs: Rows, n: int, archive: Archive, to_coadd: WCS, coadd_box: Box) -> CoaddComponent | None:
    """One input, or None if it does not reach ``coadd_box``."""
    psf, wcs = archive.get(inputs.number("psf", n)), archive.get(inputs.number("wcs", n))
    if psf is None or wcs is None:
        raise ReadError(f"input {inputs.value('id', n)} of a CoaddPsf has no PSF or no WCS")
    x0, y0, x1, y1 = (inputs.number(f"bbox_{end}", n) for end in ("min_x", "min_y", "max_x", "max_y"))
    box = Box(y0, y1 + 1, x0, x1 + 1)
    x, y = (axis.ravel() for axis in np.meshgrid(np.linspace(x0, x1, 21), np.linspace(y0, y1, 21)))
    u, v = to_coadd.all_world2pix(*sky_mapping(wcs)(x, y), 0, quiet=True)
    near = coadd_box.dilated(max(box.shape) // 4)
    inside = (u > near.x0) & (u < near.x1) & (v > near.y0) & (v < near.y1)
    if np.count_nonzero(inside) < 3:
        return None
    design = np.stack([x, y, np.ones_like(x)], axis=1)[inside]
    solution, *_ = np.linalg.lstsq(design, np.stack([u, v], axis=1)[inside], rcond=None)
    return CoaddComponent(
        read(psf, archive, box), float(inputs.value("weight", n)), box, solution[:2].T.copy(), solution[2].copy()
    )


_READERS = {
    "GaussianPsf": _gaussian,
    "SingleGaussianPsf": _gaussian,
    "DoubleGaussianPsf": _double_gaussian,
    "PsfexPsf": _psfex,
    "CoaddPsf": _coadd,
}
