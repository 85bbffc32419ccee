"""template_for: one flux scale, one variance and one PSF, whichever tracts a pixel comes from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sky_scenes import measured

from diapipe.errors import InputError, NoOverlapError, NoWorkError
from diapipe.images import Box, ChebyshevField, CoaddPatch, MaskPlane, ObservationInfo, PhotoCalib
from diapipe.steps.template import (
    TEMPLATES,
    MultiTract,
    OneVisit,
    Registration,
    SingleTract,
    template_for,
)
from tract_scenes import BORDER_PX, PATCH_PX, Scene, drawn, patches_of, stacked, visits_of

NOTHING = ([], [], [])
NO_DATA = int(MaskPlane.NO_DATA)


def both(scene, coadds):
    return [patch for tract, coadd in zip(scene.tracts, coadds, strict=True) for patch in patches_of(tract, coadd)]


def regions(scene, template):
    """West only, both, east only."""
    west, east = scene.over(template)
    return west & ~east, west & east, east & ~west


def regions_of_stars(scene, template, stars):
    x, y = template.wcs.all_world2pix(stars[0], stars[1], 0)
    row, column = np.rint(y).astype(int) - template.box.y0, np.rint(x).astype(int) - template.box.x0
    return [region[row, column] for region in regions(scene, template)]


@pytest.mark.parametrize("place", [(0.001, 12.0), (130.0, -60.0), (200.0, 89.7)], ids=str)
def test_constant_stars_do_not_step_across_a_tract_border(place, rng):
    """Without noise, each star has its flux to 0.1%: 0.3% is the most that the mean may step.

    The eastern tract counts in another unit. Places: over RA 0, in the south, near the pole.
    """
    scene = Scene(*place)
    stars = scene.stars(rng)
    coadds = [drawn(tract, stars, calib=calib) for tract, calib in zip(scene.tracts, (1.0, 2.5), strict=True)]
    template = template_for(scene.science(), both(scene, coadds))
    assert template.wcs is scene.wcs or template.box == Box.from_shape(scene.shape).dilated(20)
    flux = measured(template, *stars[:2])[:, 0] * template.photo_calib.mean / stars[2]
    means = [flux[region].mean() for region in regions_of_stars(scene, template, stars)]
    np.testing.assert_allclose(flux, 1.0, atol=1e-3)
    assert np.ptp(means) < 1e-3


def psf_fluxes(template, stars):
    """Least-squares fluxes with the template's own PSF, in units of the true ones."""
    x, y = template.wcs.all_world2pix(stars[0], stars[1], 0)
    found = []
    for a, b in zip(x, y, strict=True):
        model = template.psf.image_at(x=a, y=b)
        image = template.masked_image[Box.around(x=a, y=b, half=len(model) // 2)].image
        found.append((model * image).sum() / (model**2).sum())
    return np.array(found) / stars[2]


def test_the_psf_is_weighted_as_the_pixels_are(rng):
    """Tracts of different seeing: PSF fluxes are right to 0.1% in both and in between.

    The western PSF alone would be wrong by 20% in the east. A weight changes by 2% over the width of a star.
    """
    scene = Scene()
    stars = scene.stars(rng)
    coadds = [drawn(tract, stars, sigma=sigma) for tract, sigma in zip(scene.tracts, (1.5, 1.9), strict=True)]
    template = template_for(scene.science(), both(scene, coadds))
    flux = psf_fluxes(template, stars)
    np.testing.assert_allclose(flux, 1.0, atol=1e-3)
    for region in regions_of_stars(scene, template, stars):
        assert region.sum() >= 8
    narrow = psf_fluxes(replace(template, psf=template.psf.parts[0].psf), stars)
    assert np.ptp(narrow) > 0.1


def coadds_of(case, scene, rng):
    """Coadds of the two tracts without stars, from exposures of their own, from the same, or half of each."""
    if case == "independent":
        return [drawn(tract, NOTHING, noise=noise, rng=rng) for tract, noise in zip(scene.tracts, (5, 6), strict=True)]
    visits = visits_of(scene, rng, n=4 if case == "shared" else 6)
    west, east = ((0, 1, 2, 3),) * 2 if case == "shared" else ((0, 1, 2, 3), (2, 3, 4, 5))
    return [
        stacked(tract, [visits[k] for k in numbers], numbers=numbers)
        for tract, numbers in zip(scene.tracts, (west, east), strict=True)
    ]


@pytest.mark.parametrize("case", ["independent", "shared", "half shared"])
def test_the_variance_is_the_scatter_on_both_sides_and_in_the_overlap(case, rng):
    """Within 5%. A region has 40,000 pixels; neighbours share noise, so the scatter squared is known to 1.2%.

    The original adds variances as if tracts shared nothing: half of the scatter squared where they share all.
    """
    scene = Scene()
    template = template_for(scene.science(), both(scene, coadds_of(case, scene, rng)))
    pixels = template.masked_image
    for region in regions(scene, template):
        inside = region & (pixels.mask == 0)
        assert inside.sum() > 30_000
        assert abs(np.var(pixels.image[inside]) / pixels.variance[inside].mean() - 1) < 0.05


def test_the_noise_correlation_is_that_of_the_pixels(rng):
    """Neighbours along rows, to 0.02, on coadds whose noise was correlated before."""
    scene = Scene()
    template = template_for(scene.science(), both(scene, coadds_of("shared", scene, rng)))
    z = template.masked_image.image / np.sqrt(template.masked_image.variance)
    half = len(template.noise_correlation) // 2
    for lag in (1, 2):
        found = np.nanmean(z[:, lag:] * z[:, :-lag]) / np.nanmean(z**2)
        assert abs(found - template.noise_correlation[half, half + lag]) < 0.02


@pytest.mark.parametrize("missing", [0, 3])
def test_a_missing_patch_leaves_no_data_where_no_other_reaches(missing, rng):
    """On the tract's grid the count is exact: pixels of the template that lie in no outer box of the others."""
    scene = Scene()
    tract = scene.tracts[0]
    coadd = drawn(tract, scene.stars(rng), noise=5.0, rng=rng)
    found = [patch for patch in patches_of(tract, coadd) if patch.patch_index != missing]
    template = template_for(scene.science(), found, algorithm=SingleTract())
    assert template.wcs is tract.wcs
    expected = np.ones(template.box.shape, bool)
    for patch in found:
        part = patch.patch.outer.intersect(template.box)
        if part is not None:
            expected[part.slices_in(template.box)] = False
    assert expected.sum() > 1000
    mask = template.masked_image.mask
    np.testing.assert_array_equal((mask & NO_DATA) != 0, expected)
    np.testing.assert_array_equal(np.isnan(template.masked_image.image), expected)
    np.testing.assert_array_equal(np.isnan(template.masked_image.variance), expected)


def test_a_missing_patch_leaves_no_data_on_the_science_grid(rng):
    """Two tracts, one patch missing: no data where no outer box reaches; only within 3 px of a border may it differ."""
    scene = Scene(turn_deg=0.0)
    coadds = [drawn(tract, NOTHING, noise=5.0, rng=rng) for tract in scene.tracts]
    found = [patch for patch in both(scene, coadds) if (patch.tract.id, patch.patch_index) != (7, 0)]
    template = template_for(scene.science(), found)
    y, x = np.mgrid[template.box.y0 : template.box.y1, template.box.x0 : template.box.x1].astype(float)
    ra, dec = template.wcs.all_pix2world(x.ravel(), y.ravel(), 0)
    inside, near = np.zeros(x.shape, bool), np.zeros(x.shape, bool)
    for patch in found:
        at_x, at_y = (a.reshape(x.shape) for a in patch.tract.wcs.all_world2pix(ra, dec, 0))
        box = patch.patch.outer
        for margin, where in ((-3, inside), (3, near)):
            where |= (
                (at_x > box.x0 - margin)
                & (at_x < box.x1 - 1 + margin)
                & (at_y > box.y0 - margin)
                & (at_y < box.y1 - 1 + margin)
            )
    none = (template.masked_image.mask & NO_DATA) != 0
    deep, far = (inside, near) if inside.sum() < near.sum() else (near, inside)
    assert not none[deep].any()
    assert none[~far].all()
    assert (~far).sum() > 5000


def test_patches_that_do_not_overlap_are_not_read_and_others_only_where_needed(rng):
    """A callable gets one box, inside its patch; what lies far away is never called."""
    scene = Scene(shape=(60, 60))
    tract = scene.tracts[0]
    coadd = drawn(tract, NOTHING, noise=5.0, rng=rng)
    asked = []

    def reader(patch):
        def read(box):
            asked.append((patch.index, box))
            return coadd[box]

        return CoaddPatch(tract=tract, patch_index=patch.index, pixels=read)

    template = template_for(scene.science(), [reader(patch) for patch in tract.patches])
    assert len({index for index, _ in asked}) == len(asked) == 2
    for index, box in asked:
        assert tract.patch(index).outer.contains(box)
        assert box.area < 150**2
    assert not (template.masked_image.mask & NO_DATA).any()


def test_one_tract_stays_on_its_pixels(rng):
    """MultiTract of one tract interpolates nothing: pixels, variance and PSF are the coadd's."""
    scene = Scene()
    tract = scene.tracts[1]
    coadd = drawn(tract, scene.stars(rng), noise=5.0, rng=rng, inputs=(4, 2))
    template = template_for(scene.science(), patches_of(tract, coadd))
    np.testing.assert_allclose(
        template.masked_image.image, coadd[template.box].masked_image.image, rtol=1e-5, atol=1e-4
    )
    np.testing.assert_allclose(template.masked_image.variance, 25.0, rtol=1e-5)
    assert template.noise_correlation is None
    assert template.inputs == (2, 4)
    where = {"x": template.box.x_center, "y": template.box.y_center}
    np.testing.assert_allclose(template.psf.kernel_image(**where), coadd.psf.kernel_image(**where), atol=1e-12)


def test_the_single_tract_is_the_one_in_charge_of_the_middle(rng):
    """Not the one that was handed in first."""
    for east_px, expected in ((-40.0, 0), (40.0, 1)):
        scene = Scene(east_px=east_px)
        coadds = [drawn(tract, NOTHING, noise=5.0, rng=rng) for tract in scene.tracts]
        for patches in (both(scene, coadds), both(scene, coadds)[::-1]):
            template = template_for(scene.science(), patches, algorithm=SingleTract())
            np.testing.assert_array_equal(template.wcs.wcs.crval, scene.tracts[expected].wcs.wcs.crval)


def test_a_calibration_that_varies_is_divided_out(rng):
    """Fluxes in nJy are right although a western count is worth twice as much at one side of its tract."""
    scene = Scene()
    stars = scene.stars(rng)
    west, east = scene.tracts
    slope = ChebyshevField(np.array([1.0, 0.3, 0.0]), west.box)
    true = drawn(west, stars)
    pixels = true.masked_image
    counts = replace(pixels, image=pixels.image / slope.over(west.box))
    varying = replace(true, masked_image=counts, photo_calib=PhotoCalib(1.0, field=slope))
    template = template_for(scene.science(), both(scene, [varying, drawn(east, stars)]))
    assert template.photo_calib.field is None
    flux = measured(template, *stars[:2])[:, 0] * template.photo_calib.mean / stars[2]
    np.testing.assert_allclose(flux, 1.0, atol=2e-3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"info": ObservationInfo(band="i")},
            r"is of band 'i', patch \d of tract \d of 'r'; a template needs images of one band",
        ),
        ({"photo_calib": None}, r"the flux scale of patch \d of tract 8 is unknown"),
    ],
)
def test_inputs_that_do_not_go_together_are_refused(changes, message, rng):
    scene = Scene(east_px=-30.0)
    west, east = (drawn(tract, NOTHING, noise=5.0, rng=rng) for tract in scene.tracts)
    with pytest.raises(InputError, match=message):
        template_for(scene.science(), both(scene, [west, replace(east, **changes)]))


def test_a_template_of_another_band_is_refused(rng):
    """Unless one of the two bands is not known."""
    scene = Scene()
    patches = both(scene, [drawn(tract, NOTHING, noise=5.0, rng=rng) for tract in scene.tracts])
    with pytest.raises(InputError, match="science is of band 'g', its template of 'r'; both must be of one band"):
        template_for(scene.science(band="g"), patches)
    for band in ("r", ""):
        assert template_for(scene.science(band=band), patches).info.band == "r"


def test_pixels_in_nanojansky_need_no_calibration(rng):
    """Their unit says it."""
    scene = Scene()
    coadds = [
        replace(drawn(tract, NOTHING, noise=5.0, rng=rng), photo_calib=None, unit="nJy") for tract in scene.tracts
    ]
    template = template_for(scene.science(), both(scene, coadds))
    assert template.photo_calib.mean == 1.0
    assert template.unit == "nJy"


@pytest.mark.parametrize("name", ["multi_tract", "single_tract"])
def test_nothing_that_overlaps_is_no_work(name, rng):
    scene, away = Scene(), Scene(ra=40.0)
    coadd = drawn(away.tracts[0], NOTHING, noise=5.0, rng=rng)
    with pytest.raises(NoOverlapError, match="none of the 4 images given for its template overlaps it"):
        template_for(scene.science(), patches_of(away.tracts[0], coadd), algorithm=TEMPLATES.make(name))
    with pytest.raises(NoWorkError, match="no image with data for its template overlaps it"):
        template_for(scene.science(), [], algorithm=TEMPLATES.make(name))


def test_too_little_coverage_is_no_work(rng):
    """All but a corner of the coadd is empty."""
    scene = Scene()
    coadd = drawn(scene.tracts[0], NOTHING, noise=5.0, rng=rng)
    pixels = coadd.masked_image
    image = pixels.image.copy()
    image[: 2 * PATCH_PX - 120] = np.nan
    empty = replace(coadd, masked_image=replace(pixels, image=image))
    with pytest.raises(NoOverlapError, match=r"usable pixels of its template cover \d\.\d% of it; at least 10% are"):
        template_for(scene.science(), patches_of(scene.tracts[0], empty), algorithm=SingleTract())


def test_a_shallow_corner_is_flagged(rng):
    """Where the variance is five times the usual, and nowhere else but in the cell of 32 px on the border."""
    scene = Scene()
    tract = scene.tracts[0]
    coadd = drawn(tract, NOTHING, noise=5.0, rng=rng)
    variance = coadd.masked_image.variance.copy()
    variance[:, 400:] *= 5
    shallow = replace(coadd, masked_image=replace(coadd.masked_image, variance=variance))
    template = template_for(scene.science(), patches_of(tract, shallow), algorithm=SingleTract())
    flagged = (template.masked_image.mask & int(MaskPlane.HIGH_VARIANCE)) != 0
    column = 400 - template.box.x0
    assert flagged[:, column + 32 :].all()
    assert not flagged[:, : column - 32].any()
    deeper = template_for(scene.science(), patches_of(tract, shallow), algorithm=SingleTract(high_variance_factor=6.0))
    assert not (deeper.masked_image.mask & int(MaskPlane.HIGH_VARIANCE)).any()


def test_seams_between_patches_fade(rng):
    """Patches with different levels: from one to the other over their common strip, without a step of more than 10%."""
    scene = Scene()
    tract = scene.tracts[0]
    coadd = drawn(tract, NOTHING)
    patches = patches_of(tract, coadd)
    pixels = patches[0].pixels.masked_image
    lifted = replace(patches[0].pixels, masked_image=replace(pixels, image=pixels.image + 10.0))
    patches[0] = replace(patches[0], pixels=lifted)
    found = MultiTract(feather_px=40.0).gather(
        replace(scene.science(), wcs=tract.wcs, masked_image=coadd.masked_image), patches
    )
    row = found.masked_image.image[PATCH_PX // 2]
    assert row[0] == row[PATCH_PX - BORDER_PX - 8] == 10.0
    assert row[PATCH_PX + BORDER_PX + 8] == 0.0
    assert np.abs(np.diff(row)).max() < 1.0
    assert np.var(found.masked_image.variance) < 1e-10


def test_shared_noise_is_told_by_the_visits_where_the_overlap_is_too_small_to_measure(rng):
    """A small overlap: the same visits count as the same noise, others as independent, unknown ones as the same."""
    scene = Scene(turn_deg=0.0)
    for inputs, expected in (((1, 2), 1.0), ((3, 4), 0.5), ((2, 3), 0.75), ((), 1.0)):
        coadds = [
            drawn(tract, NOTHING, noise=5.0, rng=rng, inputs=numbers)
            for tract, numbers in zip(scene.tracts, ((1, 2), inputs), strict=True)
        ]
        science = replace(scene.science(), masked_image=scene.science().masked_image[Box(155, 175, 165, 175)])
        template = template_for(science, both(scene, coadds), algorithm=MultiTract(border_px=5, feather_px=1e6))
        # what an interpolation leaves of 25 depends on where between pixels it falls: on average two thirds
        alone = template_for(science, both(scene, coadds)[:4], algorithm=MultiTract(border_px=5))
        assert alone.masked_image.variance.mean() == pytest.approx(25.0)
        ratio = np.median(template.masked_image.variance) / 25.0
        assert template.box.area < 2000
        assert 0.4 * expected < ratio < 1.1 * expected


def test_one_visit_is_itself_around_the_science_exposure(rng):
    """Its own pixels, cut, with its PSF and calibration; two are refused, and patches too."""
    scene = Scene()
    (visit,) = visits_of(scene, rng, n=1)
    template = template_for(scene.science(), [visit], algorithm=OneVisit())
    assert visit.box.contains(template.box)
    assert template.box.area < visit.box.area
    np.testing.assert_array_equal(template.masked_image.image, visit[template.box].masked_image.image)
    assert template.psf is visit.psf
    with pytest.raises(InputError, match="one exposure is needed as a template, not 2 among 2 inputs"):
        template_for(scene.science(), [visit, visit], algorithm=OneVisit())
    patch = patches_of(scene.tracts[0], drawn(scene.tracts[0], NOTHING))[0]
    with pytest.raises(InputError, match="not 0 among 1 inputs"):
        template_for(scene.science(), [patch], algorithm=OneVisit())
    with pytest.raises(InputError, match="made of CoaddPatch objects"):
        template_for(scene.science(), [visit])
    with pytest.raises(NoOverlapError, match="does not overlap its template"):
        template_for(Scene(ra=50.0).science(), [visit], algorithm=OneVisit())


def test_an_exposure_without_wcs_has_no_template():
    with pytest.raises(InputError, match="science has no celestial WCS"):
        template_for(replace(Scene().science(), wcs=None), [])


def test_coadds_must_have_the_coordinates_of_their_tract(rng):
    """An image cut out with an origin of its own is refused with both boxes."""
    scene = Scene()
    tract = scene.tracts[0]
    patches = patches_of(tract, drawn(tract, NOTHING, noise=5.0, rng=rng))
    pixels = patches[3].pixels.masked_image
    moved = replace(pixels, box=pixels.box.shifted(x=-2000, y=0))
    patches[3] = replace(patches[3], pixels=replace(patches[3].pixels, masked_image=moved))
    with pytest.raises(InputError, match=r"the coadd of patch 3 of tract 7 has pixels .* the patch has"):
        template_for(scene.science(), patches)


def test_inputs_keep_their_pixels_and_the_result_is_the_same_twice(rng):
    """Bit for bit, also with two threads."""
    scene = Scene()
    coadds = [
        drawn(tract, scene.stars(rng), noise=5.0, rng=rng, calib=c)
        for tract, c in zip(scene.tracts, (1, 3), strict=True)
    ]
    before = [coadd.masked_image.image.copy() for coadd in coadds]
    once, twice = (template_for(scene.science(), both(scene, coadds), n_threads=n) for n in (1, 2))
    for one, other in zip(before, coadds, strict=True):
        np.testing.assert_array_equal(one, other.masked_image.image)
    for plane in ("image", "mask", "variance"):
        np.testing.assert_array_equal(getattr(once.masked_image, plane), getattr(twice.masked_image, plane))


@pytest.mark.parametrize("shift", [(0.0, 60.0), (-60.0, 60.0)], ids=str)
def test_a_wrong_wcs_costs_no_pixels(shift, rng):
    """Displaced by tens of pixels, the template has all of every patch: none is cut at its old place."""
    scene = Scene(shape=(160, 180))
    patches = both(scene, [drawn(tract, NOTHING, noise=5.0, rng=rng) for tract in scene.tracts])
    science = scene.science()
    fields = tuple(ChebyshevField.constant(value, science.box) for value in shift)
    registration = Registration(displacement=fields, is_significant=True)
    found = template_for(science, patches, registration=registration).masked_image
    assert np.isfinite(found.image).all()
    assert not (found.mask & NO_DATA).any()


def test_a_registration_becomes_part_of_the_one_map(rng):
    """Stars stand where it says to 0.005 px, and the noise is that of one interpolation, not of two."""
    scene = Scene()
    stars = scene.stars(rng)
    patches = both(scene, [drawn(tract, stars) for tract in scene.tracts])
    science = scene.science()
    dx, dy = (ChebyshevField.constant(value, science.box) for value in (0.41, -0.23))
    registration = Registration(displacement=(dx, dy), is_significant=True)
    moved = template_for(science, patches, registration=registration)
    there = scene.wcs.deepcopy()
    there.wcs.crpix += [-0.41, 0.23]
    assert np.abs(measured(replace(moved, wcs=there), *stars[:2])[:, 1:]).max() < 5e-3
    noisy = both(scene, [drawn(tract, NOTHING, noise=5.0, rng=rng) for tract in scene.tracts])
    once = template_for(science, noisy, registration=registration).masked_image.variance.mean()
    assert once == pytest.approx(template_for(science, noisy).masked_image.variance.mean(), rel=0.02)
