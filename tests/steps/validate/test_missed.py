"""Why a change was missed: each cause where it is the one that was made."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.table import Table
from test_judging import BOX, SIGMA, VARIANCE, _difference, _found

from diapipe.images import MaskPlane
from diapipe.images.source_profile import source_profile
from diapipe.steps.validate import judge, validate
from diapipe.steps.validate.truth import unusable_planes

AT = (100.0, 100.0)
ERROR = np.sqrt(VARIANCE) * np.sqrt(4 * np.pi) * SIGMA


def _why(*, planes=0, sources=None, snr_there=0.0, is_known=True):
    """The cause of a change of S/N 20 that was missed."""
    light = np.zeros(BOX.shape)
    difference = _difference()
    seen = source_profile(difference.exposure.psf, x=AT[0], y=AT[1])
    light[seen.box.slices_in(BOX)] = snr_there * ERROR * seen.values
    difference = _difference(image=light)
    pixels = difference.exposure.masked_image
    mask = pixels.mask.copy()
    mask[int(AT[1]) + 2 - BOX.y0, int(AT[0]) - BOX.x0] = int(planes)
    difference = replace(difference, exposure=replace(difference.exposure, masked_image=replace(pixels, mask=mask)))
    truth = Table({"x": [AT[0]], "y": [AT[1]], "flux": [20 * ERROR], "kind": ["hostless"], "is_known": [is_known]})
    judged = judge(difference, _found([], []) if sources is None else sources, truth, threshold_sigma=5.0)
    return str(judged.truth["why_missed"][0]), judged


@pytest.mark.parametrize(
    ("planes", "cause"),
    [
        (MaskPlane.NO_DATA.of_template, "no template"),
        (MaskPlane.NO_DATA, "no data"),
        (MaskPlane.SAT | MaskPlane.CR, "masked: "),
        (MaskPlane.BAD | MaskPlane.NO_DATA.of_template, "no template"),
        (MaskPlane.DETECTED, "not detected"),
    ],
)
def test_planes_are_named(planes, cause):
    """A hole of the template before others; planes that spoil nothing are no cause."""
    why, judged = _why(planes=planes, snr_there=20.0)
    assert why.startswith(cause)
    if planes & MaskPlane.SAT:
        assert "SAT" in why
        assert "CR" in why
    # what lies on unusable pixels is not asked for, but listed
    found = validate([judged])
    assert len(found.missed) == 1
    assert found.numbers["missed_bright"] == {cause.partition(":")[0]: 1}
    assert found.plain["missed"][0]["why_missed"] == why


def test_a_pixel_without_a_number_is_no_data():
    """No plane tells of it."""
    image = np.zeros(BOX.shape)
    image[int(AT[1]) - BOX.y0, int(AT[0]) - BOX.x0] = np.nan
    difference = _difference(image=image)
    assert unusable_planes(difference, *AT) == MaskPlane.NO_DATA
    assert not unusable_planes(difference, AT[0] + 4.0, AT[1])


@pytest.mark.parametrize(
    ("columns", "names"),
    [
        ({"dp_residual_star": [True]}, "dp_residual_star"),
        ({"dp_badPixel": [True], "pixelFlags_cr": [True], "pixelFlags_edge": [False]}, "pixelFlags_cr"),
        ({"psfFlux_flag": [True]}, "psfFlux_flag"),
        ({"dp_trailOf": [7]}, "dp_trailOf"),
        ({"dp_residual_shape": [True], "dp_residual_sharp": [True]}, "dp_residual_sharp, dp_residual_shape"),
    ],
)
def test_flags_are_named(columns, names):
    """What was found and is not to be trusted, by what."""
    why, _ = _why(sources=_found([AT[0]], [AT[1]], dp_bad=[True], **columns), snr_there=20.0)
    assert why == f"flagged: {names}"


def test_a_result_of_an_earlier_version_names_the_flags_that_it_has():
    """A catalogue without one of today's residual flags is judged by the others."""
    sources = _found([AT[0]], [AT[1]], dp_bad=[True], dp_residual_shape=[True])
    sources.remove_column("dp_residual_sharp")
    assert _why(sources=sources, snr_there=20.0)[0] == "flagged: dp_residual_shape"


def test_light_of_others_and_noise():
    """A source within two FWHM may have its light; without one the S/N at the place tells noise from a defect."""
    beside = _found([AT[0] + 1.5 * 2.3548 * SIGMA], [AT[1]])
    assert _why(sources=beside, snr_there=20.0)[0] == "blended"
    assert _why(snr_there=4.0)[0] == "below threshold: S/N 4.0"
    assert _why(snr_there=20.0)[0] == "not detected: S/N 20.0"
    assert _why(is_known=False)[0] == "not known"


def test_what_was_found_has_no_cause():
    """A good source at the place; nothing is listed."""
    why, judged = _why(sources=_found([AT[0]], [AT[1]]), snr_there=20.0)
    assert why == ""
    assert len(validate([judged]).missed) == 0
