"""The packaged score on real cut-outs: detections of LSSTCam, of which training has seen none."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.reliability import DOUBTED, rubin
from benchmarks.rubin_cutouts import RUBIN, cutouts
from benchmarks.rubin_differences import as_subtracted

from diapipe.numerics.small_convolution import convolved_in_full
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


def test_what_whitened_an_alert_is_known(tmp_path):
    """Where only an asteroid is, its difference is the science image through that kernel: of three of S/N above 100
    less is left than without it, nowhere more than the noise of a pixel, and of the most whitened less than half.
    """
    share = []
    for cutout in cutouts():
        if cutout.row["ssObjectId"] == 0 or cutout.row["snr"] < 100.0:
            continue
        science, difference = as_subtracted(cutout, tmp_path)
        planes, half = difference.exposure.masked_image, difference.whitening.half
        seen = science.masked_image.image - np.median(science.masked_image.image)
        white = convolved_in_full(seen, difference.whitening.image_at(x=0.0, y=0.0))[half:-half, half:-half]
        middle = np.s_[5:-5, 5:-5]
        left, plain = (np.std((planes.image - image)[middle]) for image in (white, seen))
        assert left < np.sqrt(np.median(planes.variance))
        share.append(left / plain)
    assert len(share) == 3
    assert max(share) < 1.0
    assert min(share) < 0.5
