"""warp_visit: the detectors of one visit on the pixels of a patch, as one image."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
from astropy.wcs import WCS

from diapipe.errors import InputError, NoOverlapError, PsfUndefinedError
from diapipe.images import Box, ChebyshevField, Exposure, MaskedImage, MaskPlane, PhotoCalib, WeightMap, calibrated
from diapipe.images.pixel_map import PixelMap
from diapipe.images.psf import Psf
from diapipe.images.psf.stacked import PsfPart, sampled_psf, stacked_psf
from diapipe.images.sky import between, box_around, outline_between
from diapipe.numerics.arrays import BoolArray
from diapipe.numerics.holes import MAX_GAP
from diapipe.numerics.noise import mean_correlation
from diapipe.steps.coadd.bridges import bridged, widest_gap
from diapipe.steps.warp import AbstractWarp, WienerWarp, empty, through

MARGIN_PX = 8
"""Pixels around a detector's outline, known at some points, in which it may really lie."""

CELL_PX = 8
"""Side of the cells in which it is kept which detector a PSF belongs to."""

_PSF_ORDER = 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VisitDetector:
    """The image of one detector, of which only what is needed is read.

    Attributes
    ----------
    name
        What messages call it.
    box, wcs
        Its pixels, and where they lie.
    read
        Gives the part in a box, with variance, PSF and calibration.
    """

    name: str
    box: Box
    wcs: WCS
    read: Callable[[Box], Exposure]

    @classmethod
    def whole(cls, exposure: Exposure) -> VisitDetector:
        """An exposure that is in memory.

        Raises
        ------
        InputError
            If it has no celestial WCS.
        """
        if exposure.wcs is None or not exposure.wcs.has_celestial:
            raise InputError(f"{exposure.name} has no celestial WCS; without one nobody knows where it lies on a patch")
        return cls(name=exposure.name, box=exposure.box, wcs=exposure.wcs, read=exposure.__getitem__)


def warp_visit(
    detectors: Iterable[VisitDetector],
    *,
    box: Box,
    wcs: WCS,
    warp: AbstractWarp | None = None,
    name: str = "warp",
    n_threads: int = 1,
) -> Exposure:
    """Bring the detectors of a visit on to the pixels of a patch, by one interpolation, in nJy.

    Parameters
    ----------
    detectors
        Of one visit, less their sky, one after the other in memory.
    box, wcs
        The pixels of the patch.
    warp
        How to interpolate; `WienerWarp` if nothing is said.
    name
        What messages call the result.
    n_threads
        Threads to run at once; the result does not depend on it.

    Returns
    -------
    Exposure
        On the part of ``box`` that the visit reaches; where two detectors overlap, the first. Its PSF is that of the
        detectors as it is on the patch, each where it has pixels.

    Raises
    ------
    InputError
        If a detector has no flux scale, or visits or bands differ.
    NoOverlapError
        If no detector has a usable pixel on the patch.
    """
    warp = warp or WienerWarp()
    layers = [_on_patch(detector, box, wcs, warp, n_threads) for detector in detectors]
    found = [layer for layer in layers if layer is not None]
    if not found:
        raise NoOverlapError(f"none of the {len(layers)} detectors of {name} has a usable pixel in {box}; 1 is needed")
    visits, bands = {layer.info.visit for layer in found}, {layer.info.band for layer in found}
    if len(visits) > 1 or len(bands) > 1:
        raise InputError(f"{name} has detectors of the visits {sorted(visits)} and bands {sorted(bands)}; 1 is needed")
    return _joined(found, name)


def _on_patch(detector: VisitDetector, box: Box, wcs: WCS, warp: AbstractWarp, n_threads: int) -> Exposure | None:
    """One detector on the part of the patch that it reaches; None where it has nothing."""
    reach = box_around(outline_between(detector.wcs, wcs, detector.box))
    part = None if reach is None else reach.dilated(MARGIN_PX).intersect(box)
    if part is None:
        return None
    pixel_map = PixelMap.sampled(between(wcs, detector.wcs), part)
    wanted = pixel_map.source_box(margin=warp.interpolant(pixel_map).n_taps // 2 + MAX_GAP + 1)
    wanted = None if wanted is None else wanted.intersect(detector.box)
    if wanted is None:
        return None
    source = calibrated(detector.read(wanted))
    pixels = bridged(source.masked_image, widest=_widest_gap(source), n_threads=n_threads)
    source = replace(source, masked_image=pixels)
    layer, _ = through(pixel_map, source, box=part, wcs=wcs, warp=warp, n_threads=n_threads)
    return layer if layer.masked_image.usable().any() else None


def _widest_gap(source: Exposure) -> int:
    """Pixels of the widest gap that its neighbours tell, by the PSF in the middle; 0 where none is known."""
    if source.psf is None:
        return 0
    try:
        return widest_gap(source.psf.sigma_at(x=source.box.x_center, y=source.box.y_center))
    except PsfUndefinedError:
        return 0


def _joined(layers: list[Exposure], name: str) -> Exposure:
    """The detectors side by side."""
    box = Box(
        min(layer.box.y0 for layer in layers),
        max(layer.box.y1 for layer in layers),
        min(layer.box.x0 for layer in layers),
        max(layer.box.x1 for layer in layers),
    )
    planes, free = empty(box), np.ones(box.shape, np.bool_)
    parts: list[PsfPart] = []
    shares = []
    for layer in layers:
        taken = _pasted(layer.masked_image, planes, free)
        shares.append((float(np.count_nonzero(taken)), layer.noise_correlation))
        if layer.psf is not None and taken.any():
            parts.append(_part(layer.psf, layer.box, taken, box))
    first = layers[0]
    return replace(
        first,
        name=name,
        masked_image=planes,
        psf=stacked_psf(parts) if all(layer.psf is not None for layer in layers) and parts else None,
        photo_calib=PhotoCalib(1.0, first.photo_calib.error if first.photo_calib is not None else 0.0),
        noise_correlation=mean_correlation(shares),
        info=replace(first.info, detector=0, gain=None, read_noise=None, saturation=None),
        aperture_corrections=_corrections(layers, box),
        inputs=(first.info.visit,),
        metadata={},
    )


def _pasted(layer: MaskedImage, planes: MaskedImage, free: BoolArray) -> BoolArray:
    """Write a detector's pixels where there are none yet; where it did, shape of ``planes``.

    A pixel with a value but of no use (saturated) is written too, and gives way to a later detector's good one.
    """
    at = layer.box.slices_in(planes.box)
    known = np.isfinite(layer.image) & np.isfinite(layer.variance)
    here = free[at] & (known | ((layer.mask & int(MaskPlane.NO_DATA)) == 0))
    planes.image[at][here], planes.variance[at][here] = layer.image[here], layer.variance[here]
    planes.mask[at][here] = layer.mask[here]
    free[at] &= ~(here & layer.usable())
    taken = np.zeros(planes.shape, np.bool_)
    taken[at] = here
    return taken


def _part(psf: Psf, own: Box, taken: BoolArray, box: Box) -> PsfPart:
    """The PSF of a detector, with its share of the pixels of each cell."""
    rows, columns = -(-box.height // CELL_PX), -(-box.width // CELL_PX)
    padded = np.zeros((rows * CELL_PX, columns * CELL_PX), np.float32)
    padded[: box.height, : box.width] = taken
    share = padded.reshape(rows, CELL_PX, columns, CELL_PX).mean(axis=(1, 3))
    middle = 0.5 * (CELL_PX - 1)
    return PsfPart(
        field=sampled_psf(psf, own, order=_PSF_ORDER),
        weight=WeightMap(share.astype(np.float32), box.x0 + middle, box.y0 + middle, float(CELL_PX)),
    )


def _corrections(layers: list[Exposure], box: Box) -> dict[str, ChebyshevField]:
    """Aperture corrections that all detectors have: that of the one detector, or the mean of their middles."""
    if len(layers) == 1:
        return dict(layers[0].aperture_corrections)
    names = set.intersection(*(set(layer.aperture_corrections) for layer in layers))
    found = {}
    for name in sorted(names):
        values = [layer.aperture_corrections[name].at(x=layer.box.x_center, y=layer.box.y_center) for layer in layers]
        found[name] = ChebyshevField.constant(float(np.mean(values)), box)
    return found
