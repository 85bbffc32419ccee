"""Which sources make the kernel: every selector, every one of its parameters, matching, controls."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from source_lists import catalogue, changed, field

from diapipe.catalogs.sources import SourceList
from diapipe.errors import InputError, TooFewStarsError, UsageError
from diapipe.steps.select import (
    SELECTORS,
    DiaCatalog,
    KernelSources,
    ObjectSize,
    PointSources,
    measured_sources,
    select,
)
from gaussian_sky import Sky, drawn, exposure

STARS, GALAXIES = slice(0, 60), slice(60, 120)
ALONE = KernelSources(matched_to="nothing", control_step=None)


@pytest.fixture
def sources(rng) -> SourceList:
    return field(rng)


def kernel_rows(sources, selector, **given) -> set[int]:
    return set(select(sources, selector=selector, options=ALONE, **given).kernel.tolist())


@pytest.mark.parametrize("name", list(SELECTORS))
class TestEverySelector:
    """What all members keep."""

    def chosen(self, name, sources):
        return SELECTORS.make(name).chosen(sources, catalogue(sources).select(np.arange(len(sources))[::-1]))

    def test_takes_stars_and_nothing_else(self, name, sources):
        found = self.chosen(name, sources)
        assert found.dtype == bool
        assert not found[GALAXIES].any()
        assert found[STARS].sum() > 45

    def test_leaves_its_input_and_repeats_itself(self, name, sources):
        before = dataclasses.replace(sources).select(np.arange(len(sources)))
        once, twice = (self.chosen(name, sources) for _ in range(2))
        np.testing.assert_array_equal(once, twice)
        for f in dataclasses.fields(SourceList):
            if f.name != "flags":
                np.testing.assert_array_equal(getattr(sources, f.name), getattr(before, f.name))

    def test_does_not_depend_on_the_order(self, name, sources, rng):
        order = rng.permutation(len(sources))
        np.testing.assert_array_equal(self.chosen(name, sources.select(order)), self.chosen(name, sources)[order])

    def test_takes_none_that_is_flagged_or_sky(self, name, sources):
        """Each of its bad flags, in either spelling, on ten stars; sky sources; NaN for what decides."""
        kind = SELECTORS[name]
        for flag in kind().bad_flags:
            spoiled = changed(sources, slice(0, 10), **{flag: True})
            assert not self.chosen(name, spoiled)[:10].any(), flag
            old = (
                "slot_Centroid_flag"
                if flag == "centroid_flag"
                else flag.replace("pixelFlags_", "base_PixelFlags_flag_")
            )
            assert not SELECTORS.make(name, bad_flags=(old,)).chosen(spoiled, _aligned(spoiled))[:10].any()
            assert SELECTORS.make(name, bad_flags=()).chosen(spoiled, _aligned(spoiled))[:10].any()
        assert not self.chosen(name, changed(sources, slice(0, 10), is_sky=True))[:10].any()

    def test_has_nothing_to_choose_from_nothing(self, name, sources):
        """No sources: none, or the error that they are too few."""
        nothing = sources.select(np.zeros(len(sources), bool))
        try:
            assert SELECTORS.make(name).chosen(nothing, _aligned(nothing)).shape == (0,)
        except TooFewStarsError:
            assert name == "science"

    def test_all_flagged_gives_none(self, name, sources):
        spoiled = changed(sources, slice(None), centroid_flag=True)
        try:
            assert not self.chosen(name, spoiled).any()
        except TooFewStarsError:
            assert name == "science"


def _aligned(sources):
    return catalogue(sources).select(np.arange(len(sources))[::-1])


@pytest.mark.parametrize(
    ("parameter", "change", "kept"),
    [
        ({"min_flux": 5e3}, {"flux": 4e3, "flux_err": 40.0}, False),
        ({"min_flux": None}, {"flux": 4e3, "flux_err": 40.0}, True),
        ({"max_flux": 2e4}, {"flux": 3e4}, False),
        ({"max_flux": None}, {"flux": 3e4}, True),
        ({}, {"flux_err": 250.0}, False),
        ({"min_signal_to_noise": 30.0}, {"flux_err": 250.0}, True),
        ({"max_signal_to_noise": 500.0}, {"flux_err": 10.0}, False),
        ({"max_signal_to_noise": None}, {"flux_err": 10.0}, True),
    ],
)
def test_limits_of_flux_and_signal(sources, parameter, change, kept):
    """Ten stars of another flux or error are taken or not, as the parameter says; the others stay."""
    spoiled = changed(sources, slice(0, 10), **change)
    found = ObjectSize(**parameter).chosen(spoiled, None)
    assert (found[:10].sum() > 5) == kept
    assert found[10:60].sum() > 40


def test_limits_of_the_width(sources):
    """Hits of width 0.5 px are below any star; allowed, they are the smallest cluster. Nor may a star be too wide."""
    hits = changed(sources, slice(0, 15), ixx=0.25, iyy=0.25).select(np.arange(60))
    assert not ObjectSize().chosen(hits, None)[:15].any()
    assert ObjectSize(min_width_px=0.1).chosen(hits, None).nonzero()[0].max() < 15
    assert not ObjectSize(max_width_px=1.5).chosen(sources, None).any()


def test_a_tighter_clip_takes_fewer(sources):
    two, one = (ObjectSize(clip_sigma=n).chosen(sources, None).sum() for n in (2.0, 1.0))
    assert one < two


def test_the_width_that_tells_clusters_apart(sources):
    """Stars of 2.0 and blends of 2.5 px, 25% more: at 15% they are two clusters, at 50% one."""
    blends = changed(sources, slice(0, 20), ixx=6.25, iyy=6.25)
    assert not ObjectSize(clip_sigma=3.0).chosen(blends, None)[:20].any()
    assert ObjectSize(clip_sigma=3.0, relative_width=0.5).chosen(blends, None)[:20].all()


def test_sizes_need_moments(sources):
    unmeasured = changed(sources, slice(None), ixx=np.nan, iyy=np.nan)
    with pytest.raises(InputError, match=r"have no second moments \(ixx, iyy\)"):
        ObjectSize().chosen(unmeasured, None)


@pytest.mark.parametrize(
    ("parameter", "stars", "galaxies"),
    [({}, 60, 0), ({"galaxies": True}, 60, 60), ({"stars": False, "galaxies": True}, 0, 60)],
)
def test_classes_of_the_catalogue(sources, parameter, stars, galaxies):
    found = DiaCatalog(**parameter).chosen(sources, _aligned(sources))
    assert (found[STARS].sum(), found[GALAXIES].sum()) == (stars, galaxies)


def test_colours_fluxes_and_variability_of_the_catalogue(sources):
    """Stars of g-r from -1 to 4: those within the range; the fluxes are the sources'; variables by option alone."""
    colour = np.linspace(-1.0, 4.0, 120)
    entries = catalogue(sources, g_r=colour).select(np.arange(120)[::-1])
    entries = dataclasses.replace(entries, is_resolved=np.zeros(120, bool))
    np.testing.assert_array_equal(DiaCatalog().chosen(sources, entries), (colour >= 0) & (colour <= 3))
    narrow = DiaCatalog(min_g_r_mag=0.5, max_g_r_mag=1.5)
    np.testing.assert_array_equal(narrow.chosen(sources, entries), (colour >= 0.5) & (colour <= 1.5))
    bright = DiaCatalog(min_flux=1e4).chosen(sources, entries)
    np.testing.assert_array_equal(bright, DiaCatalog().chosen(sources, entries) & (sources.flux >= 1e4))
    faint = DiaCatalog(max_flux=1e4).chosen(sources, entries)
    np.testing.assert_array_equal(faint, DiaCatalog().chosen(sources, entries) & (sources.flux <= 1e4))
    variable = dataclasses.replace(entries, is_photometric=np.arange(120) % 3 > 0)
    assert not DiaCatalog().chosen(sources, variable)[::3].any()
    np.testing.assert_array_equal(
        DiaCatalog(variables=True).chosen(sources, variable), DiaCatalog().chosen(sources, entries)
    )


def test_the_catalogue_is_needed_and_the_range_is_one(sources):
    with pytest.raises(InputError, match="what a reference catalogue says of them; none was given"):
        DiaCatalog().chosen(sources, None)
    with pytest.raises(UsageError, match="min_g_r_mag must be below max_g_r_mag, not 2 and 1"):
        DiaCatalog(min_g_r_mag=2.0, max_g_r_mag=1.0)


def test_rows_of_the_catalogue_are_not_rows_of_the_sources(sources):
    """The original marked sources by their place among the matches: with a catalogue in another order, and sources that
    have no entry, those chosen are still the ones whose own entry is a star of the range.
    """
    colour = np.where(np.arange(120) % 2 == 0, 1.0, 5.0)
    reference = catalogue(sources, g_r=colour).select(np.arange(20, 120))
    found = kernel_rows(sources, DiaCatalog(), reference=reference)
    in_catalogue = set(range(100))  # the catalogue runs backwards, so without its first 20 it lacks the last sources
    assert found == {row for row in range(60) if row % 2 == 0 and row in in_catalogue}
    reference = catalogue(sources, g_r=colour).select(np.arange(100))
    assert kernel_rows(sources, DiaCatalog(), reference=reference) == set(range(20, 60, 2))


@pytest.mark.parametrize(
    ("parameter", "change", "kept"),
    [
        ({}, {"extendedness": 0.3}, False),
        ({"max_extendedness": 0.5}, {"extendedness": 0.3}, True),
        ({}, {"is_isolated": False}, False),
        ({"isolated": False}, {"is_isolated": False}, True),
        ({}, {"is_primary": False}, False),
        ({"primary": False}, {"is_primary": False}, True),
        ({}, {"flux_err": 1e4}, False),
        ({"min_signal_to_noise": 0.5}, {"flux_err": 1e4}, True),
        ({}, {"flux_err": 1.0}, False),
        ({"max_signal_to_noise": None}, {"flux_err": 1.0}, True),
    ],
)
def test_point_sources(sources, parameter, change, kept):
    """Ten stars that are extended, blended, secondary, faint or very bright, as the parameter says."""
    found = PointSources(**parameter).chosen(changed(sources, slice(0, 10), **change), None)
    assert found[:10].all() == kept
    assert found[:10].any() == kept
    assert found[10:60].all()


def test_of_many_point_sources_the_best_and_of_few_none(sources):
    """The highest signal-to-noise, exactly so many (SPEC N, kernel_source_selector); fewer than needed are an error."""
    found = PointSources(max_sources=7).chosen(sources, None)
    assert set(np.flatnonzero(found)) == set(np.argsort(-sources.signal_to_noise[STARS])[:7])
    with pytest.raises(TooFewStarsError, match=r"^60 sources of 120 can make the matching kernel .*; 61 are needed"):
        PointSources(min_sources=61).chosen(sources, None)
    unclassified = changed(sources, slice(None), extendedness=np.nan)
    assert PointSources().chosen(unclassified, None).all()


def test_sources_not_on_the_template_make_no_kernel(sources):
    """Template sources within 1 arcsec of half of the stars, across RA 0; with a smaller radius, none."""
    moved = dataclasses.replace(sources, dec=sources.dec + 0.7 / 3600).select(np.arange(0, 120, 2))
    found = select(sources, template_sources=moved, options=KernelSources(control_step=None))
    assert found.n_matched >= 60
    assert set(found.kernel) <= set(range(0, 60, 2))
    assert len(found.kernel) > 20
    near = KernelSources(control_step=None, match_radius_arcsec=0.3)
    assert len(select(sources, template_sources=moved, options=near).kernel) == 0


def test_sources_not_in_the_catalogue_make_no_kernel(sources):
    """kernelSourcesFromRef: only those with an entry."""
    options = KernelSources(matched_to="reference", control_step=None)
    found = select(sources, reference=catalogue(sources.select(np.arange(30))), options=options)
    assert found.n_matched == 30
    assert set(found.kernel) <= set(range(30))
    assert len(found.kernel) > 20


@pytest.mark.parametrize("offset", [(0.0, 0.0), (3.1, -2.2)])
def test_an_offset_of_the_wcs_is_seen_through(sources, offset):
    """Sources 3.8 arcsec off the catalogue are found as well as those in place, unless the offset is not looked for;
    the sources keep their positions.
    """
    reference = catalogue(sources, offset_arcsec=offset)
    options = KernelSources(matched_to="reference", control_step=None)
    found = select(sources, reference=reference, options=options)
    assert found.n_matched == 120
    assert found.sources is sources
    in_place = dataclasses.replace(options, reference_offset_arcsec=0)
    assert select(sources, reference=reference, options=in_place).n_matched == (120 if offset == (0.0, 0.0) else 0)


def test_the_match_of_the_catalogue_takes_whom_it_belongs_to(sources):
    """With the offset, each source has its own entry: g - r, which tells them apart, comes back."""
    colour = np.linspace(0.0, 1.0, 120)
    reference = catalogue(sources, offset_arcsec=(3.1, -2.2), g_r=colour)
    options = KernelSources(matched_to="reference", control_step=None)
    selector = DiaCatalog(min_g_r_mag=0.0, max_g_r_mag=colour[29] + 1e-9)
    assert select(sources, selector=selector, reference=reference, options=options).kernel.tolist() == list(range(30))


def test_sources_that_are_nowhere_are_not_chosen(sources):
    """Without a centroid, whatever the selector thinks of them."""
    nowhere = changed(sources, slice(0, 10), x=np.nan)
    found = select(nowhere, selector=PointSources(), options=ALONE)
    assert found.kernel.tolist() == list(range(10, 60))


def test_what_is_matched_to_must_be_given(sources):
    with pytest.raises(InputError, match="matched to those of the template; give its sources"):
        select(sources)
    with pytest.raises(InputError, match="matched to a reference catalogue; none was given"):
        select(sources, options=KernelSources(matched_to="reference"))
    nowhere = dataclasses.replace(sources, ra=np.full(120, np.nan), dec=np.full(120, np.nan))
    with pytest.raises(InputError, match="the sources of the template have no sky positions"):
        select(sources, template_sources=nowhere)
    with pytest.raises(UsageError, match="matched_to must be one of template, reference, nothing, not 'sky'"):
        KernelSources(matched_to="sky")


@pytest.mark.parametrize(("step", "n_control"), [(5, 12), (2, 30), (None, 0)])
def test_every_nth_is_a_control(sources, step, n_control):
    """Of 60 chosen; kernel and control share none and together are the chosen."""
    options = KernelSources(matched_to="nothing", control_step=step)
    found = select(sources, selector=PointSources(), options=options)
    assert len(found.control) == n_control
    assert set(found.kernel) | set(found.control) == set(range(60))
    assert len(found.kernel) + len(found.control) == 60
    np.testing.assert_array_equal(found.kernel_sources.id, sources.id[found.kernel])
    np.testing.assert_array_equal(found.control_sources.id, sources.id[found.control])


def test_one_seed_one_list(sources):
    """The same controls whatever ran before; others for another seed; not simply the first ones."""
    lists = []
    for seed in (10, 11, 10):
        options = KernelSources(matched_to="nothing", control_seed=seed)
        np.random.default_rng(seed).random(1000)
        lists.append(select(sources, selector=PointSources(), options=options).control.tolist())
    assert lists[0] == lists[2] != lists[1]
    assert lists[0] != list(range(0, 60, 5))


def test_a_step_of_one_leaves_no_kernel():
    with pytest.raises(UsageError, match="control_step must be at least 2, not 1"):
        KernelSources(control_step=1)


def test_colour_extremes_are_controls(sources):
    """doSelectDcrCatalog: stars bluer than grMin and redder than grMax judge the kernel and do not make it, whichever
    selector is active; their limits are those of the catalogue options, or of the active DiaCatalog.
    """
    colour = np.linspace(-1.0, 4.0, 120)
    reference = catalogue(sources, g_r=colour)
    stars = np.arange(120) < 60
    for selector, low, high in ((ObjectSize(), 0.0, 1.0), (DiaCatalog(min_g_r_mag=-0.5, max_g_r_mag=0.5), -0.5, 0.5)):
        limits = DiaCatalog(min_g_r_mag=0.0, max_g_r_mag=1.0)
        plain = dataclasses.replace(ALONE, catalogue=limits)
        options = dataclasses.replace(plain, extra_controls=("colour-extreme",))
        found = select(sources, selector=selector, reference=reference, options=options)
        extreme = stars & ((colour < low) | (colour > high))
        np.testing.assert_array_equal(found.control, np.flatnonzero(extreme))
        without = select(sources, selector=selector, reference=reference, options=plain)
        np.testing.assert_array_equal(found.kernel, without.kernel[~extreme[without.kernel]])
        assert len(found.kernel) > 5


def test_variables_are_controls(sources):
    """doSelectVariableCatalog: variable stars within the colours; with the others every fifth as before."""
    reference = catalogue(sources)
    reference = dataclasses.replace(reference, is_photometric=reference.id % 4 > 0)
    variable = (sources.id + 1000) % 4 == 0
    options = KernelSources(matched_to="nothing", extra_controls=("variable",))
    found = select(sources, selector=DiaCatalog(), reference=reference, options=options)
    stars = np.arange(120) < 60
    assert set(np.flatnonzero(variable & stars)) <= set(found.control)
    assert not set(np.flatnonzero(variable)) & set(found.kernel)
    assert len(found.control) == (variable & stars).sum() + np.ceil((~variable & stars).sum() / 5)
    with pytest.raises(InputError, match="none was given"):
        select(sources, options=options)
    with pytest.raises(UsageError, match="extra_controls can hold colour-extreme and variable, not 'red'"):
        KernelSources(extra_controls=("red",))


def test_sources_are_measured_on_the_exposure(rng):
    """Stars of σ 1.9 px: second moments 3.61 px² to their errors; a flagged pixel in the centre of one is told."""
    sky = Sky(n_stars=30, faintest=3e4)
    stars = sky.stars(rng)
    science, _ = sky.exposures(rng, stars)
    mask = science.masked_image.mask.copy()
    mask[round(stars.y[3]), round(stars.x[3])] = 1 << 2  # INTRP
    planes = dataclasses.replace(science.masked_image, mask=mask)
    found = measured_sources(dataclasses.replace(science, masked_image=planes), stars)
    error = np.sqrt(8.0) * 3.61 * stars.flux_err / stars.flux
    assert (np.abs(found.ixx - 3.61) < 4.0 * error + 0.01).all()
    assert found.flagged(["pixelFlags_interpolatedCenter"]).tolist() == [k == 3 for k in range(30)]
    np.testing.assert_array_equal(found.x, stars.x)
    chosen = select(found, options=ALONE)
    assert len(chosen.kernel) > 20
    assert 3 not in chosen.kernel


def test_stars_are_told_from_galaxies_on_an_image(rng):
    """From pixels to the kernel's sources: of 25 stars and 25 blobs twice as wide, stars alone."""
    sky = Sky(n_stars=50, faintest=5e4, brightest=1e5)
    stars = sky.stars(rng)
    light = drawn(sky.shape, stars.x[::2], stars.y[::2], stars.flux[::2], sigma=1.9)
    light = light + drawn(sky.shape, stars.x[1::2], stars.y[1::2], stars.flux[1::2], sigma=3.8)
    image = exposure("science", light, 10.0, 1.9, rng)
    chosen = select(measured_sources(image, stars), options=ALONE).kernel
    assert (chosen % 2 == 0).all()
    assert len(chosen) > 15
    with pytest.raises(InputError, match="science must have a PSF before its sources are measured"):
        measured_sources(dataclasses.replace(image, psf=None), stars)
