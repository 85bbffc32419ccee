"""Where the template's PSF leaps and the kernel cannot: what a star leaves there, from the PSF models.

A coadd's PSF changes from one pixel to the next at the border of each of its inputs, while a kernel is smooth over the
field: it follows the mean, and a star beside the border is left over by what the PSFs say.
"""

from __future__ import annotations

import numpy as np

from diapipe.errors import PsfUndefinedError
from diapipe.images import Difference, Psf
from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.matched_filter import cropped
from diapipe.numerics.small_convolution import convolved_in_full

_GRID = 4
"""Positions along each axis at which the median says what the kernel leaves of any star; an error of the models."""


def psf_mismatch(
    difference: Difference, science: Psf | None, template: Psf | None, *, x: FloatArray, y: FloatArray
) -> FloatArray:
    """How high what the leaps of the template's PSF leave of a star stands, over the star where it is less high.

    With A = kernel ⊗ the PSF that it convolves and B the other, both of unit sum, the flux that is left of a star of
    unit flux is at most r = max |P ⋆ (A - B - m)| / Σ P², P the difference's PSF and m the median of A - B over the
    field: an error of the models that is everywhere is none of the difference. The height of a source of this flux over
    that of the star, as dp_templateRatio compares them, is r max P / min(max A, max B): a wide star is not high.

    Parameters
    ----------
    difference
        With its kernel and PSF.
    science, template
        PSFs on the science grid, before the match.
    x, y
        Positions, shape (n,).

    Returns
    -------
    FloatArray
        Shape (n,); zero where the PSF of the template is smooth over the field, or nothing is known.
    """
    found, psf = np.zeros(len(x)), difference.exposure.psf
    if science is None or template is None or template.is_smooth or psf is None or len(x) == 0:
        return found

    def stars(u: float, v: float) -> tuple[FloatArray, FloatArray] | None:
        return _stars(difference, science, template, float(u), float(v), size=psf.size)

    box, steps = difference.box, (np.arange(_GRID) + 0.5) / _GRID
    everywhere = [stars(box.x0 + u * box.width, box.y0 + v * box.height) for v in steps for u in steps]
    known = [pair[0] - pair[1] for pair in everywhere if pair is not None]
    if not known:
        return found
    usual = np.median(known, axis=0)
    for k in np.flatnonzero(np.isfinite(x) & np.isfinite(y)):
        pair = stars(x[k], y[k])
        if pair is not None:
            profile = psf.kernel_image(x=float(x[k]), y=float(y[k]))
            left = convolved_in_full(pair[0] - pair[1] - usual, profile[::-1, ::-1])
            heights = profile.max() / min(image.max() for image in pair)
            found[k] = heights * np.abs(left).max() / (profile**2).sum()
    return found


def _stars(
    difference: Difference, science: Psf, template: Psf, x: float, y: float, *, size: int
) -> tuple[FloatArray, FloatArray] | None:
    """A and B at a position, on stamps; None where a PSF is undefined."""
    convolved, other = (template, science) if difference.convolved == "template" else (science, template)
    try:
        reference, target = other.kernel_image(x=x, y=y), convolved.kernel_image(x=x, y=y)
    except PsfUndefinedError:
        return None
    matched = convolved_in_full(target, difference.kernel.image_at(x=x, y=y))
    return _on_stamp(matched / matched.sum(), size), _on_stamp(reference / reference.sum(), size)


def _on_stamp(image: FloatArray, size: int) -> FloatArray:
    """The middle of an image, or the image with zeros around it."""
    margin = (size - len(image)) // 2
    return np.pad(image, margin) if margin >= 0 else cropped(image, size // 2)
