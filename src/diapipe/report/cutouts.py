"""Cut-outs of sources: science, template, difference side by side, all in one picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diapipe.images import UNUSABLE_DIFFERENCE, Box, MaskedImage
from diapipe.images.box import pixel_of
from diapipe.numerics.arrays import BoolArray, Float32Array, FloatArray
from diapipe.numerics.stats import median, thinned
from diapipe.report.content import PageContent
from diapipe.report.png import ByteArray, data_url, encode_png
from diapipe.report.stretch import AsinhStretch, grey_palette

MIN_SIDE_PX, MAX_SIDE_PX = 31, 51
"""Side of a cut-out: ten FWHM, within these."""
_FWHM_PER_SIDE = 10.0
_SAMPLE = 100_000


@dataclass(frozen=True, slots=True)
class CutoutSheet:
    """One picture of all cut-outs: row i is source i, the columns are science, template, difference."""

    url: str
    side: int
    rows: int
    columns: tuple[str, ...]


def cutout_side(fwhm_px: float | None) -> int:
    """Side of the cut-outs for a PSF, odd."""
    side = int(np.clip(round(_FWHM_PER_SIDE * (fwhm_px or 4.0)), MIN_SIDE_PX, MAX_SIDE_PX))
    return side | 1


def cutout_sheet(content: PageContent, *, x: FloatArray, y: FloatArray, side: int) -> CutoutSheet:
    """Draw the cut-outs of sources at positions (parent coordinates), each source at a stretch of its own.

    The noise sets the black end of a source's stretch, the brightest pixel near its centre the white end; the three
    cut-outs of one source share it.
    """
    masked = content.difference.exposure.masked_image
    planes = {"science": content.science, "template": content.matched_template, "difference": masked.image}
    at_hand = {name: plane for name, plane in planes.items() if plane is not None}
    skies = [0.0 if name == "difference" else median(thinned(plane, _SAMPLE)) for name, plane in at_hand.items()]
    sheet = np.zeros((max(1, len(x)) * side, len(at_hand) * side), np.uint8)
    for i in range(len(x)):
        around = Box.around(x=float(x[i]), y=float(y[i]), half=side // 2)
        stamps = [_stamp(p, masked.box, around) - np.float32(s) for p, s in zip(at_hand.values(), skies, strict=True)]
        stamps[-1][_is_blank(masked, around)] = np.nan
        sheet[i * side : (i + 1) * side] = _drawn(stamps, noise=_noise_at(content, float(x[i]), float(y[i])))
    url = data_url(encode_png(sheet[::-1], grey_palette()))
    return CutoutSheet(url, side, len(x), tuple(at_hand))


def _stamp(plane: Float32Array, box: Box, around: Box) -> Float32Array:
    """Pixels of ``around``; NaN where it sticks out of the image."""
    inside = box.intersect(around)
    stamp = np.full(around.shape, np.nan, np.float32)
    if inside is not None:
        stamp[inside.slices_in(around)] = plane[inside.slices_in(box)]
    return stamp


def _is_blank(masked: MaskedImage, around: Box) -> BoolArray:
    """Pixels of ``around`` that the mask calls unusable."""
    blank = np.zeros(around.shape, np.bool_)
    inside = masked.box.intersect(around)
    if inside is not None:
        blank[inside.slices_in(around)] = (masked[inside].mask & np.int32(int(UNUSABLE_DIFFERENCE))) != 0
    return blank


def _noise_at(content: PageContent, x: float, y: float) -> float:
    """Noise of a pixel of the difference there."""
    masked = content.difference.exposure.masked_image
    row = min(max(pixel_of(y) - masked.box.y0, 0), masked.box.height - 1)
    column = min(max(pixel_of(x) - masked.box.x0, 0), masked.box.width - 1)
    variance = float(masked.variance[row, column])
    return float(np.sqrt(variance)) if np.isfinite(variance) and variance > 0 else 1.0


def _drawn(stamps: list[Float32Array], *, noise: float) -> ByteArray:
    """The cut-outs of one source, top row first."""
    middle = stamps[0].shape[0] // 2
    core = slice(max(0, middle - 5), middle + 6)
    near = np.concatenate([np.abs(stamp[core, core]).ravel() for stamp in stamps])
    near = near[np.isfinite(near)]
    top = float(near.max()) / noise if len(near) else 0.0
    stretch = AsinhStretch(sigma=noise, low_sigma=-max(4.0, 0.15 * top), high_sigma=max(8.0, 1.1 * top), soft_sigma=4.0)
    return np.concatenate([stretch.indices(stamp)[::-1] for stamp in stamps], axis=1)
