"""DiscreteSkyMap: few tracts that hold all the data; each position has the nearest tract that holds it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diapipe.errors import InputError, UsageError
from diapipe.images import DiscreteSkyMap, SkyMap, TractGrid, TractPlace
from diapipe.images.sky import pixels_of_icrs
from diapipe.numerics.sphere import from_tangent_plane

PLACES = [(0.0, 0.0), (359.99, -30.0), (123.0, 89.9), (40.0, 90.0), (10.0, -90.0), (210.0, 60.0)]


def square(ra, dec, side_deg, *, turn_deg=0.0):
    """Corners of a square image around a position."""
    turn = np.radians(turn_deg + np.array([45.0, 135.0, 225.0, 315.0]))
    plane = side_deg / np.sqrt(2) * np.stack([np.cos(turn), np.sin(turn)])
    ra, dec = from_tangent_plane(plane, np.array([ra, dec]))
    return ra, dec


def within(corners, rng, n=40):
    """Positions inside a polygon: weighted means of the corners' directions."""
    ra, dec = np.radians(corners)
    vectors = np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=1)
    x, y, z = (rng.dirichlet(np.ones(len(ra)), n) @ vectors).T
    return np.degrees(np.arctan2(y, x)) % 360, np.degrees(np.arctan2(z, np.hypot(x, y)))


@pytest.mark.parametrize("place", PLACES)
def test_dithered_images_of_one_field_need_one_tract(place, rng):
    """Every position of every image lies in a patch of it, anywhere on the sky, and little else does."""
    offsets = rng.uniform(-0.1, 0.1, (12, 2))
    centers = [from_tangent_plane(o[:, None], np.array(place))[:, 0] for o in offsets]
    regions = [square(*c, 0.3, turn_deg=angle) for c, angle in zip(centers, rng.uniform(0, 90, 12), strict=True)]
    sky_map = DiscreteSkyMap.from_regions("field", regions, pixel_scale_arcsec=0.5)
    assert sky_map.n_tracts == 1
    ra, dec = np.hstack([within(region, rng) for region in regions])
    _, patches = sky_map.find_patches(ra_deg=ra, dec_deg=dec)
    assert (patches >= 0).all()
    widest = 0.2 + 0.3 * np.sqrt(2)
    assert sky_map.tract(0).box.width * 0.5 / 3600 < widest + 2 * 17 * 0.5 / 3600


def test_patches_are_equal_parts_without_waste():
    """A field of 1.25 deg at 1 arcsec is 4500 px: two patches a side, none mostly empty, none over 4000 px."""
    sky_map = DiscreteSkyMap.from_regions("field", [square(30, 10, 1.25)], pixel_scale_arcsec=1.0)
    tract = sky_map.tract(0)
    assert (tract.n_columns, tract.n_rows) == (2, 2)
    assert 4500 + 32 <= tract.box.width <= 4500 + 36
    asked = DiscreteSkyMap.from_regions("field", [square(30, 10, 1.25)], pixel_scale_arcsec=1.0, patch_size_px=1000)
    assert asked.tract(0).patch_size_px == 1000


def test_fields_far_apart_have_tracts_of_their_own():
    """Three fields, one of two images that overlap, one across RA 0; in order of right ascension."""
    regions = [square(150, 2, 0.5), square(359.9, -40, 0.5), square(0.2, -40, 0.5), square(53, -28, 0.5)]
    sky_map = DiscreteSkyMap.from_regions("fields", regions, pixel_scale_arcsec=1.0)
    middles = [(round(place.ra_deg, 2), round(place.dec_deg, 2)) for place in sky_map.tracts]
    assert [ra for ra, _ in middles] == [0.05, 53, 150]
    np.testing.assert_allclose([dec for _, dec in middles], [-40, -28, 2], atol=0.01)


@pytest.mark.parametrize("dec", [0.0, -45.0, 75.0])
def test_a_wide_field_is_cut_into_tracts_that_overlap(dec, rng):
    """A mosaic of 9 by 3 deg: no tract much larger than asked for, all data held, and the middle of every border is
    held by the tracts on both of its sides.
    """
    cells = [(x, y) for x in np.arange(-4, 4.1) for y in (-1.0, 0.0, 1.0)]
    centers = [from_tangent_plane(np.array(cell)[:, None], np.array([0.3, dec]))[:, 0] for cell in cells]
    regions = [square(*center, 1.1) for center in centers]
    sky_map = DiscreteSkyMap.from_regions("wide", regions, pixel_scale_arcsec=2.0, max_tract_deg=3.4)
    assert 3 <= sky_map.n_tracts <= 8
    assert max(max(p.width_deg, p.height_deg) for p in sky_map.tracts) < 3.4 * 1.5
    ra, de = np.hstack([within(region, rng, 15) for region in regions])
    assert (sky_map.find_tracts(ra_deg=ra, dec_deg=de) >= 0).all()
    held = np.array([sky_map.tract(id).covers(ra_deg=ra, dec_deg=de) for id in range(sky_map.n_tracts)])
    assert (held.sum(axis=0) >= 1).all()
    assert (held.sum(axis=0) > 1).any()


@given(ra=st.floats(9, 13), dec=st.floats(-1, 3))
@settings(max_examples=60)
def test_the_nearest_tract_that_holds_a_position_is_in_charge(ra, dec):
    """Of tracts of different size that overlap; at most one says so of itself."""
    places = (
        TractPlace(ra_deg=11, dec_deg=1, width_deg=2, height_deg=2),
        TractPlace(ra_deg=12, dec_deg=1.5, width_deg=0.5, height_deg=1),
        TractPlace(ra_deg=10, dec_deg=1, width_deg=1, height_deg=1),
    )
    grid = TractGrid(pixel_scale_arcsec=2.0, patch_size_px=100)
    sky_map = DiscreteSkyMap(name="three", grid=grid, tracts=places)
    tracts = [sky_map.tract(id) for id in range(3)]
    holding = [t for t in tracts if bool(t.covers(ra_deg=ra, dec_deg=dec))]
    nearest = min(
        holding,
        key=lambda t: np.hypot((ra - places[t.id].ra_deg) * np.cos(np.radians(dec)), dec - places[t.id].dec_deg),
        default=None,
    )
    charged = [t.id for t in tracts if bool(t.contains(ra_deg=ra, dec_deg=dec))]
    assert len(charged) == (1 if holding else 0)
    found = sky_map.find_tract(ra, dec)
    assert (found is None) == (nearest is None)
    if found is not None:
        distance = [t.distance_deg(ra_deg=ra, dec_deg=dec) for t in (found, nearest)]
        assert distance[0] <= distance[1] + 0.01


@pytest.mark.parametrize("place", PLACES)
def test_overlapping_is_what_positions_say(place, rng):
    """A polygon shares sky with the tracts and outer boxes on which some of its positions lie, and nothing else."""
    sky_map = DiscreteSkyMap(
        name="one",
        grid=TractGrid(pixel_scale_arcsec=1.0, patch_size_px=200, patch_border_px=20),
        tracts=(TractPlace(ra_deg=place[0], dec_deg=place[1], width_deg=0.2, height_deg=0.15),),
    )
    tract = sky_map.tract(0)
    for _ in range(20):
        center = from_tangent_plane(rng.uniform(-0.2, 0.2, (2, 1)), np.array(place))[:, 0]
        corners = square(*center, 0.1, turn_deg=rng.uniform(0, 90))
        found = sky_map.patches_overlapping(*corners)
        ra, dec = np.hstack([within(corners, rng, 3000), np.stack(corners)])
        touched = set()
        for patch in tract.patches:
            x, y = pixels_of_icrs(tract.wcs, ra, dec)
            outer = patch.outer
            if ((x > outer.x0 - 0.5) & (x < outer.x1 - 0.5) & (y > outer.y0 - 0.5) & (y < outer.y1 - 0.5)).any():
                touched.add(patch.index)
        said = {patch.index for _, patches in found for patch in patches}
        assert touched <= said
        assert len(said - touched) <= 2, "3000 positions miss only slivers"


def test_a_map_comes_back_from_its_parameters():
    sky_map = DiscreteSkyMap.from_regions("f", [square(1, 2, 0.2), square(90, 2, 0.2)], pixel_scale_arcsec=0.3)
    assert SkyMap.from_dict(sky_map.to_dict()) == sky_map


def test_what_cannot_be_is_refused():
    with pytest.raises(InputError, match="needs data: ingest exposures and define visits first"):
        DiscreteSkyMap.from_regions("f", [], pixel_scale_arcsec=0.3)
    with pytest.raises(InputError, match="needs one tract or more"):
        DiscreteSkyMap(name="f", tracts=())
    with pytest.raises(UsageError, match="positive width and height"):
        TractPlace(ra_deg=0, dec_deg=0, width_deg=0, height_deg=1)
    chain = [square(ra, 0, 12) for ra in range(0, 80, 8)]
    with pytest.raises(UsageError, match="use a sky map of rings"):
        DiscreteSkyMap.from_regions("f", chain, pixel_scale_arcsec=10)
    with pytest.raises(UsageError, match="cannot overlap by"):
        DiscreteSkyMap.from_regions("f", [square(0, 0, 1)], pixel_scale_arcsec=1, max_tract_deg=0.02)
