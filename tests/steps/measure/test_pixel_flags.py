"""Flags of sources that share a footprint are those of each one's part of it."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from diapipe.catalogs.flag_names import PIXEL_FLAGS
from diapipe.images import Box, Footprints, MaskedImage, MaskPlane, Peaks
from diapipe.images.planes import Planes
from diapipe.steps.measure.flags import pixel_flags
from diapipe.steps.measure.sources import Sources

BOX = Box.from_shape((40, 90), x0=1000, y0=300)


def flags_of(mask, footprints, sources):
    image = MaskedImage.from_planes(np.zeros(BOX.shape), mask=mask, box=BOX)
    return pixel_flags(Planes.of(image), sources, footprints)


def scene(labels, x, y):
    """Footprints of labelled pixels, with sources at array positions."""
    spans, offsets = [], [0]
    for k in range(1, labels.max() + 1):
        for row, inside in enumerate(labels == k):
            runs = np.flatnonzero(np.diff(np.concatenate([[0], inside.astype(int), [0]])))
            spans += [(row + BOX.y0, first + BOX.x0, last + BOX.x0) for first, last in runs.reshape(-1, 2)]
        offsets.append(len(spans))
    footprint = labels[np.round(y).astype(int), np.round(x).astype(int)] - 1
    peaks = Peaks(x + BOX.x0, y + BOX.y0, np.full(len(x), 9.0), footprint, *np.full((3, len(x)), np.nan))
    return Footprints(np.array(spans), np.array(offsets), peaks, BOX), Sources(x, y, np.ones(len(x)), footprint)


def test_a_ray_on_a_row_is_one_source_s():
    """Three sources on a row of 80 pixels, a ray beside the first; a source of its own below knows nothing of it."""
    labels = np.zeros(BOX.shape, int)
    labels[9:12, 5:85], labels[30:33, 20:30] = 1, 2
    mask = np.zeros(BOX.shape, np.int32)
    mask[10, 22:25], mask[31, 21] = int(MaskPlane.CR), int(MaskPlane.EDGE)
    found = flags_of(mask, *scene(labels, np.array([15.0, 45.0, 75.0, 26.0]), np.array([10.0, 10.0, 10.0, 31.0])))
    assert found["pixelFlags_cr"].tolist() == [True, False, False, False]
    assert found["pixelFlags_edge"].tolist() == [False, False, False, True]
    assert not found["pixelFlags_crCenter"].any()
    assert found["pixelFlags"].tolist() == [True, False, False, True]


def test_parts_are_those_of_the_definition(rng):
    """Pixel by pixel, in random footprints with none to many sources, in any order."""
    labels, _ = ndimage.label(ndimage.uniform_filter(rng.normal(size=BOX.shape), 5) > 0.03)
    rows, columns = np.nonzero(labels)
    at = rng.permutation(len(rows))[:60]
    x, y = columns[at] + rng.uniform(-0.4, 0.4, 60), rows[at] + rng.uniform(-0.4, 0.4, 60)
    mask = np.where(rng.random(BOX.shape) < 0.03, int(MaskPlane.CR), 0) | int(MaskPlane.DETECTED)
    mask |= np.where(rng.random(BOX.shape) < 0.03, int(MaskPlane.SAT_TEMPLATE), 0)
    found = flags_of(mask.astype(np.int32), *scene(labels, x, y))
    for name in ("cr", "saturated_template"):
        expected = np.zeros(60, bool)
        for row, column in zip(rows, columns, strict=True):
            if mask[row, column] & int(PIXEL_FLAGS[name]):
                own = labels[np.round(y).astype(int), np.round(x).astype(int)] == labels[row, column]
                distance = np.where(own, np.hypot(x - column, y - row), np.inf)
                expected[np.argmin(distance)] |= bool(own.any())
        expected |= found[f"pixelFlags_{name}Center"]
        assert found[f"pixelFlags_{name}"].tolist() == expected.tolist()
        assert 5 < expected.sum() < 55
