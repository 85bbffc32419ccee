"""The packaged score on real cut-outs: detections of LSSTCam, of which training has seen none."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.reliability import DOUBTED, rubin
from benchmarks.rubin_cutouts import RUBIN, cutouts

from diapipe.steps.classify import BoostedTrees

pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif(not RUBIN.is_dir(), reason=f"no {RUBIN}: Rubin's alerts are not beside the checkout"),
]


def test_alerts_are_believed_and_dipoles_are_not():
    """Of the alerts that Rubin's own score believes, all but four of 24 have a half; dipoles less than a tenth.

    The others are faint, S/N 5: at a completeness of 95% one or two of 24 are lost, and four in one case of a hundred.
    """
    found = rubin(BoostedTrees())
    believed = found.score[~found.is_doubted]
    assert len(believed) == 24
    assert np.count_nonzero(believed < DOUBTED) <= 4
    is_dipole = np.array([cutout.row["isDipole"] for cutout in cutouts()])
    assert found.score[is_dipole].max() < 0.1
    assert np.median(believed) > np.median(found.score[found.is_doubted])
