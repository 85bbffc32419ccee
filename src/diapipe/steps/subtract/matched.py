"""What every subtractor begins with: the target carried to the reference by the matching kernel, defects settled."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from diapipe.errors import PsfUndefinedError
from diapipe.images.exposure import Exposure
from diapipe.images.masked_image import MaskedImage
from diapipe.numerics.arrays import Float32Array, IntArray
from diapipe.steps.subtract.base import Pair
from diapipe.steps.subtract.convolve import convolve_pixels, without_holes
from diapipe.steps.subtract.settle import settle_cores


class Matched(NamedTuple):
    """The target of a pair, matched.

    Attributes
    ----------
    pixels
        Kernel ⊗ target + background, saturated cores settled against the reference.
    filled
        The target that was convolved: holes filled, saturated cores rebuilt and settled.
    bad
        Indices, in the flattened array, of the pixels that one of the images has not.
    reference
        The reference, the error of the match in its variance.
    """

    pixels: Float32Array
    filled: Float32Array
    bad: IntArray
    reference: Exposure


def matched_target(pair: Pair, *, n_threads: int) -> Matched:
    """Convolve the target of a pair with the matching kernel.

    Raises
    ------
    PsfUndefinedError
        If the reference has no PSF: the difference would have none.
    """
    target, reference = pair.target, pair.reference
    if reference.psf is None:
        raise PsfUndefinedError(f"{reference.name} has no PSF; the difference would have none")
    good = target.masked_image.usable()
    filled, cores = without_holes(target, good)
    good &= reference.masked_image.usable()
    pixels = convolve_pixels(filled, target.box, pair.kernel, n_threads=n_threads)
    uncertain = with_error(reference, pixels, pair.relative_error)
    pixels += pair.background.over(reference.box)
    settle_cores(pixels, filled, cores, pair.kernel, reference=reference.masked_image, good=good)
    return Matched(pixels, filled, np.flatnonzero(~good), uncertain)


def with_error(reference: Exposure, light: Float32Array, relative_error: float) -> Exposure:
    """The reference with an error of the match, that part of the matched ``light``, in its variance: it is taken to
    differ from pixel to pixel.
    """
    if relative_error == 0.0:
        return reference
    planes = reference.masked_image
    error = np.float32(relative_error) * np.clip(light, 0.0, None)
    return replace(reference, masked_image=replace(planes, variance=planes.variance + error**2))


def template_as_matched(pair: Pair, matched: Float32Array) -> MaskedImage:
    """The template on the science flux scale: convolved and with the background, or scaled where science was
    convolved.
    """
    template = pair.template
    if pair.convolved == "template":
        return replace(template.masked_image, image=matched)
    pixels = (template.masked_image.image - pair.background.over(template.box)) / np.float32(pair.kernel.sum)
    return replace(template.masked_image, image=pixels)
