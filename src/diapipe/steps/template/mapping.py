"""Where science pixels lie on the template: by the two WCSs, or by the pixel grid where neither image has one."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from diapipe.errors import InputError
from diapipe.images import Exposure
from diapipe.images.pixel_map import PixelMap
from diapipe.images.sky import between, icrs_of, outline
from diapipe.numerics.sphere import angle_of, unit_vectors


def template_positions(science: Exposure, template: Exposure) -> PixelMap:
    """Template positions of the science pixels.

    Parameters
    ----------
    science, template
        Both with a WCS, or both without one and of one shape: then they are taken as aligned.

    Raises
    ------
    InputError
        If only one image has a WCS, a WCS has no celestial axes, or neither has one and the shapes differ.
    """
    if science.wcs is None and template.wcs is None:
        return _same_grid(science, template)
    for image, other in ((science, template), (template, science)):
        if image.wcs is None:
            raise InputError(
                f"{image.name} has no WCS but {other.name} has one; give both a WCS, or two images of one shape without"
            )
        if not image.wcs.has_celestial or image.wcs.naxis != 2:
            raise InputError(
                f"the WCS of {image.name} has axes {list(image.wcs.wcs.ctype)}; two celestial axes are needed"
            )
    return PixelMap.sampled(between(science.wcs, template.wcs), science.box)


def _same_grid(science: Exposure, template: Exposure) -> PixelMap:
    if science.box.shape != template.box.shape:
        raise InputError(
            f"{science.name} has {science.box.height} x {science.box.width} pixels, {template.name} has "
            f"{template.box.height} x {template.box.width}, and neither has a WCS; without one they must have one shape"
        )
    dx, dy = template.box.x0 - science.box.x0, template.box.y0 - science.box.y0
    return PixelMap.sampled(lambda x, y: (x + dx, y + dy), science.box)


def distance_arcmin(science: Exposure, template: Exposure) -> float:
    """Least distance on the sky between the borders of two images with a WCS, in arcmin (sampled 65 times a side)."""
    outlines = []
    for image in (science, template):
        vectors = unit_vectors(*icrs_of(image.wcs, *outline(image.box)))
        outlines.append(vectors[np.isfinite(vectors).all(axis=1)])
    chord, _ = cKDTree(outlines[0]).query(outlines[1])
    return float(angle_of(chord.min()) * 60.0)
