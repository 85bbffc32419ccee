"""Around a saturated star a source is one if it stands out from what the star leaves there."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from diapipe.images import Box, MaskedImage, MaskPlane
from diapipe.images.planes import Planes
from diapipe.steps.measure.quality import Cuts, residual_reasons
from diapipe.steps.measure.saturated_stars import saturated_columns
from diapipe.steps.measure.sources import Sources

REACH, OWN = 1.2, 6.0
BARE = (
    *("dp_sharpness", "dp_chi2Excess", "dp_templateRatio", "dp_psfMismatch", "dp_partnerRatio", "dp_starRatio"),
    "dp_lineScore",
)


def sky(stars):
    """Planes of 200 pixels with saturated disks (x, y, radius), none of them usable."""
    y, x = np.mgrid[:200, :200]
    mask = np.zeros((200, 200), np.int32)
    for at_x, at_y, radius in stars:
        mask[np.hypot(x - at_x, y - at_y) <= radius] = int(MaskPlane.SAT)
    image = MaskedImage.from_planes(np.zeros((200, 200)), mask=mask, box=Box.from_shape((200, 200)))
    return Planes.of(image)


def sources(*places):
    x, y = np.array(places, dtype=np.float64).T
    return Sources(x, y, np.ones(len(x)), np.zeros(len(x), np.int64))


def slowly(planes, found, score):
    """The same by distance images of whole frames."""
    regions, n = ndimage.label(planes.mask != 0, np.ones((3, 3)))
    distance, scatter = np.full(len(found), np.inf), np.full(len(found), np.nan)
    y, x = np.indices(score.shape)
    for k in range(1, n + 1):
        half = max(1.0, 0.5 * (regions == k).sum(axis=1).max())
        apart = ndimage.distance_transform_edt(regions != k)
        rows, columns = np.nonzero(regions == k)
        for i, place in enumerate(zip(found.x, found.y, strict=True)):
            scaled = np.hypot(columns - place[0], rows - place[1]).min() / half
            if scaled < distance[i] and scaled <= 10.0:
                distance[i] = scaled
                ring = (apart < REACH * half) & (planes.mask == 0) & np.isfinite(score)
                ring &= np.hypot(x - place[0], y - place[1]) > OWN
                near = scaled < REACH
                scatter[i] = np.percentile(np.abs(score[ring]), 90.0) / 1.645 if near else np.nan
    return distance, scatter


def test_distance_and_scatter_are_those_of_whole_images(rng):
    """Two stars, one at the edge; sources beside either, between both, far off; some of the score unknown."""
    planes = sky([(60.0, 70.0, 12.0), (195.0, 120.0, 8.0)])
    score = (3.0 * rng.normal(size=(200, 200))).astype(np.float32)
    score[100:104] = np.nan
    found = sources((60.0, 86.0), (47.0, 60.5), (74.0, 70.0), (187.0, 128.0), (120.0, 100.0), (20.0, 190.0))
    columns = saturated_columns(planes, found, score, reach=REACH, own_radius=OWN)
    distance, scatter = slowly(planes, found, score)
    np.testing.assert_allclose(columns["dp_saturatedDistance"], distance)
    np.testing.assert_allclose(columns["dp_saturatedScatter"], scatter)
    assert np.isfinite(scatter).tolist() == [True, True, True, True, False, False]


@pytest.mark.parametrize(("left", "expected"), [(1.0, [False, True]), (4.0, [True, True])])
def test_it_is_one_where_it_stands_out_from_its_surroundings(left, expected, rng):
    """S/N 12 is believed beside a star that leaves noise, not beside one that leaves four times as much; S/N 5.5 is
    believed beside none, however little light is under it.
    """
    planes, found = sky([(100.0, 100.0, 12.0)]), sources((100.0, 117.0), (100.0, 83.0))
    score = left * rng.normal(size=(200, 200)).astype(np.float32)
    columns = {name: np.full(2, np.nan) for name in BARE} | {"snr": np.array([12.0, 5.5])}
    columns |= saturated_columns(planes, found, score, reach=REACH, own_radius=OWN)
    assert residual_reasons(columns, cuts=Cuts())["dp_residual_saturated"].tolist() == expected


def test_without_surroundings_nothing_is_believed():
    """A star whose surroundings nobody sees leaves no scatter to tell, and what is beside it is taken for its own."""
    planes, found = sky([(100.0, 100.0, 12.0)]), sources((100.0, 117.0))
    columns = {name: np.full(1, np.nan) for name in BARE} | {"snr": np.array([50.0])}
    columns |= saturated_columns(planes, found, np.full((200, 200), np.nan, np.float32), reach=REACH, own_radius=OWN)
    assert np.isnan(columns["dp_saturatedScatter"]).all()
    assert residual_reasons(columns, cuts=Cuts())["dp_residual_saturated"].all()
