"""What each option of a detector does: thresholds, signs, sizes, growth, merging."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from diapipe.errors import UsageError
from diapipe.images import Box, Exposure, GaussianPsf, MaskedImage, MaskPlane
from diapipe.numerics import components
from diapipe.steps.detect import MatchedFilter, detect

SIZE, NOISE = 256, 10.0
PSF = GaussianPsf(1.8, 29)
SIGMA_OF_FLUX = NOISE * np.sqrt(4.0 * np.pi) * 1.8


def image_of(rng, *sources, noise=NOISE, **more) -> Exposure:
    """White noise and point sources (x, y, S/N)."""
    pixels = rng.normal(0, noise, (SIZE, SIZE))
    for x, y, snr in sources:
        at = Box.around(x=x, y=y, half=14)
        pixels[at.y0 : at.y1, at.x0 : at.x1] += snr * SIGMA_OF_FLUX * PSF.image_at(x=x, y=y)
    planes = MaskedImage.from_planes(pixels, variance=NOISE**2, **more)
    return Exposure(name="difference", masked_image=planes, psf=PSF)


def peaks_of(image, **options):
    return detect(image, algorithm=MatchedFilter(**options)).footprints.peaks


def test_sources_are_in_order_of_significance_not_of_value(rng):
    """-500 at 40 sigma stands before 30 at 5 sigma; and before a brighter one in noise that makes it less certain."""
    peaks = peaks_of(image_of(rng, (60, 60, 7.0), (180, 60, -40.0), (60, 180, 20.0)))
    np.testing.assert_allclose(peaks.x, [180, 60, 60], atol=1.5)
    assert np.sign(peaks.significance).tolist() == [-1, 1, 1]
    noisy = image_of(rng, (60, 60, 30.0), (180, 180, 20.0))
    variance = noisy.masked_image.variance.copy()
    variance[:120, :120] *= 9.0
    peaks = peaks_of(replace(noisy, masked_image=replace(noisy.masked_image, variance=variance)))
    assert np.round(peaks.x).tolist() == [180, 60]


@pytest.mark.parametrize(("polarity", "signs"), [("both", {1, -1}), ("positive", {1}), ("negative", {-1})])
def test_polarity_chooses_the_signs(polarity, signs, rng):
    """Only sources and planes of the sign asked for."""
    image = image_of(rng, (60, 60, 20.0), (180, 180, -20.0))
    found = detect(image, algorithm=MatchedFilter(polarity=polarity))
    assert set(np.sign(found.footprints.peaks.significance).astype(int)) == signs
    planes = {1: MaskPlane.DETECTED, -1: MaskPlane.DETECTED_NEGATIVE}
    for sign, plane in planes.items():
        assert bool((found.score.mask & int(plane)).any()) == (sign in signs)


def test_a_region_needs_its_pixels(rng):
    """A Gaussian of width w on the score is above t on 2 π w² ln(S/t) pixels, w = √2 x 1.8: 9 at S = 6.5, 83 at 40."""
    image = image_of(rng, (60, 60, 6.5), (180, 180, 40.0))
    assert len(peaks_of(image)) == 2
    assert peaks_of(image, min_pixels=45).x.round().tolist() == [180]
    assert len(peaks_of(image, min_pixels=500)) == 0


def test_a_region_needs_its_peak(rng):
    """With twice the threshold asked of the highest pixel a source of 7.5 sigma goes; a blend of 40 and 20 stays."""
    image = image_of(rng, (60, 60, 7.5), (180, 180, 40.0), (180, 189, 20.0))
    assert len(peaks_of(image)) == 3
    assert sorted(peaks_of(image, peak_factor=2.0).y.round()) == [180, 189]


def test_each_sign_is_a_region_of_its_own():
    """Touching positive and negative pixels are two regions: the smaller goes although together they are enough."""
    score = np.zeros((9, 12), np.float32)
    score[3:6, 2:5], score[3:5, 5:6] = 8.0, -8.0
    from diapipe.steps.detect.regions import significant

    runs = significant(components.runs_above(score, 5.0), score, min_pixels=5, least_peak=0.0)
    assert set(runs[:, 3]) == {1}
    assert len(significant(components.runs_above(score, 5.0), score, min_pixels=1, least_peak=9.0)) == 0


def test_nothing_is_detected_on_excluded_planes(rng):
    """A source on a pixel with the plane is none; beside it, it is; an unknown name is refused with those there are."""
    mask = np.zeros((SIZE, SIZE), np.int32)
    mask[40:80, 40:80] = MaskPlane.SUSPECT
    image = image_of(rng, (60, 60, 30.0), (180, 180, 30.0), mask=mask)
    assert len(peaks_of(image)) == 2
    assert peaks_of(image, excluded_planes=("SUSPECT",)).x.round().tolist() == [180]
    with pytest.raises(UsageError, match="no mask plane is called 'SUSPICIOUS'; there are BAD, SAT"):
        MatchedFilter(excluded_planes=("SUSPICIOUS",))


def test_one_scatter_for_all(rng):
    """Where the variance claims half of the noise, a threshold in the measured scatter keeps the false ones out."""
    image = image_of(rng, (60, 60, 40.0))
    wrong = replace(image, masked_image=replace(image.masked_image, variance=image.masked_image.variance / 4))
    assert len(peaks_of(wrong, threshold_sigma=5.0)) > 20
    peaks = peaks_of(wrong, threshold_sigma=5.0, noise="image")
    assert len(peaks) == 1
    assert peaks.significance[0] == pytest.approx(80.0, abs=5.0)


def test_a_threshold_in_counts(rng):
    """The smoothed peak of a source of flux F is F ΣP² = F / 4π s²: a threshold on either side of it."""
    image = image_of(rng, (60, 60, 30.0), (180, 180, 10.0))
    height = 30.0 * SIGMA_OF_FLUX / (4.0 * np.pi * 1.8**2)
    assert peaks_of(image, threshold_counts=0.8 * height).x.round().tolist() == [60]
    assert len(peaks_of(image, threshold_counts=1.2 * height)) == 0
    assert peaks_of(image, threshold_counts=0.8 * height).significance[0] == pytest.approx(30.0, abs=4.0)


def test_growth_is_round_or_a_diamond(rng):
    """A region of one pixel grown by 6: a disk of 113 pixels, a diamond of 2·36 + 2·6 + 1 = 85."""
    runs = components.runs_above(np.pad(np.full((1, 1), 9, np.float32), 20), 5.0)
    disk, diamond = (components.grow_runs(runs, 6.0, (41, 41), isotropic=round_) for round_ in (True, False))
    assert (disk[:, 2] - disk[:, 1]).sum() == 113
    assert (diamond[:, 2] - diamond[:, 1]).sum() == 85
    image = image_of(rng, (120, 120, 20.0))
    area = [detect(image, algorithm=MatchedFilter(grow_isotropically=g)).footprints.area[0] for g in (True, False)]
    assert area[1] < area[0]


def test_merging_unites_the_signs_and_growing_reaches_farther(rng):
    """Two sources of opposite sign 24 px apart: apart by default, one footprint when grown by 4 px more before merging.

    Both stay sources of their own, and each keeps its sign.
    """
    image = image_of(rng, (100, 100, 25.0), (124, 100, -25.0))
    apart, together = (detect(image, algorithm=MatchedFilter(merge_px=m)).footprints for m in (0, 6))
    assert (len(apart), len(together)) == (2, 1)
    assert apart.is_negative.sum() == 1
    assert not together.is_negative.any()
    assert sorted(np.sign(together.peaks.significance)) == [-1, 1]


def test_kept_apart_the_signs_neither_merge_nor_pair(rng):
    """The lobes of a dipole are two sources in footprints of their own, which may overlap; merged they are one pair."""
    image = image_of(rng, (100, 100, 25.0), (104, 100, -25.0), (200, 200, -30.0))
    merged, apart = (detect(image, algorithm=MatchedFilter(merge_signs=m)).footprints for m in (True, False))
    assert len(merged.peaks) == 2
    assert np.isfinite(merged.peaks.partner_significance).sum() == 1
    assert merged.is_negative.tolist().count(True) == 1
    assert len(apart.peaks) == 3
    assert np.isnan(apart.peaks.partner_significance).all()
    assert sorted(apart.is_negative) == [False, True, True]
    assert apart.is_negative[apart.peaks.footprint].tolist() == (apart.peaks.significance < 0).tolist()
    assert np.all(np.diff(np.abs(apart.peaks.significance)) <= 0)


def test_peaks_are_unique(rng):
    """No two peaks at one place, whatever is merged."""
    sources = [(40 + 22 * i, 40 + 22 * j, 20.0 * (-1) ** (i + j)) for i in range(8) for j in range(8)]
    peaks = peaks_of(image_of(rng, *sources), merge_px=6)
    assert len(peaks) == 64
    assert len({(round(x), round(y)) for x, y in zip(peaks.x, peaks.y, strict=True)}) == 64
    assert len(set(peaks.footprint)) == 1
