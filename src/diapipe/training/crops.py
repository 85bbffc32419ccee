"""Cut-outs of the same sources as other programs give them: smaller, with a PSF that is not quite right, often without
the template that was subtracted.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from diapipe.images import Box
from diapipe.images.planes import Planes
from diapipe.images.triplets import N_SECTORS, OFF_IMAGE, SPOKE_EDGES_FWHM, Triplets, spokes_of
from diapipe.numerics.arrays import Float32Array, FloatArray, MaskArray
from diapipe.numerics.stamp_fits import bends, slopes
from diapipe.steps.classify.seen import seen_on

_LEAST_FWHM, _MOST_FWHM = 1.5, 3.2
_LEAST_PX = 7.0
_WIDTH_ERROR, _SHIFT_ERROR_PX = 0.2, 0.5
"""Of PSFs, rms of the least known: relative, and along either axis."""
_WITHOUT_TEMPLATE = 0.5
"""Share for whose template science less difference stands."""
_FWHM_PER_SIGMA = 2.0 * np.sqrt(2.0 * np.log(2.0))


def as_given_elsewhere(triplets: Triplets, *, rng: np.random.Generator) -> Triplets:
    """Cut-outs that are `cropped`, and whose PSF and template are no better known than a stranger knows them.

    The PSF P becomes P + w σ² ∇²P − s · ∂P: wider by w, displaced by s.
    """
    small = cropped(triplets, rng=rng)
    n, psf = len(small), small.psf.astype(np.float64)
    unsure = rng.random(n)
    wider = unsure * rng.normal(0.0, _WIDTH_ERROR, n) * (seen_on(small).fwhm / _FWHM_PER_SIGMA) ** 2
    across, down = unsure * rng.normal(0.0, _SHIFT_ERROR_PX, (2, n))
    along_x, along_y = slopes(psf)
    xx, yy, _ = bends(psf)
    for size, image in ((wider, xx + yy), (-across, along_x), (-down, along_y)):
        psf += size[:, None, None] * image
    unknown = rng.random(n) < _WITHOUT_TEMPLATE
    template = np.where(unknown[:, None, None], small.science - small.difference, small.template)
    return replace(small, psf=psf.astype(np.float32), template=template)


def cropped(triplets: Triplets, *, rng: np.random.Generator) -> Triplets:
    """Cut-outs of which all beyond a distance drawn at random along either axis is off the image."""
    reach = np.maximum(rng.uniform(_LEAST_FWHM, _MOST_FWHM, len(triplets)) * seen_on(triplets).fwhm, _LEAST_PX)
    offset = np.abs(np.arange(triplets.psf.shape[1]) - triplets.psf.shape[1] // 2)
    off = np.maximum(offset[:, None], offset[None, :]) > reach[:, None, None]

    def without(plane: Float32Array) -> Float32Array:
        return np.where(off, np.float32(np.nan), plane)

    difference, variance = without(triplets.difference), without(triplets.variance)
    mask = np.where(off, np.int32(int(OFF_IMAGE)), triplets.mask)
    return replace(
        triplets,
        science=without(triplets.science),
        template=without(triplets.template),
        difference=difference,
        variance=variance,
        mask=mask,
        spokes=_spokes(difference, mask, variance, triplets.fwhm),
    )


def _spokes(difference: Float32Array, mask: MaskArray, variance: Float32Array, fwhm: FloatArray) -> FloatArray:
    """Of cut-outs alone."""
    side = difference.shape[1]
    box, middle = Box.from_shape((side, side)), np.array([side // 2], dtype=np.float64)
    planes = (Planes(*stacks, box) for stacks in zip(difference, mask, variance, strict=True))
    parts = [spokes_of(one, x=middle, y=middle, fwhm=width) for one, width in zip(planes, fwhm, strict=True)]
    return np.concatenate(parts) if parts else np.empty((0, 2, len(SPOKE_EDGES_FWHM) - 1, N_SECTORS))
