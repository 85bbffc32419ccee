"""Smaller cut-outs of the same sources: those of other programs do not reach as far as ours."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from diapipe.images.triplets import OFF_IMAGE, Triplets
from diapipe.numerics.arrays import Float32Array
from diapipe.steps.classify.seen import seen_on

_LEAST_FWHM, _MOST_FWHM = 1.5, 3.2
_LEAST_PX = 7.0


def cropped(triplets: Triplets, *, rng: np.random.Generator) -> Triplets:
    """Cut-outs of which all beyond a distance drawn at random along either axis is off the image."""
    reach = np.maximum(rng.uniform(_LEAST_FWHM, _MOST_FWHM, len(triplets)) * seen_on(triplets).fwhm, _LEAST_PX)
    offset = np.abs(np.arange(triplets.psf.shape[1]) - triplets.psf.shape[1] // 2)
    off = np.maximum(offset[:, None], offset[None, :]) > reach[:, None, None]

    def without(plane: Float32Array) -> Float32Array:
        return np.where(off, np.float32(np.nan), plane)

    return replace(
        triplets,
        science=without(triplets.science),
        template=without(triplets.template),
        difference=without(triplets.difference),
        variance=without(triplets.variance),
        mask=np.where(off, np.int32(int(OFF_IMAGE)), triplets.mask),
    )
