"""The cut-outs of what a survey found."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from diapipe.cli import survey_overview
from diapipe.images import Box, ChebyshevField, Difference, Exposure, MaskedImage, PhotoCalib, SpatialKernel


def test_what_is_new_is_not_on_the_template(monkeypatch):
    """Of a science image in nJy and a difference in counts of 2 nJy, the template is what was there before: 100 nJy."""
    box = Box.from_shape((60, 60))
    change = np.zeros(box.shape)
    change[30, 30] = 500.0
    counts = Exposure(name="difference", masked_image=MaskedImage.from_planes(change), photo_calib=PhotoCalib(2.0))
    science = Exposure(
        name="science",
        masked_image=MaskedImage.from_planes(2.0 * change + 100.0),
        photo_calib=PhotoCalib(1.0),
        unit="nJy",
    )
    difference = Difference(
        exposure=counts,
        kernel=SpatialKernel.constant(np.ones((1, 1)), box),
        background=ChebyshevField.constant(0.0, box),
        convolved="template",
    )
    results = SimpleNamespace(science=lambda *_: science, difference=lambda *_: difference)
    shown = []
    monkeypatch.setattr(survey_overview, "cutout_sheet", lambda content, **_: shown.append(content))
    of = SimpleNamespace(visit=1, detector=0, band="r")
    survey_overview._found_change(results, of, 30.0, 30.0, 1000.0, 20.0)
    assert np.all(shown[0].matched_template == 100.0)
    assert shown[0].difference.exposure.masked_image.image[30, 30] == 1000.0
