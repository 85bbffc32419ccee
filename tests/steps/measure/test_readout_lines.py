"""On a row that a saturated star has spoilt, noise is no source, and what stands out from the row is one."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.images import Box, MaskedImage, MaskPlane
from diapipe.images.planes import Planes
from diapipe.steps.measure.quality import Cuts, residual_reasons
from diapipe.steps.measure.readout_lines import line_scores
from diapipe.steps.measure.sources import Sources

NEAR, FAR = 10.0, 60.0
SIDE = 200
BARE = (
    *("dp_sharpness", "dp_chi2Excess", "dp_templateRatio", "dp_psfMismatch", "dp_partnerRatio", "dp_starRatio"),
    *("dp_saturatedDistance", "dp_saturatedScatter"),
)


def sky(plane=MaskPlane.SAT):
    """A saturated star of 11 rows and columns in the middle."""
    mask = np.zeros((SIDE, SIDE), np.int32)
    mask[95:106, 95:106] = int(plane)
    return Planes.of(MaskedImage.from_planes(np.zeros(mask.shape), mask=mask, box=Box.from_shape(mask.shape)))


def sources(*places, sign=1.0):
    x, y = np.array(places, dtype=np.float64).T
    return Sources(x, y, np.full(len(x), sign), np.zeros(len(x), np.int64))


def scores(planes, found, score):
    return line_scores(planes, found, score, near=NEAR, far=FAR)


@pytest.mark.parametrize("plane", [MaskPlane.SAT, MaskPlane.SAT_TEMPLATE])
@pytest.mark.parametrize("level", [4.0, -3.0])
def test_a_line_is_as_bright_as_its_row(plane, level, rng):
    """Level 4 on row 100 and column 97, in noise: to 0.7, four times the error of a median of 51; 0 on the rows of
    others, also where these have a level but no saturated star.
    """
    score = rng.normal(size=(SIDE, SIDE)).astype(np.float32)
    score[100] += np.float32(level)
    score[:, 97] += np.float32(level)
    score[30] += np.float32(level)
    found = sources((60.2, 99.9), (150.0, 100.3), (97.0, 40.0), (60.0, 30.0), sign=np.sign(level))
    told = scores(sky(plane), found, score)
    assert np.abs(told[:3] - level).max() < 0.7
    assert told[3] == 0.0


def test_halves_are_those_of_the_definition(rng):
    """Source by source, with borders and unknown pixels."""
    planes, score = sky(), (2.0 * rng.normal(size=(SIDE, SIDE)) + 1.5).astype(np.float32)
    score[rng.random(score.shape) < 0.1] = np.nan
    score[98, :90] = np.nan
    places = [*zip(rng.uniform(-0.4, SIDE - 0.6, 40), rng.uniform(94.6, 105.4, 40), strict=True), (3.0, 98.0)]
    found = sources(*places)
    expected = []
    for x, y in places:
        column, row, best = int(np.floor(x + 0.5)), int(np.floor(y + 0.5)), 0.0
        for line, at in ((score[row], column), *([(score[:, column], row)] if 95 <= column <= 105 else [])):
            halves = []
            for side in (1, -1):
                values = [line[k] for k in (at + side * s for s in range(10, 61)) if 0 <= k < SIDE]
                known = [value for value in values if np.isfinite(value)]
                halves += [np.median(known)] if len(known) >= 0.3 * 51 else []
            best = max(best, min(halves, default=0.0))
        expected.append(best)
    np.testing.assert_allclose(scores(planes, found, score), expected, rtol=1e-6)
    assert np.count_nonzero(expected) > 20


def test_a_bright_neighbour_is_no_line():
    """Light on one side only, and light of the other sign."""
    score = np.zeros((SIDE, SIDE), np.float32)
    score[100, 120:190] = 30.0
    score[98] = -5.0
    assert not scores(sky(), sources((100.0, 100.0), (60.0, 98.0)), score).any()


def test_a_source_stands_out_from_its_line():
    """On a line of 4: S/N 8.9 does not by 5 sigma, 9.1 does; on one of 0.9, which noise may make, 5.1 is believed."""
    columns = {name: np.full(4, np.nan) for name in BARE}
    columns |= {"snr": np.array([8.9, -8.9, 9.1, 5.1]), "dp_lineScore": np.array([4.0, -4.0, 4.0, 0.9])}
    assert residual_reasons(columns, cuts=Cuts())["dp_residual_line"].tolist() == [True, True, False, False]
