"""Trails on difference cut-outs of Rubin alerts, beside the numbers of LSST's own catalogue."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.rubin_cutouts import KINDS, RUBIN, cutouts, written

import diapipe
from diapipe.images import ChebyshevField, Difference, SpatialKernel
from diapipe.steps.detect import detect
from diapipe.steps.measure import measure

pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif(not RUBIN.is_dir(), reason="no real data beside the checkout (../shared/data)"),
]

TRAILS = {170591533447250193, 170591526414450946}
"""The asteroids whose trails are longer than the seeing; two points that follow each other are a third in the file."""


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """The catalogue's row of each alert and ours nearest to it; None where nothing is detected."""
    folder, pairs = tmp_path_factory.mktemp("cutouts"), {}
    for cutout in cutouts():
        science, template, seen = (diapipe.read_exposure(written(cutout, kind, folder)) for kind in KINDS)
        difference = Difference(
            exposure=seen,
            kernel=SpatialKernel.constant(np.pad(np.ones((1, 1)), 7), seen.box),
            background=ChebyshevField.constant(0.0, seen.box),
            convolved="template",
            matched_template=template.masked_image,
        )
        table = measure(difference, detect(seen), science=science)
        x, y = seen.wcs.all_world2pix(cutout.row["ra"], cutout.row["dec"], 0)
        near = np.hypot(table["x"] - x, table["y"] - y)
        row = table[near.argmin()] if len(table) and near.min() < 5 else None
        if row is not None and row["dp_trailOf"]:
            row = table[table["diaSourceId"] == row["dp_trailOf"]][0]
        pairs[cutout.dia_source_id] = (cutout.row, row)
    return pairs


def test_trails_of_asteroids_are_those_of_the_catalogue(measured):
    """Length to 0.1 arcsec, position angle to 1.5 degrees plus the catalogue's error, its range of angles folded."""
    for name in TRAILS:
        theirs, ours = measured[name]
        assert not ours["trail_flag"]
        assert not ours["dp_bad"]
        assert not ours["isDipole"]
        assert ours["trailLength"] == pytest.approx(theirs["trailLength"], abs=0.1)
        turned = (ours["trailAngle"] - theirs["trailAngle"] + 90) % 180 - 90
        assert abs(turned) < 1.5 + 3 * (theirs["trailAngleErr"] or 0.0)
        apart = np.hypot(ours["trailRa"] - theirs["trailRa"], ours["trailDec"] - theirs["trailDec"]) * 3600
        assert apart < 0.15


def test_nothing_else_there_is_a_trail(measured):
    """Points, dipoles, the spike of a saturated star, the residual of a galaxy, two points; asteroids whose trail is
    shorter than a seeing of 1.6": the PSF fits those, by the catalogue's own χ² too.
    """
    told = {name for name, (_, ours) in measured.items() if ours is not None and not ours["trail_flag"]}
    assert told == TRAILS
