"""Tracts and patches: which share sky with an image, anywhere on the sphere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diapipe.errors import BoundsError, InputError
from diapipe.images import Box
from diapipe.images.sky import between, pixels_of, sky_of
from diapipe.images.sky_regions import SkyBox, SkyPolygon
from diapipe.images.tracts import Tract, tract_in_charge

PLACES = [(0.0, 0.0), (359.999, -30.0), (0.001, 45.0), (123.0, 89.99), (40.0, 90.0), (10.0, -90.0), (200.0, -89.9)]
SIDE = {"pixel_scale_arcsec": 0.5, "n_patches": 5, "patch_size_px": 100, "patch_border_px": 10}


def tract_at(ra, dec, *, id=0, **changes):
    return Tract.around(id, ra_deg=ra, dec_deg=dec, **(SIDE | changes))


def turned(ra, dec, *, angle_deg, scale=0.4, center=(60.0, 45.0)):
    """WCS of an image turned by an angle, whose pixel ``center`` lies at the position."""
    wcs = tract_at(ra, dec).wcs.deepcopy()
    angle = np.radians(angle_deg)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    wcs.wcs.cd = turn @ np.diag([-scale, scale]) / 3600
    wcs.wcs.crpix = [center[0] + 1, center[1] + 1]
    wcs.wcs.set()
    return wcs


def test_inner_boxes_tile_the_tract_and_outer_boxes_stay_in_it():
    """Each pixel belongs to one inner box; an outer box is that box and its border, cut at the tract's."""
    tract = Tract(id=3, wcs=tract_at(10, 20).wcs, box=Box(5, 255, -7, 300), patch_size_px=100, patch_border_px=20)
    count = np.zeros(tract.box.shape, int)
    for patch in tract.patches:
        count[patch.inner.slices_in(tract.box)] += 1
        assert tract.box.contains(patch.outer)
        assert patch.outer == patch.inner.dilated(20).intersect(tract.box)
        assert patch.index == patch.row * tract.n_columns + patch.column
    assert (count == 1).all()
    assert (tract.n_columns, tract.n_rows) == (4, 3)


def test_a_patch_that_there_is_not_is_refused():
    with pytest.raises(BoundsError, match=r"tract 0 has patches 0 to 24, not 25"):
        tract_at(0, 0).patch(25)


def test_a_tract_without_pixels_is_refused():
    with pytest.raises(InputError, match="patches of 1 px or more"):
        Tract(id=1, wcs=tract_at(0, 0).wcs, box=Box(0, 10, 0, 10), patch_size_px=0)


@pytest.mark.parametrize("place", PLACES)
@settings(max_examples=8)
@given(angle=st.floats(0, 360), along=st.floats(-280, 280), up=st.floats(-280, 280))
def test_overlapping_patches_are_those_that_hold_a_pixel_of_the_image(place, angle, along, up):
    """Against the slow twin, all pixels of the image mapped to the tract, also over RA 0 and the poles.

    A patch that the twin does not know may share less than a pixel with the image, none that it knows may be missing.
    """
    tract = tract_at(*place)
    ra, dec = sky_of(tract.wcs, np.array([249.5 + along]), np.array([249.5 + up]))
    wcs, box = turned(float(ra[0]), float(dec[0]), angle_deg=angle), Box.from_shape((91, 121))
    y, x = np.mgrid[-0.5:90.51:0.5, -0.5:120.51:0.5]
    at_x, at_y = between(wcs, tract.wcs)(x.ravel(), y.ravel())
    holds = {
        p.index: (
            (at_x > p.outer.x0 - 0.5)
            & (at_x < p.outer.x1 - 0.5)
            & (at_y > p.outer.y0 - 0.5)
            & (at_y < p.outer.y1 - 0.5)
        ).sum()
        for p in tract.patches
    }
    found = {p.index for p in tract.patches_overlapping(box, wcs)}
    assert {index for index, n in holds.items() if n > 0} <= found
    grown = [p.index for p in tract.patches_overlapping(Box(1, 90, 1, 120), wcs)]
    assert set(grown) <= {index for index, n in holds.items() if n > 0}
    reach = tract.box_of(box, wcs)
    assert reach.x0 - 0.5 <= at_x.min() + 1e-6
    assert at_x.max() <= reach.x1 - 0.5 + 1e-6
    assert reach.y0 - 0.5 <= at_y.min() + 1e-6
    assert at_y.max() <= reach.y1 - 0.5 + 1e-6


def test_an_image_on_the_other_side_of_the_sky_overlaps_nothing():
    """Its antipode has the same tangent-plane coordinates, and is not the same place."""
    tract = tract_at(30.0, 40.0)
    away = turned(210.0, -40.0, angle_deg=0.0)
    assert tract.patches_overlapping(Box.from_shape((90, 120)), away) == ()
    assert tract.box_of(Box.from_shape((90, 120)), away) is None
    assert not tract.covers(ra_deg=210.0, dec_deg=-40.0)


def test_an_image_larger_than_the_tract_overlaps_all_patches():
    tract = tract_at(0.0, 10.0)
    wcs = turned(0.0, 10.0, angle_deg=20.0, center=(1000.0, 1000.0))
    assert tract.patches_overlapping(Box.from_shape((2001, 2001)), wcs) == tract.patches


@pytest.mark.parametrize("place", PLACES)
def test_a_tract_covers_what_lies_on_its_pixels(place):
    """Pixels just inside its border, none just outside; right ascensions may be given 360 degrees away."""
    tract = tract_at(*place)
    inside = sky_of(tract.wcs, np.array([0.0, 499.0, 250.0]), np.array([0.0, 499.0, 499.4]))
    outside = sky_of(tract.wcs, np.array([-1.0, 250.0]), np.array([250.0, 500.0]))
    assert tract.covers(ra_deg=inside[0], dec_deg=inside[1]).all()
    assert tract.covers(ra_deg=inside[0] - 360.0, dec_deg=inside[1]).all()
    assert not tract.covers(ra_deg=outside[0], dec_deg=outside[1]).any()


def test_the_tract_in_charge_is_the_one_with_the_inner_region():
    """Not the one whose middle is nearer; without inner regions the nearer one; off all tracts none."""
    west = SkyBox(ra_deg=359.9, width_deg=0.08, dec0_deg=-1, dec1_deg=1)
    east = SkyBox(ra_deg=359.98, width_deg=0.1, dec0_deg=-1, dec1_deg=1)
    tracts = [tract_at(359.95, 0.0, id=1, inner_region=west), tract_at(0.0, 0.0, id=2, inner_region=east)]
    assert tract_in_charge(tracts, ra_deg=359.979, dec_deg=0.0).id == 1
    assert tract_in_charge(tracts, ra_deg=359.981, dec_deg=0.0).id == 2
    plain = [tract_at(359.95, 0.0, id=1), tract_at(0.0, 0.0, id=2)]
    assert tract_in_charge(plain, ra_deg=359.979, dec_deg=0.0).id == 2
    assert tract_in_charge(plain, ra_deg=180.0, dec_deg=0.0) is None


@pytest.mark.parametrize(
    ("ra", "dec", "inside"),
    [
        (359.5, 0.0, True),
        (0.5, 0.0, True),
        (1.0, 0.0, False),
        (-0.5, 0.0, True),
        (180.0, 0.0, False),
        (0.0, 2.0, False),
    ],
)
def test_a_sky_box_reaches_over_ra_0(ra, dec, inside):
    """The western meridian and the southern parallel belong to it, the others to its neighbours."""
    assert SkyBox(ra_deg=359.0, width_deg=2.0, dec0_deg=-1.0, dec1_deg=1.0).contains(ra_deg=ra, dec_deg=dec) == inside


def test_a_cap_holds_its_pole():
    cap = SkyBox(ra_deg=0.0, width_deg=360.0, dec0_deg=80.0, dec1_deg=90.0)
    third = SkyBox(ra_deg=0.0, width_deg=120.0, dec0_deg=80.0, dec1_deg=90.0)
    assert cap.contains(ra_deg=np.array([5.0, 300.0]), dec_deg=np.array([90.0, 80.0])).all()
    assert third.contains(ra_deg=300.0, dec_deg=90.0)
    assert not third.contains(ra_deg=300.0, dec_deg=89.0)


@pytest.mark.parametrize("place", PLACES)
def test_the_polygon_of_a_tracts_corners_is_its_box(place):
    """Straight lines of a gnomonic projection are great circles; both ways round."""
    tract = tract_at(*place)
    x, y = np.array([-0.5, 499.5, 499.5, -0.5]), np.array([-0.5, -0.5, 499.5, 499.5])
    ra, dec = sky_of(tract.wcs, x, y)
    rng = np.random.default_rng(3)
    at = sky_of(tract.wcs, rng.uniform(-300, 800, 300), rng.uniform(-300, 800, 300))
    for step in (1, -1):
        polygon = SkyPolygon(ra_deg=tuple(ra[::step]), dec_deg=tuple(dec[::step]))
        found = polygon.contains(ra_deg=at[0], dec_deg=at[1])
        np.testing.assert_array_equal(found, tract.covers(ra_deg=at[0], dec_deg=at[1]))
        assert not polygon.contains(ra_deg=place[0] + 180.0, dec_deg=-place[1])


def test_regions_that_are_none_are_refused():
    with pytest.raises(InputError, match="ascending declinations"):
        SkyBox(ra_deg=0, width_deg=1, dec0_deg=2, dec1_deg=1)
    with pytest.raises(InputError, match="at least three corners, not 2"):
        SkyPolygon(ra_deg=(0.0, 1.0), dec_deg=(0.0, 0.0))
    with pytest.raises(InputError, match="must be convex"):
        SkyPolygon(ra_deg=(0.0, 2.0, 0.5, 0.0), dec_deg=(0.0, 0.0, 0.5, 2.0))


def test_sky_positions_that_are_none_have_no_pixel():
    """NaN in, NaN out, and the others are found."""
    x, y = pixels_of(tract_at(5.0, 5.0).wcs, np.array([np.nan, 5.0]), np.array([5.0, 5.0]))
    assert np.isnan(x[0])
    np.testing.assert_allclose([x[1], y[1]], 249.5, atol=1e-6)
