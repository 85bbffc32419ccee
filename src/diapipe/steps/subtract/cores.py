"""Saturated cores rebuilt from the PSF before a convolution, so that the light they lack does not ring around them.

A kernel carries part of a star's core outwards. Where the core is clipped that part is missing, and the star's
wings come out too faint for many pixels around a saturated star: the largest class of false detections in
difference images. The wings tell how bright the star is; the pixels stay masked, only what the kernel carries out
of them becomes right.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from diapipe.images.box import Box
from diapipe.images.mask import MaskPlane
from diapipe.images.masked_image import MaskedImage
from diapipe.images.psf import Psf
from diapipe.numerics.arrays import BoolArray, Float32Array, FloatArray
from diapipe.numerics.shifting import shift_stamp

MIN_CORE_PX = 4
"""Smaller saturated regions lose too little to matter."""

MIN_RING_PX = 30
"""Pixels of the wings that a fit needs."""

MODEL_ERROR = 0.05
"""Relative error allowed to the PSF's wings, so that the innermost pixels do not outvote the others."""

MODEL_FLOOR = 1e-3
"""Error allowed to the PSF's wings in units of its peak: far out no model is right to a few per cent of itself."""

N_ITERATIONS = 6


@dataclass(frozen=True, slots=True, eq=False)
class Core:
    """The light put into one saturated core.

    Attributes
    ----------
    box
        Where it lies, in array coordinates.
    light
        Zero outside the core; shape ``box.shape``.
    """

    box: Box
    light: FloatArray


def rebuild_cores(pixels: Float32Array, image: MaskedImage, psf: Psf) -> list[Core]:
    """Put the PSF that fits its wings best into each saturated star of ``pixels``; returns what was put there.

    Parameters
    ----------
    pixels
        Finite pixels that lie where ``image`` does, bad ones already filled; changed in the cores.
    image
        Gives mask and variance.
    psf
        Of the image.
    """
    saturated = (image.mask & np.int32(int(MaskPlane.SAT))) != 0
    if not saturated.any():
        return []
    cores = []
    for cut in _neighbourhoods(saturated):
        labels, _ = ndimage.label(saturated[cut], structure=np.ones((3, 3)))
        for index, part in enumerate(ndimage.find_objects(labels), start=1):
            region = labels[part] == index
            if np.count_nonzero(region) < MIN_CORE_PX:
                continue
            corner = part[0].start + cut[0].start, part[1].start + cut[1].start
            core = _rebuilt(pixels, saturated, image, psf, region, corner)
            if core is not None:
                cores.append(core)
    for core in cores:
        target = pixels[core.box.slices_in(Box.from_shape(pixels.shape))]
        np.copyto(target, core.light.astype(np.float32), where=core.light > 0)
    return cores


def _neighbourhoods(saturated: BoolArray) -> list[tuple[slice, slice]]:
    """Boxes that hold whole saturated regions, found on cells of 16 pixels: labelling a whole frame takes far
    longer.
    """
    cell = 16
    height, width = saturated.shape
    rows, columns = np.divmod(np.flatnonzero(saturated), width)
    coarse = np.zeros((height // cell + 1, width // cell + 1), dtype=np.bool_)
    coarse[rows // cell, columns // cell] = True
    labels, _ = ndimage.label(coarse, structure=np.ones((3, 3)))
    return [
        (slice(y.start * cell, min(y.stop * cell, height)), slice(x.start * cell, min(x.stop * cell, width)))
        for y, x in ndimage.find_objects(labels)
    ]


def _core_centre(region: BoolArray) -> tuple[float, float]:
    """Row and column of the star in its saturated region: the middle of its widest rows (a bleed trail is narrow)."""
    widths = region.sum(axis=1)
    rows = np.flatnonzero(widths >= 0.8 * widths.max())
    columns = np.flatnonzero(region[rows].any(axis=0))
    return float(rows.mean()), float(columns.mean())


def _rebuilt(
    pixels: Float32Array,
    saturated: BoolArray,
    image: MaskedImage,
    psf: Psf,
    region: BoolArray,
    corner: tuple[int, int],
) -> Core | None:
    """The PSF in one saturated region, with the flux, place and constant that fit the wings; None if nothing fits."""
    half, frame = psf.size // 2, Box.from_shape(pixels.shape)
    row, column = _core_centre(region)
    x, y = column + corner[1], row + corner[0]
    stamp = Box.around(x=x, y=y, half=half)
    inside = stamp.intersect(frame)
    if inside is None:
        return None
    here, there = inside.slices_in(frame), inside.slices_in(stamp)
    model = psf.kernel_image(x=x + image.box.x0, y=y + image.box.y0)
    shift = np.array([x - np.floor(x + 0.5), y - np.floor(y + 0.5)])
    ring = image[inside.shifted(x=image.box.x0, y=image.box.y0)].usable()
    ring &= ~ndimage.maximum_filter(saturated[here], size=3)
    if np.count_nonzero(ring) < MIN_RING_PX:
        return None
    values, variance = pixels[here].astype(np.float64), image.variance[here].astype(np.float64)
    flux = _fit_wings(values, variance, ring, model, there, shift)
    if not flux > 0:
        return None
    drawn = flux * shift_stamp(model, dx=shift[0], dy=shift[1])[there]
    own = np.zeros(pixels.shape, dtype=np.bool_)[here]
    whole = Box(corner[0], corner[0] + region.shape[0], corner[1], corner[1] + region.shape[1])
    shared = whole.intersect(inside)
    if shared is None:
        return None
    own[shared.slices_in(inside)] = region[shared.slices_in(whole)]
    return Core(inside, np.where(own, np.maximum(drawn, 0.0), 0.0))


def _fit_wings(
    values: FloatArray,
    variance: FloatArray,
    ring: BoolArray,
    model: FloatArray,
    there: tuple[slice, slice],
    shift: FloatArray,
) -> float:
    """Gauss-Newton fit of flux, shift (updated in place, at most 3 px) and constant; returns the flux."""
    flux = 0.0
    start = shift.copy()
    for _ in range(N_ITERATIONS):
        drawn = shift_stamp(model, dx=shift[0], dy=shift[1])
        dy, dx = np.gradient(drawn, axis=0), np.gradient(drawn, axis=1)
        scale = max(flux, 0.0)
        noise = variance[ring] + (scale * (MODEL_ERROR * drawn[there][ring] + MODEL_FLOOR * drawn.max())) ** 2
        weight = 1.0 / np.sqrt(noise)
        columns = [drawn[there][ring], np.ones(np.count_nonzero(ring))]
        if flux > 0:
            columns += [-dx[there][ring], -dy[there][ring]]
        design = np.stack(columns, axis=1) * weight[:, None]
        solution, *_ = np.linalg.lstsq(design, values[ring] * weight, rcond=None)
        flux = float(solution[0])
        if not flux > 0:
            return 0.0
        if len(columns) == 4:
            shift += np.clip(solution[2:] / flux, -0.5, 0.5)
            shift[:] = start + np.clip(shift - start, -3.0, 3.0)
    return flux
