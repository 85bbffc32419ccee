"""A wrong WCS of the template is put right by the stars."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS
from sky_scenes import exposure, measured, star_list, tan_wcs

from diapipe.catalogs.sources import ReferenceList, SourceList
from diapipe.errors import InputError, TooFewStarsError
from diapipe.steps.template import (
    Register,
    RegisterSip,
    offsets_by_colour,
    register,
    register_sip,
    residual_columns,
    template_positions,
    warp_onto,
)

SHAPE = (400, 400)
SCIENCE = tan_wcs(center=(200.0, 200.0))
TRUTH = tan_wcs(center=(170.0, 240.0), rotation=31.0, scale=0.22, kind="SIP", distortion=0.8)
WRONG = {
    "as it is": TRUTH,
    "shift": tan_wcs(center=(181.0, 233.0), rotation=31.0, scale=0.22, kind="SIP", distortion=0.8),
    "rotation and scale": tan_wcs(center=(170.0, 240.0), rotation=31.2, scale=0.2204, kind="SIP", distortion=0.8),
    "no distortion": tan_wcs(center=(170.0, 240.0), rotation=31.0, scale=0.22),
    "everything": tan_wcs(center=(178.0, 249.0), rotation=31.15, scale=0.2197),
}


class Scene:
    """Stars at known places of the sky, on both images to a centroid error, the template's true WCS being TRUTH."""

    def __init__(self, rng, *, n=160, error=0.01):
        x, y = rng.uniform(10, 390, (2, n))
        self.ra, self.dec = SCIENCE.all_pix2world(x, y, 0)
        u, v = TRUTH.all_world2pix(self.ra, self.dec, 0)
        noise = rng.normal(0, error, (4, n))
        flux = np.geomspace(5e4, 5e3, n)
        self.science_stars = star_list(x + noise[0], y + noise[1], error=error, flux=flux)
        self.template_stars = star_list(u + noise[2], v + noise[3], error=error, flux=flux)
        self.science = exposure(SCIENCE, ([], [], []), shape=SHAPE, name="science")

    def registered(self, wcs, *, options=None, template_stars=None):
        template = exposure(wcs, ([], [], []), shape=(520, 520), name="template")
        stars = self.template_stars if template_stars is None else template_stars
        return register_sip(self.science_stars, stars, science=self.science, template=template, options=options)


@pytest.fixture
def scene(rng):
    return Scene(rng)


def worst_px(wcs):
    """Largest distance, in template pixels, between a WCS and the truth over the science image."""
    x, y = (grid.ravel() for grid in np.meshgrid(np.linspace(10, 390, 20), np.linspace(10, 390, 20)))
    sky = SCIENCE.all_pix2world(x, y, 0)
    return float(np.hypot(*(np.array(wcs.all_world2pix(*sky, 0)) - np.array(TRUTH.all_world2pix(*sky, 0)))).max())


@pytest.mark.parametrize("wrong", list(WRONG))
def test_a_wrong_wcs_is_put_right(scene, wrong):
    """To 0.02 px everywhere: a corner of a quadratic fit to 160 stars of 0.014 px is known to 0.014 sqrt(26 / 160) =
    0.006 px an axis, 26 being the sum of the squared Legendre polynomials there.
    """
    found = scene.registered(WRONG[wrong])
    assert worst_px(found.wcs) < 0.02
    assert found.n_matched > 150
    assert found.sip_order == 2


def test_the_residuals_are_those_of_the_centroids(scene):
    """0.01 px of 0.2 and of 0.22 arcsec on either image, both axes: 4.2 mas; from 160 stars to 6%, three allowed."""
    found = scene.registered(WRONG["everything"])
    assert found.rms_arcsec == pytest.approx(0.01 * np.sqrt(2 * (0.2**2 + 0.22**2)), rel=0.18)
    kept = np.hypot(found.east_arcsec, found.north_arcsec)[found.kept]
    assert found.rms_arcsec == pytest.approx(np.sqrt((kept**2).mean()))
    assert np.abs([found.east_arcsec.mean(), found.north_arcsec.mean()]).max() < 0.002


def test_pixels_land_where_they_belong(scene):
    """From the WCS to the pixels: stars of the template, warped by its new WCS, lie on the science grid to 0.02 px."""
    x, y = (grid.ravel() + 0.3 for grid in np.meshgrid([80.0, 200.0, 320.0], [90.0, 210.0, 310.0]))
    sky = (*SCIENCE.all_pix2world(x, y, 0), np.full(9, 1e4))
    template = exposure(TRUTH, sky, shape=(520, 520), name="template")
    wrong = dataclasses.replace(template, wcs=WRONG["everything"])
    found = register_sip(scene.science_stars, scene.template_stars, science=scene.science, template=wrong)
    aligned = warp_onto(found.applied(wrong), scene.science).exposure
    assert np.abs(measured(aligned, *sky[:2])[:, 1:]).max() < 0.02
    assert wrong.wcs is WRONG["everything"]


def test_the_frames_may_differ(scene):
    """A science image in galactic coordinates: the template's WCS is in ICRS as ever, and right to 0.02 px."""
    centre = SkyCoord(150.0, 2.0, unit="deg").galactic
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ["GLON-TAN", "GLAT-TAN"], [centre.l.deg, centre.b.deg]
    wcs.wcs.crpix, wcs.wcs.cdelt = [201.0, 201.0], [-0.2 / 3600, 0.2 / 3600]
    stars = SkyCoord(scene.ra, scene.dec, unit="deg").galactic
    x, y = wcs.all_world2pix(stars.l.deg, stars.b.deg, 0)
    shown = (x > 0) & (x < 399) & (y > 0) & (y < 399)
    science = dataclasses.replace(scene.science, wcs=wcs)
    science_stars = star_list(x[shown], y[shown], flux=scene.science_stars.flux[shown])
    template = exposure(WRONG["shift"], ([], [], []), shape=(520, 520), name="template")
    found = register_sip(science_stars, scene.template_stars, science=science, template=template)
    assert found.wcs.wcs.radesys == "ICRS"
    np.testing.assert_allclose(found.ra.min(), scene.ra[shown].min(), atol=1e-7)
    back = np.array(found.wcs.all_world2pix(scene.ra[shown], scene.dec[shown], 0))
    assert np.abs(back - np.array(TRUTH.all_world2pix(scene.ra[shown], scene.dec[shown], 0))).max() < 0.02


def test_the_order_is_that_asked_for(scene):
    """A straight-lined WCS cannot follow the distortion; a needlessly high order does, if less surely; few stars get a
    low one.
    """
    straight, high = (scene.registered(WRONG["everything"], options=RegisterSip(sip_order=k)) for k in (1, 4))
    assert straight.sip_order == 1
    assert worst_px(straight.wcs) > 0.2
    assert high.sip_order == 4
    assert worst_px(high.wcs) < 0.04
    few = np.arange(10)
    found = scene.registered(TRUTH, template_stars=scene.template_stars.select(few))
    assert (found.sip_order, found.n_matched) == (1, 10)


def test_stars_that_moved_are_rejected(scene):
    """A tenth of the stars 0.9 px off: rejected, and the WCS is right; with a limit far out they stay and pull it."""
    stars = scene.template_stars
    moved = np.arange(160) % 10 == 0
    spoiled = dataclasses.replace(stars, x=stars.x + np.where(moved, 0.9, 0.0))
    found = scene.registered(WRONG["shift"], template_stars=spoiled)
    assert found.n_matched - found.n_kept >= moved.sum()
    assert worst_px(found.wcs) < 0.02
    loose = scene.registered(WRONG["shift"], template_stars=spoiled, options=RegisterSip(reject_sigma=100.0))
    assert loose.n_kept == loose.n_matched
    assert worst_px(loose.wcs) > 0.05


def test_each_iteration_can_reject(scene):
    """Outliers of growing size hide behind the largest: one round takes fewer than three."""
    stars = scene.template_stars
    off = np.where(np.arange(160) % 12 == 0, np.geomspace(0.2, 2.0, 160), 0.0)
    spoiled = dataclasses.replace(stars, x=stars.x + off)
    one, three = (scene.registered(TRUTH, template_stars=spoiled, options=RegisterSip(n_iter=n)) for n in (1, 3))
    assert three.n_kept < one.n_kept < one.n_matched


def test_the_match_radius_counts(scene):
    """Stars 0.6 arcsec (2.7 px) off are matched within 1 arcsec, but for a few with neighbours, and not within
    0.3.
    """
    stars = scene.template_stars
    off = np.where(np.arange(160) % 8 == 0, 2.7, 0.0)
    spoiled = dataclasses.replace(stars, x=stars.x + off)
    wide, narrow = (
        scene.registered(TRUTH, template_stars=spoiled, options=RegisterSip(match_radius_arcsec=r)) for r in (1.0, 0.3)
    )
    assert wide.n_matched >= 155
    assert narrow.n_matched <= 140


def test_the_search_radius_is_that_of_the_stars(scene):
    """A shift of 13 px is not found when only 4 are looked for: at least 9 px are left."""
    blind = RegisterSip(stars=Register(search_radius_px=4.0))
    assert worst_px(scene.registered(WRONG["shift"]).wcs) < 0.02
    found = scene.registered(WRONG["shift"], options=blind)
    assert worst_px(found.wcs) > 9.0


def test_no_stars_and_no_wcs_are_told(scene):
    with pytest.raises(TooFewStarsError, match=r"^0 stars of template match those of science within 1 arcsec; 3 are"):
        scene.registered(TRUTH, template_stars=scene.template_stars.select(np.zeros(160, bool)))
    with pytest.raises(InputError, match="template has no WCS; both images need one"):
        register_sip(
            scene.science_stars,
            scene.template_stars,
            science=scene.science,
            template=dataclasses.replace(scene.science, name="template", wcs=None),
        )


def test_colours_that_lie_elsewhere_are_seen(scene):
    """Red stars whose light the air bends by 40 mas to the north on the science image: their class says so, to four
    times the error of the medians, 1.25 x 3 / sqrt(53) mas; the scatter is that of the centroids along an axis, 3 mas.
    """
    colour = np.repeat([-0.5, 0.5, 1.5], [53, 54, 53])
    colour = colour[np.random.default_rng(2).permutation(160)]
    _, up = SCIENCE.all_world2pix(scene.ra, scene.dec + np.where(colour > 1, 0.04, 0.0) / 3600, 0)
    _, there = SCIENCE.all_world2pix(scene.ra, scene.dec, 0)
    stars = dataclasses.replace(scene.science_stars, y=scene.science_stars.y + up - there)
    template = exposure(TRUTH, ([], [], []), shape=(520, 520), name="template")
    found = register_sip(stars, scene.template_stars, science=scene.science, template=template)
    reference = ReferenceList(
        id=np.arange(1, 161),
        ra=scene.ra,
        dec=scene.dec,
        flux={"g": 10.0 ** (-0.4 * colour), "r": np.ones(160)},
        is_resolved=np.zeros(160, bool),
        is_photometric=np.ones(160, bool),
    )
    offsets = offsets_by_colour(found, reference, min_g_r_mag=0.0, max_g_r_mag=1.0)
    assert [offsets[name].n for name in ("blue", "green", "red")] == pytest.approx([53, 54, 53], abs=2)
    step = offsets["red"].north_median - 0.5 * (offsets["blue"].north_median + offsets["green"].north_median)
    assert step == pytest.approx(0.04, abs=0.003)
    for name in ("blue", "green", "red"):
        assert offsets[name].east_median == pytest.approx(0.0, abs=0.002)
        assert offsets[name].east_sigma == pytest.approx(0.003, rel=0.5)
    wide = offsets_by_colour(found, reference, min_g_r_mag=-1.0, max_g_r_mag=2.0)
    assert (wide["green"].n, wide["blue"].n) == (160, 0)
    assert np.isnan(wide["blue"].east_median)


@pytest.mark.parametrize("wrong", ["as it is", "everything"])
def test_in_the_flow_it_is_a_displacement(scene, wrong):
    """As a member of the family it moves pixels to where the new WCS has them, to 1e-4 px, and tells what it found: of
    a WCS that was right, nothing that is to be applied.
    """
    template = exposure(WRONG[wrong], ([], [], []), shape=(520, 520), name="template")
    stars = scene.science_stars, scene.template_stars
    found = register(*stars, science=scene.science, template=template, options=RegisterSip())
    expected = register_sip(*stars, science=scene.science, template=template)
    x, y = (grid.ravel() for grid in np.meshgrid(np.linspace(0, 399, 9), np.linspace(0, 399, 9)))
    before, after = (template_positions(scene.science, t) for t in (template, expected.applied(template)))
    moved = np.stack(before.at(x=x, y=y)) + np.stack([field.at(x=x, y=y) for field in found.displacement])
    np.testing.assert_allclose(moved, np.stack(after.at(x=x, y=y)), atol=1e-4)
    assert found.is_significant == (wrong == "everything")
    assert found.n_matched == expected.n_kept
    assert found.rms_after_px == pytest.approx(0.01 * np.sqrt(1 + 1.1**2), rel=0.18)
    assert (found.rms_before_px > 1.0) == (wrong == "everything")
    nothing = register(
        stars[0], stars[1].select(np.zeros(160, bool)), science=scene.science, template=template, options=RegisterSip()
    )
    assert (nothing.n_matched, nothing.is_significant) == (0, False)


def test_few_stars_prove_nothing(scene):
    """Three stars, through which any straight lines go: no significance, though the WCS is 13 px wrong."""
    template = exposure(WRONG["shift"], ([], [], []), shape=(520, 520), name="template")
    three = np.arange(3)
    found = register(
        scene.science_stars.select(three),
        scene.template_stars.select(three),
        science=scene.science,
        template=template,
        options=RegisterSip(match_radius_arcsec=5.0),
    )
    assert (found.n_matched, found.significance, found.is_significant) == (3, 0.0, False)


def test_residuals_are_columns_of_the_sources(scene):
    """Position, direction and length for every matched source, whatever their order; NaN for others."""
    found = scene.registered(WRONG["shift"])
    stars = scene.science_stars.select(np.arange(160)[::-1])
    sources = SourceList.of_stars(
        dataclasses.replace(stars, x=np.where(np.arange(160) < 5, -99.0, stars.x)), wcs=SCIENCE
    )
    columns = residual_columns(found, sources)
    east, north = (
        3600 * np.degrees(columns["RegisterResidualDistance"]) * of(columns["RegisterResidualBearing"])
        for of in (np.cos, np.sin)
    )
    assert np.isnan(east).tolist() == [True] * 5 + [False] * 155
    rows = [
        int(np.argmin(np.hypot(found.ra - ra, found.dec - dec)))
        for ra, dec in zip(sources.ra, sources.dec, strict=True)
    ]
    np.testing.assert_allclose(east[5:], found.east_arcsec[rows[5:]], atol=1e-9)
    np.testing.assert_allclose(north[5:], found.north_arcsec[rows[5:]], atol=1e-9)
    np.testing.assert_allclose(np.degrees(columns["RegisterRefPosition"][5:, 0]), sources.ra[5:], atol=1e-9)
