"""Which images a coadd is made of: a table worked out by hand for each way to choose."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table
from hypothesis import given
from hypothesis import strategies as st

from diapipe.catalogs.visit_images import VisitImages
from diapipe.errors import InputError, UsageError
from diapipe.steps.coadd.selection import (
    SELECTIONS,
    BestSeeing,
    BestSeeingQuantile,
    BestSeeingVisits,
    Overlapping,
    PsfQuality,
    TimeBestSeeing,
    select_images,
)
from visit_rows import OFF, ON, PATCH, TRACT, corners, images_of

nan = float("nan")


def choose(images, selector=None, **given):
    return select_images(images, tract=TRACT, patch_index=PATCH, selector=selector, **given)


def reasons(images, selector, **given):
    """By visit and detector."""
    found = choose(images, selector, **given)
    assert (np.asarray(found["selected"]) == (np.asarray(found["reason"]) == "")).all()
    return {(int(row["visit"]), int(row["detector"])): str(row["reason"]) for row in found}


def taken(images, selector, **given):
    return sorted(key for key, reason in reasons(images, selector, **given).items() if not reason)


TEN = images_of(
    [
        # visit, detector, middle, FWHM [px; times 0.5 arcsec], MJD
        (1, 0, ON, 3.0, 59579.9, {}),
        (2, 0, ON, 2.4, 59600.0, {}),
        (3, 0, ON, 2.5, 59580.0, {}),
        (4, 0, ON, 3.5, 60310.0, {}),
        (5, 0, ON, 3.6, 60000.0, {}),
        (6, 0, ON, 2.8, 60310.1, {}),
        (7, 0, ON, 2.9, 60000.0, {}),
        (7, 1, OFF, 2.6, 60000.0, {}),
        (8, 0, ON, 2.7, 60000.0, {}),
        (9, 0, ON, nan, 60000.0, {}),
        (10, 0, ON, 2.7, 60001.0, {"nJyPerCount": nan}),
    ]
)


def test_wcs_takes_what_overlaps():
    """All images on the patch, whatever they are like; not what lies beyond, nor what has no flux scale."""
    found = reasons(TEN, Overlapping())
    assert found[7, 1] == "does not overlap the patch"
    assert found[10, 0] == "has no photometric scale"
    assert taken(TEN, Overlapping()) == [(v, 0) for v in range(1, 10)]


def test_time_best_seeing_by_hand():
    """The configuration of the mission: dates 59580 to 60310, 2.5 to 3.5 px. The limits themselves are within."""
    mission = {"min_mjd": 59580.0, "max_mjd": 60310.0, "min_fwhm_px": 2.5, "max_fwhm_px": 3.5}
    assert reasons(TEN, TimeBestSeeing(n_images_max=10, **mission)) == {
        (1, 0): "MJD 59579.9, below 59580",
        (2, 0): "FWHM 2.4 px, below 2.5",
        (3, 0): "",
        (4, 0): "",
        (5, 0): "FWHM 3.6 px, above 3.5",
        (6, 0): "MJD 60310.1, above 60310",
        (7, 0): "",
        (7, 1): "does not overlap the patch",
        (8, 0): "",
        (9, 0): "FWHM is not known",
        (10, 0): "has no photometric scale",
    }
    two = reasons(TEN, TimeBestSeeing(n_images_max=2, **mission))
    assert [key for key, reason in two.items() if not reason] == [(3, 0), (8, 0)]
    assert two[7, 0] == "FWHM 2.9 px is not among the 2 smallest"


@pytest.mark.parametrize(
    ("limits", "n"),
    [
        ({}, 8),
        ({"max_fwhm_px": 0.0}, 0),
        ({"max_mjd": 0.0}, 0),
        ({"min_mjd": 0.0, "min_fwhm_px": 0.0}, 8),
        ({"n_images_max": 0}, 0),
    ],
)
def test_zero_is_a_limit_and_none_is_not(limits, n):
    """The original took 0 for "no limit" (SPEC A.8)."""
    assert len(taken(TEN, TimeBestSeeing(**limits))) == n


def test_best_seeing_by_hand_has_its_units():
    """1.2 to 1.5 arcsec at 0.5 arcsec/px are 2.4 to 3.0 px; of the six that are left the three sharpest."""
    found = reasons(TEN, BestSeeing(n_images_max=3, min_fwhm_arcsec=1.25, max_fwhm_arcsec=1.5))
    assert [key for key, reason in found.items() if not reason] == [(3, 0), (6, 0), (8, 0)]
    assert found[2, 0] == "FWHM 1.2 arcsec, below 1.25"
    assert found[4, 0] == "FWHM 1.75 arcsec, above 1.5"
    assert found[7, 0] == "FWHM 1.45 arcsec is not among the 3 smallest"
    pixels = {"max_fwhm_arcsec": None, "min_fwhm_arcsec": None, "n_images_max": None}
    assert taken(TEN, BestSeeing(**pixels, min_fwhm_px=2.5, max_fwhm_px=2.9)) == [(3, 0), (6, 0), (7, 0), (8, 0)]


def test_best_seeing_judges_each_image_in_its_own_pixels():
    """2 px of 1 arcsec are wider than 3 px of 0.5 arcsec."""
    coarse, fine = images_of([(1, 0, ON, 2.0, 0, {})], scale_arcsec=1.0), images_of([(2, 0, ON, 3.0, 0, {})])
    both = VisitImages(Table(rows=[dict(row) for images in (coarse, fine) for row in images.table]))
    assert taken(both, BestSeeing(n_images_max=1, max_fwhm_arcsec=None)) == [(2, 0)]
    assert taken(both, TimeBestSeeing(n_images_max=1)) == [(1, 0)]


def test_equal_images_are_taken_in_order():
    """Of equals the lower visit, then the lower detector, in whatever order the tables come."""
    rows = [(3, 0, ON, 2.0, 0, {}), (1, 1, ON, 2.0, 0, {}), (2, 0, ON, 2.0, 0, {}), (1, 0, ON, 2.0, 0, {})]
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2]):
        images = images_of([rows[i] for i in order])
        assert taken(images, TimeBestSeeing(n_images_max=3)) == [(1, 0), (1, 1), (2, 0)]


VISITS = images_of(
    [
        # two detectors a visit; FWHM in px of 0.5 arcsec: the mean in arcsec, the median
        (1, 0, ON, 2.0, 100.0, {"skyBg": 10.0}),  # mean 1.2
        (1, 1, OFF, 2.8, 100.0, {"skyBg": 30.0}),
        (2, 0, ON, 2.1, 101.0, {"skyBg": 10.0}),  # mean 1.05
        (2, 1, ON, 2.1, 101.0, {"skyBg": 20.0}),
        (3, 0, OFF, 1.0, 102.0, {"skyBg": 90.0}),  # not on the patch
        (4, 0, ON, 1.8, 103.0, {"skyBg": 50.0}),  # mean 0.9: the second detector has no PSF
        (4, 1, OFF, nan, 103.0, {"skyBg": 50.0}),
        (5, 0, ON, 3.2, 104.0, {"skyBg": 90.0}),  # mean 1.6
        (6, 0, ON, nan, 105.0, {"skyBg": 90.0}),  # not known
    ]
)


def test_best_seeing_visits_by_hand():
    """Visits by the mean over all of their detectors, also those beyond the patch; then those that overlap."""
    found = reasons(VISITS, BestSeeingVisits(n_visits_max=2))
    assert [key for key, reason in found.items() if not reason] == [(2, 0), (2, 1), (4, 0)]
    assert found[1, 0] == "the visit's FWHM 1.2 arcsec is not among the 2 smallest"
    assert found[1, 1] == found[3, 0] == found[4, 1] == "does not overlap the patch"
    assert found[5, 0] == "the visit's FWHM 1.6 arcsec, above 1.5"
    assert found[6, 0] == "the visit's FWHM is not known"
    every = BestSeeingVisits(n_visits_max=None, max_fwhm_arcsec=None)
    assert taken(VISITS, every) == [(1, 0), (2, 0), (2, 1), (4, 0), (5, 0)]


def test_best_seeing_visits_has_limits_of_date_seeing_and_of_any_column():
    found = reasons(
        VISITS, BestSeeingVisits(min_mjd=100.5, max_mjd=104, min_fwhm_arcsec=1.0, min_values={"skyBg": 16.0})
    )
    assert found[1, 0] == "MJD 100, below 100.5"
    assert found[4, 0] == "the visit's FWHM 0.9 arcsec, below 1"
    assert found[2, 0] == "the visit's mean skyBg 15, below 16"
    assert not [reason for reason in found.values() if not reason]


@pytest.mark.parametrize(
    ("n", "quantiles", "n_min", "ranks"),
    [
        (20, (0.0, 0.33), 6, range(7)),  # round(6.6) = 7
        (10, (0.0, 0.33), 6, range(6)),  # round(3.3) = 3, but at least 6
        (4, (0.0, 0.33), 6, range(4)),  # all there are
        (20, (0.5, 1.0), 6, range(10, 20)),
        (20, (0.9, 1.0), 6, range(14, 20)),  # from min(18, 20 - 6)
        (20, (0.25, 0.5), 0, range(5, 10)),
    ],
)
def test_best_seeing_quantile_by_hand(n, quantiles, n_min, ranks):
    """Of n visits whose seeing rises with their number, the ranks that SPEC A.8's two formulas give."""
    images = images_of([(visit, 0, ON, 2.0 + 0.1 * visit, 0, {}) for visit in range(n)])
    selector = BestSeeingQuantile(min_quantile=quantiles[0], max_quantile=quantiles[1], n_visits_min=n_min)
    assert taken(images, selector) == [(visit, 0) for visit in ranks]


def test_best_seeing_quantile_counts_medians_of_visits_on_the_patch():
    """One bad detector of three does not make a visit bad; a visit beyond the patch is no rank."""
    rows = [(1, d, ON, fwhm, 0, {}) for d, fwhm in enumerate((2.0, 2.0, 9.0))]
    rows += [(2, d, ON, fwhm, 0, {}) for d, fwhm in enumerate((2.5, 2.5, 2.5))]
    rows += [(3, 0, OFF, 1.0, 0, {})]
    found = reasons(images_of(rows), BestSeeingQuantile(max_quantile=0.5, n_visits_min=1))
    assert [key for key, reason in found.items() if not reason] == [(1, 0), (1, 1), (1, 2)]
    assert found[2, 0] == "the visit's FWHM 1.25 arcsec of rank 2 in 2 is not sharp enough"


GOOD = {
    "psfStarDeltaE1Median": 0.0042,
    "psfStarDeltaE2Median": -0.0056,  # 0.0070 together: at the limit
    "psfStarScaledDeltaSizeScatter": 0.019,
    "psfTraceRadiusDelta": 0.7,
    "starEMedian": 0.4,
    "nPsfStar": 6,
}
FAULTS = [
    ({"psfStarDeltaE1Median": 0.0043}, "residual ellipticity 0.007060453, above 0.007"),
    ({"psfStarScaledDeltaSizeScatter": 0.02}, "scatter of the sizes 0.02 /px, above 0.019"),
    ({"psfTraceRadiusDelta": 0.71}, "variation of the PSF's size 0.71 px, above 0.7"),
    ({"starEMedian": 0.41}, "ellipticity of the stars 0.41, above 0.4"),
    ({"nPsfStar": 5}, "number of PSF stars 5, below 6"),
    ({"psfTraceRadiusDelta": nan}, "variation of the PSF's size is not known"),
]


@pytest.mark.parametrize(("fault", "reason"), FAULTS, ids=[next(iter(fault)) for fault, _ in FAULTS])
def test_psf_wcs_by_hand(fault, reason):
    """Everything at its limit is fit; each fault alone is not, and is told."""
    images = images_of([(1, 0, ON, 3.0, 0, GOOD), (2, 0, ON, 3.0, 0, GOOD | fault), (3, 0, ON, 3.7, 0, GOOD)])
    found = reasons(images, PsfQuality(max_ellipticity_residual=0.007 + 1e-12))
    assert found[1, 0] == ""
    assert found[2, 0] == reason
    assert found[3, 0] == "FWHM 1.85 arcsec, above 1.8"


def test_psf_wcs_without_its_limits_takes_all_and_asks_for_no_column():
    none = dict.fromkeys(
        (
            "max_fwhm_arcsec",
            "max_ellipticity_residual",
            "max_scaled_size_scatter_per_px",
            "max_trace_radius_delta_px",
            "max_star_ellipticity",
            "min_psf_stars",
        )
    )
    assert len(taken(TEN, PsfQuality(**none))) == 8
    with pytest.raises(InputError, match="visit_summary has no column psfStarDeltaE1Median"):
        choose(TEN, PsfQuality())


def test_visits_are_kept_out_or_asked_for_by_hand():
    """Before the best are chosen: their places go to others."""
    best = TimeBestSeeing(n_images_max=2)
    assert taken(TEN, best) == [(2, 0), (3, 0)]
    found = reasons(TEN, best, excluded_visits=[2, 99])
    assert found[2, 0] == "its visit was kept out by hand"
    assert taken(TEN, best, excluded_visits=[2]) == [(3, 0), (8, 0)]
    assert taken(TEN, best, only_visits=[1, 4, 5]) == [(1, 0), (4, 0)]
    assert reasons(TEN, best, only_visits=[1])[2, 0] == "its visit is not among those asked for"
    assert reasons(TEN, best, excluded_detectors=[0])[2, 0] == "its detector was kept out by hand"
    assert taken(TEN, best, only_visits=[]) == []


def on_scale(visit, fwhm, component, *, is_absolute=False, place=ON, instrument="cam"):
    more = {"component": component, "isAbsolute": is_absolute, "instrument": instrument}
    return (visit, 0, place, fwhm, 60000.0, more)


def test_a_patch_is_of_one_flux_scale():
    """Of the scale on which most images would be taken, be they less sharp; one beyond the patch does not count. The
    selector compares images of one scale only.
    """
    rows = [on_scale(1, 2.0, 0), on_scale(2, 3.0, 1), on_scale(3, 3.1, 1), on_scale(4, 2.1, 0, place=OFF)]
    found = reasons(images_of(rows), BestSeeing(n_images_max=2, max_fwhm_arcsec=None, min_fwhm_arcsec=None))
    assert {key: found[key] for key in ((2, 0), (3, 0))} == {(2, 0): "", (3, 0): ""}
    assert found[1, 0] == "shares no stars with the 2 that are taken, which are on another flux scale"
    assert found[4, 0] == "does not overlap the patch"
    sharp = BestSeeing(n_images_max=1, max_fwhm_arcsec=None, min_fwhm_arcsec=None)
    assert taken(images_of(rows), sharp) == [(1, 0)]
    assert reasons(images_of(rows), sharp)[3, 0] == "FWHM 1.55 arcsec is not among the 1 smallest"


def test_images_in_true_nanojansky_are_on_one_scale():
    """Whether they share stars or not; of equal numbers those in true nJy are taken."""
    rows = [on_scale(1, 2.0, 0, is_absolute=True), on_scale(2, 3.0, 1, is_absolute=True)]
    assert taken(images_of(rows), Overlapping()) == [(1, 0), (2, 0)]
    unlinked = [on_scale(3, 2.0, -1, is_absolute=True), on_scale(4, 2.0, 5), on_scale(5, 2.0, 5)]
    assert taken(images_of(rows + unlinked), Overlapping()) == [(1, 0), (2, 0), (3, 0)]
    assert taken(images_of(rows[:1] + unlinked[1:2]), Overlapping()) == [(1, 0)]


def test_visits_of_one_number_of_two_instruments_are_two():
    """The table tells them apart; a patch is of one instrument, and the other's visits take no place from its."""
    rows = [on_scale(visit, 2.0, 0, is_absolute=True, instrument=name) for name in ("b", "a") for visit in (1, 2)]
    rows.append(on_scale(3, 3.0, 0, is_absolute=True, instrument="b"))
    found = choose(images_of(rows), BestSeeingVisits(n_visits_max=3, max_fwhm_arcsec=None, min_fwhm_arcsec=None))
    assert list(found["instrument"]) == ["a", "a", "b", "b", "b"]
    assert list(found["visit"]) == [1, 2, 1, 2, 3]
    assert list(found["selected"]) == [False, False, True, True, True]
    assert set(found["reason"][:2]) == {"is not of b, as the 3 that are taken"}


def test_the_table_tells_what_was_chosen():
    """In order of visit and detector; the weight is one over the variance of the sky, (10 counts of 2 nJy)^-2."""
    found = choose(TEN, TimeBestSeeing(n_images_max=1))
    assert found.colnames == ["instrument", "visit", "detector", "selected", "reason", "psfFwhm", "mjd", "weight"]
    assert found["psfFwhm"].unit == "pix"
    assert list(zip(found["visit"], found["detector"], strict=True)) == sorted(
        zip(TEN.visit, TEN.detector, strict=True)
    )
    row = found[np.asarray(found["selected"])][0]
    assert (row["visit"], row["psfFwhm"], row["mjd"]) == (2, 2.4, 59600.0)
    assert row["weight"] == pytest.approx(1 / 400)
    assert np.asarray(found["weight"])[~np.asarray(found["selected"])].tolist() == [0.0] * 10


@given(x=st.floats(-200, 1000), y=st.floats(-200, 1000), turn=st.floats(0, 90), order=st.permutations(range(4)))
def test_overlap_is_what_positions_say(x, y, turn, order):
    """In whatever order the corners come, the square shares area with the patch's 440 px if one of 2,500 positions on
    it does; what those do not see is a corner of a tenth of a pixel.
    """
    box = TRACT.patch(PATCH).outer
    ra, dec = corners((x, y), turn_deg=turn, order=order)
    said = bool(TRACT.touched_by(box, ra_deg=ra[None], dec_deg=dec[None])[0])
    grid = np.linspace(-50, 50, 50)
    u, v = (a.ravel() for a in np.meshgrid(grid, grid))
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    px, py = x + c * u - s * v, y + s * u + c * v

    def some_in(margin):
        inside = (px > box.x0 - 0.5 - margin) & (px < box.x1 - 0.5 + margin)
        return bool((inside & (py > box.y0 - 0.5 - margin) & (py < box.y1 - 0.5 + margin)).any())

    assert some_in(-0.01) <= said <= some_in(2.1)


def test_no_images_is_an_empty_table():
    """For each way to choose."""
    empty = VisitImages(images_of([(1, 0, ON, 3.0, 0, GOOD)]).table[:0])
    for name in SELECTIONS:
        assert len(choose(empty, SELECTIONS.make(name))) == 0


@pytest.mark.parametrize(
    ("name", "parameters", "sentence"),
    [
        ("best_seeing_quantile", {"min_quantile": 0.5, "max_quantile": 0.4}, "must not be above max_quantile"),
        ("best_seeing_quantile", {"max_quantile": 1.5}, "max_quantile of BestSeeingQuantile must be at most 1"),
        ("time_best_seeing", {"max_fwhm_px": -1.0}, "max_fwhm_px of TimeBestSeeing must be 0 or positive, not -1"),
        ("best_seeing", {"max_fwhm": 3.5}, "cannot select visits by 'best_seeing'"),
    ],
)
def test_what_means_nothing_is_refused(name, parameters, sentence):
    """A limit without a unit is no parameter."""
    with pytest.raises(UsageError, match=sentence):
        SELECTIONS.make(name, **parameters)
