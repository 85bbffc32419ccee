"""MaskPlane: names, bits and the template's own planes."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.images import UNUSABLE, UNUSABLE_DIFFERENCE, MaskPlane
from diapipe.images.mask import OF_COADDS

SCIENCE = [plane for plane in MaskPlane if not plane.name.endswith("_TEMPLATE") and not plane & OF_COADDS]


def test_the_planes_have_the_names_of_lsst():
    """The names that files carry in ``MP_*`` cards; order and bits are ours."""
    names = " ".join(str(plane.name) for plane in SCIENCE)
    assert names == "BAD SAT INTRP CR EDGE DETECTED DETECTED_NEGATIVE SUSPECT NO_DATA STREAK INJECTED"


@pytest.mark.parametrize("plane", SCIENCE, ids=lambda plane: plane.name)
def test_the_template_brings_a_plane_under_its_own_name(plane):
    """``X.of_template`` is ``X_TEMPLATE``, for every plane."""
    assert plane.of_template is MaskPlane[f"{plane.name}_TEMPLATE"]


@pytest.mark.parametrize("plane", OF_COADDS, ids=lambda plane: plane.name)
def test_planes_of_coadds_are_the_templates_alone_and_keep_their_names(plane):
    assert plane.of_template is plane
    assert not UNUSABLE_DIFFERENCE & plane


def test_planes_of_the_template_stay_where_they_are():
    """A template made of a difference has nothing to say about its own template."""
    assert MaskPlane.BAD_TEMPLATE.of_template == MaskPlane(0)


def test_combined_planes_move_together():
    both = MaskPlane.SAT | MaskPlane.CR
    assert both.of_template == MaskPlane.SAT_TEMPLATE | MaskPlane.CR_TEMPLATE


def test_every_plane_is_one_bit_that_fits_the_mask():
    """No two planes share a bit and all of them together are a positive int32."""
    bits = [int(plane) for plane in MaskPlane]
    assert all(bit.bit_count() == 1 for bit in bits)
    assert len(set(bits)) == len(bits) == 2 * len(SCIENCE) + len(list(OF_COADDS))
    assert sum(bits) <= np.iinfo(np.int32).max


def test_what_is_unusable_spoils_a_difference_from_either_side():
    assert UNUSABLE | UNUSABLE.of_template == UNUSABLE_DIFFERENCE
    for harmless in (MaskPlane.DETECTED, MaskPlane.DETECTED_NEGATIVE, MaskPlane.INTRP, MaskPlane.INJECTED):
        assert not UNUSABLE & harmless
