"""RingsSkyMap: LSST's numbers, one tract in charge of every direction, pixels equal to LSST's."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from diapipe.errors import BoundsError, InputError, UsageError
from diapipe.images import RingsSkyMap, SkyMap, TractGrid
from diapipe.images.sky import icrs_of, pixels_of_icrs
from diapipe.numerics.sphere import from_tangent_plane, unit_vectors

CELLS = RingsSkyMap(name="lsst_cells_v1", grid=TractGrid(patch_size_px=3000, patch_border_px=200))
"""Tracts and inner boxes of the map of Rubin's previews."""

DC2 = RingsSkyMap(name="DC2")
"""The map of DC2, as its defaults are."""

HEIGHT = 180 / 121

ra = st.floats(0, 360) | st.sampled_from([0.0, 360.0, 359.9999999999, -1e-13, 1e-13])
dec = st.floats(-90, 90) | st.sampled_from([-90.0, 90.0]) | st.integers(0, 120).map(lambda i: (i + 0.5) * HEIGHT - 90)


def in_charge_by_hand(sky_map, right_ascension, declination):
    """The rule in plain numbers: cap, ring or cap; within the ring the tract whose middle is nearest in RA."""
    height = 180 / (sky_map.n_rings + 1)
    number = 1
    if declination < -90 + height / 2:
        return 0
    for ring in range(sky_map.n_rings):
        south = (ring + 0.5) * height - 90
        widest = min(abs(south), abs(south + height))
        n = int(360 * np.cos(np.radians(widest)) / height) + 1
        if declination < south + height:
            return number + round((right_ascension - sky_map.ra_start_deg) % 360 / (360 / n)) % n
        number += n
    return number


def test_120_rings_have_18938_tracts():
    """The number of tracts of LSST's maps (issue 4)."""
    assert DC2.n_tracts == 18938


@pytest.mark.parametrize("n_rings", [1, 2, 3, 10, 119, 120])
def test_poles_have_the_first_and_the_last_tract(n_rings):
    sky_map = RingsSkyMap(name="rings", n_rings=n_rings)
    found = sky_map.find_tracts(ra_deg=np.array([0.0, 77, 0, 200]), dec_deg=np.array([-90.0, -90, 90, 90]))
    assert found.tolist() == [0, 0, sky_map.n_tracts - 1, sky_map.n_tracts - 1]


@given(ra=ra, dec=dec)
@example(ra=0.0, dec=0.0)
def test_the_rule_is_that_of_the_rings(ra, dec):
    """As written out by hand, wherever rounding at a border cannot decide; at one, the neighbour across it."""
    found = int(DC2.find_tracts(ra_deg=ra, dec_deg=dec))
    around = {
        in_charge_by_hand(DC2, ra + da, float(np.clip(dec + dd, -90, 90)))
        for da in (-1e-9, 1e-9)
        for dd in (-1e-9, 1e-9)
    }
    assert found in around


@given(ra=ra, dec=dec, n_rings=st.sampled_from([1, 4, 17, 120]), start=st.sampled_from([0.0, 10.0, -3.5]))
@settings(max_examples=50)
def test_every_direction_has_one_tract_in_charge(ra, dec, n_rings, start):
    """Also at RA 0, at the poles and on the borders of rings: the inner regions touch and do not overlap."""
    coarse = TractGrid(pixel_scale_arcsec=20.0, patch_size_px=2000)
    sky_map = RingsSkyMap(name="rings", grid=coarse, n_rings=n_rings, ra_start_deg=start)
    found = sky_map.find_tract(ra, dec)
    corners = ra + np.array([0, 1e-7, 0]), dec + np.array([0, 0, 1e-7])
    near = {tract.id for tract in sky_map.tracts_overlapping(*corners)} | {found.id}
    tracts = range(sky_map.n_tracts) if n_rings < 5 else near
    assert [id for id in tracts if bool(sky_map.tract(id).contains(ra_deg=ra, dec_deg=dec))] == [found.id]


@given(ra=ra, dec=dec)
def test_the_tract_in_charge_has_the_position_on_its_pixels(ra, dec):
    """Of LSST's map with patches of 3000 px; its tracts are square and reach 1/60 deg beyond half a ring."""
    found = CELLS.find_tract(ra, dec)
    assert bool(found.covers(ra_deg=ra, dec_deg=dec))


@pytest.mark.parametrize(
    ("tract", "middle"),
    [
        (2, [0.02100261408048886, 0.015259292328759364, -0.9996629653035124]),
        (12, [0.04795287523125051, 0.01986273127556883, -0.998652088398823]),
        (13, [0.03670154177053969, 0.036701541770539685, -0.998652088398823]),
    ],
)
def test_middles_are_lssts(tract, middle):
    """What ``lsst.skymap`` printed (lincc-frameworks/skymap-convert, docs/A2 - Tract boundaries.ipynb, 2025)."""
    wcs = CELLS.tract(tract).wcs
    np.testing.assert_allclose(unit_vectors(*wcs.wcs.crval), middle, atol=1e-14)


def test_patches_around_a_point_are_lssts():
    """``findTractPatchList`` just above ring 0 gave patches of tracts 2, 12 and 13 (the same notebook)."""
    point = 36.0, -87.7585950413
    corners = np.array([[0, 0], [2e-9, 0], [0, 2e-9]]) + point
    found = CELLS.patches_overlapping(corners[:, 0], corners[:, 1])
    places = {tract.id: [(patch.column, patch.row) for patch in patches] for tract, patches in found}
    assert places == {2: [(4, 9), (5, 9)], 12: [(1, 0)], 13: [(7, 0)]}
    assert CELLS.tract(2).patch(94).inner.slices_in(CELLS.tract(2).box) == (slice(27000, 30000), slice(12000, 15000))


def test_pixels_are_lssts():
    """Corners of the inner box of patch 56 of tract 1234, as converted from LSST's map (README of skymap-convert)."""
    published = np.array(
        [
            [353.19436746094334, -61.733705740129906],
            [353.5462936615678, -61.73505840062234],
            [353.54818789227375, -61.568395336612376],
            [353.19815518019567, -61.567052069980534],
        ]
    )
    tract = CELLS.tract(1234)
    inner = tract.patch(56).inner
    x, y = np.array([inner.x1, inner.x0, inner.x0, inner.x1]), np.array([inner.y0, inner.y0, inner.y1, inner.y1])
    ours = unit_vectors(*icrs_of(tract.wcs, x - 0.5, y - 0.5))
    assert np.degrees(np.abs(ours - unit_vectors(*published.T))).max() * 3600 < 1e-8


def test_rubins_fields_have_their_published_tracts():
    """DC2's Run1.2p covers five tracts each of four neighbouring rings (LSSTDESC/DC2-production,
    scripts/prod/cori/Run1.2p/patchlist.py); Abell 360 lies in DP1's tract 10463 (lsst/tutorial-notebooks, pull 84).
    """
    dc2 = [4429, 4430, 4431, 4432, 4433, 4636, 4637, 4638, 4639, 4640]
    dc2 += [4848, 4849, 4850, 4851, 4852, 5062, 5063, 5064, 5065, 5066]
    assert int(DC2.find_tracts(ra_deg=53.125, dec_deg=-28.1)) == 5063
    middles = np.array([DC2.tract(id).wcs.wcs.crval for id in dc2]).reshape(4, 5, 2)
    assert (np.ptp(middles[:, :, 1], axis=1) == 0).all()
    np.testing.assert_allclose(np.diff(middles[:, 0, 1]), HEIGHT)
    assert (middles[:, 0, 0] < 53).all()
    assert (middles[:, 4, 0] > 57).all()
    assert int(CELLS.find_tracts(ra_deg=37.865, dec_deg=6.982)) == 10463


def test_no_position_is_in_no_patch():
    """Of no positions there are no tracts and no patches."""
    tracts, patches = DC2.find_patches(ra_deg=np.empty(0), dec_deg=np.empty(0))
    assert tracts.shape == patches.shape == (0,)


def test_find_patches_is_find_tract_and_the_inner_box_of_a_patch(rng):
    """For each of many positions what one by one gives, whatever their order and shape."""
    ra, dec = rng.uniform(355, 365, (20, 3)) % 360, rng.uniform(-3, 3, (20, 3))
    tracts, patches = DC2.find_patches(ra_deg=ra, dec_deg=dec)
    for place in np.ndindex(ra.shape):
        tract = DC2.find_tract(ra[place], dec[place])
        x, y = pixels_of_icrs(tract.wcs, ra[place].reshape(1), dec[place].reshape(1))
        inner = tract.patch(int(patches[place])).inner
        assert tracts[place] == tract.id
        assert inner.x0 - 0.5 <= x[0] < inner.x1 - 0.5
        assert inner.y0 - 0.5 <= y[0] < inner.y1 - 0.5


def test_many_regions_at_once_are_as_one_by_one(rng):
    """Polygons of three to seven corners, also around RA 0 and a pole: the tracts that each has by itself."""
    regions = []
    for ra, dec in ((0.0, -30.0), (210.0, 60.0), (40.0, -89.0), (359.0, 5.0), (12.0, 89.9)):
        for n in (3, 4, 7):
            plane = rng.uniform(0.2, 1.5) * np.stack(
                [f(np.linspace(0, 2 * np.pi, n, endpoint=False)) for f in (np.cos, np.sin)]
            )
            regions.append(tuple(from_tangent_plane(plane, np.array([ra, dec]))))
    region, tract = DC2.overlaps(regions)
    for i, (ra, dec) in enumerate(regions):
        alone = {found.id for found in DC2.tracts_overlapping(ra, dec)}
        assert set(tract[region == i].tolist()) == alone
        held = {int(t) for t in DC2.find_tracts(ra_deg=ra, dec_deg=dec)}
        assert held <= alone | set(range(1, 49)) | set(range(18889, 18937)), "slivers near the poles aside"
        patches = DC2.patches_overlapping(ra, dec)
        assert {found.id for found, _ in patches} == alone
        assert all(own for _, own in patches)
    assert [len(ids) for ids in DC2.overlaps([])] == [0, 0]


def test_a_position_that_is_none_has_no_tract():
    found = DC2.find_patches(ra_deg=np.array([np.nan, 3.0]), dec_deg=np.array([1.0, np.inf]))
    assert [ids.tolist() for ids in found] == [[-1, -1], [-1, -1]]
    assert DC2.find_tract(np.nan, 0.0) is None


@pytest.mark.parametrize("sky_map", [DC2, RingsSkyMap(name="far", n_rings=7, ra_start_deg=12, tract_overlap_deg=0.5)])
def test_a_map_comes_back_from_its_parameters(sky_map):
    """As plain values; the digest is that of tracts and patches, whatever the map is called."""
    again = SkyMap.from_dict(sky_map.to_dict())
    assert again == sky_map
    assert pickle.loads(pickle.dumps(sky_map)) == sky_map
    assert RingsSkyMap(name="other").digest == DC2.digest
    assert RingsSkyMap(name="DC2", grid=TractGrid(patch_border_px=101)).digest != DC2.digest


def test_what_cannot_be_is_refused():
    with pytest.raises(BoundsError, match="sky map DC2 has tracts 0 to 18937, not 18938"):
        DC2.tract(18938)
    with pytest.raises(UsageError, match="one ring or more"):
        RingsSkyMap(name="none", n_rings=0)
    with pytest.raises(UsageError, match="positive pixel scale"):
        TractGrid(pixel_scale_arcsec=0)
    with pytest.raises(InputError, match="no sky map of kind 'healpix'; there are"):
        SkyMap.from_dict({"kind": "healpix"})
    with pytest.raises(InputError, match="not the parameters of a rings sky map"):
        SkyMap.from_dict({"kind": "rings", "name": "x"})
