"""detect: unit noise, the Gaussian number of false peaks, every source once and with its sign."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
from scipy import signal, stats

from diapipe.errors import PsfUndefinedError
from diapipe.images import Box, Exposure, GaussianPsf, MaskedImage, MaskPlane, PolynomialPsf
from diapipe.steps.detect import DETECTORS, MatchedFilter, ScoreThreshold, detect

SIZE = 512
PSF = GaussianPsf(1.8, 29)


def exposure(image, *, mask=None, variance=100.0, psf=PSF, box=None, **more) -> Exposure:
    return Exposure(
        name="difference",
        masked_image=MaskedImage.from_planes(image, mask=mask, variance=variance, box=box),
        psf=psf,
        **more,
    )


def with_sources(rng, *sources, size=SIZE):
    """White noise of sigma 10 and point sources (x, y, flux)."""
    image = rng.normal(0, 10, (size, size))
    for x, y, flux in sources:
        at = Box.around(x=x, y=y, half=14)
        image[at.y0 : at.y1, at.x0 : at.x1] += flux * PSF.image_at(x=x, y=y)
    return image


@pytest.fixture(params=list(DETECTORS))
def algorithm(request):
    return DETECTORS.make(request.param)


def searched_by(algorithm, difference):
    """The image that an algorithm wants: the difference, or, of uniform white noise, its correlation with the PSF."""
    if algorithm.searches == "difference":
        return difference
    psf, planes = PSF.kernel_image(x=0, y=0), difference.masked_image
    seen = signal.fftconvolve(np.pad(planes.image.astype(float), 14), psf[::-1, ::-1], mode="valid")
    of_source = signal.fftconvolve(psf, psf[::-1, ::-1])
    return replace(
        difference,
        name="score",
        masked_image=MaskedImage.from_planes(seen, mask=planes.mask, variance=planes.variance * (psf**2).sum()),
        psf=PolynomialPsf.constant(of_source, difference.box),
    )


def test_score_of_noise_is_standard_normal(rng):
    """Sigma within 2% and no skew, with variance steps, a bad column and saturated islands."""
    sigma = np.where(np.arange(SIZE) < 200, 10.0, 30.0)
    image = rng.normal(0, 1, (SIZE, SIZE)) * sigma
    mask = np.zeros(image.shape, np.int32)
    mask[:, 300], mask[50:60, 50:60] = MaskPlane.BAD, MaskPlane.SAT_TEMPLATE
    image[mask > 0] = 1e7
    score = detect(exposure(image, mask=mask, variance=np.broadcast_to(sigma**2, image.shape))).score.image
    seen = score[np.isfinite(score)]
    assert np.std(seen) == pytest.approx(1.0, abs=0.02)
    assert abs(np.mean(seen)) < 0.02
    assert np.abs(seen).max() < 6
    assert np.isnan(score[52:58, 52:58]).all()
    assert np.isfinite(score[100:400, 296:305]).all()


def test_false_peaks_are_those_of_a_gaussian_field(rng):
    """Peaks above u of smooth Gaussian noise: A |Λ|^(1/2) u φ(u) / 2π a sign (Adler 1981), within four Poisson sigma.

    The score of white noise has Λ = 1/(2 σ²) along each axis for a Gaussian PSF of width σ.
    """
    n, threshold = 1024, 3.5
    found = detect(
        exposure(rng.normal(0, 10, (n, n))), algorithm=MatchedFilter(threshold_sigma=threshold, grow_sigma=0.0)
    )
    density = 1 / (2 * 1.8**2) * threshold * stats.norm.pdf(threshold) / (2 * np.pi)
    expected = 2 * n * n * density
    assert abs(len(found.footprints.peaks) - expected) < 4 * np.sqrt(expected) + 0.1 * expected


def test_correlated_noise_is_normalised(rng):
    """Noise of a two-pixel box: without its correlation the score is too wide, with it of unit width."""
    noise = rng.normal(0, 10, (SIZE, SIZE))
    noise = (noise + np.roll(noise, 1, axis=0)) / np.sqrt(2)
    rho = np.zeros((3, 3))
    rho[:, 1] = [0.5, 1.0, 0.5]
    known = detect(exposure(noise, noise_correlation=rho)).score.image
    naive = detect(exposure(noise)).score.image
    assert np.nanstd(known) == pytest.approx(1.0, abs=0.03)
    assert np.nanstd(naive) > 1.2


def test_sources_of_both_signs_are_found_where_they_are(rng, algorithm):
    """Four sources of S/N 15 and more: each once, to half a pixel, with its sign, and nothing else."""
    truth = [(100.3, 200.2, 1200.0), (300.1, 90.4, -1500.0), (400.0, 400.5, 2000.0), (20.2, 480.1, -1100.0)]
    found = detect(searched_by(algorithm, exposure(with_sources(rng, *truth))), algorithm=algorithm)
    peaks = found.footprints.peaks
    assert len(peaks) == 4
    for x, y, flux in truth:
        k = np.argmin(np.hypot(peaks.x - x, peaks.y - y))
        assert np.hypot(peaks.x[k] - x, peaks.y[k] - y) < 0.5
        assert np.sign(peaks.significance[k]) == np.sign(flux)
    assert np.all(np.diff(np.abs(peaks.significance)) <= 0)
    assert found.footprints.is_negative[peaks.footprint].tolist() == (peaks.significance < 0).tolist()


def test_detected_planes_are_set_where_the_footprints_are(rng):
    """DETECTED on the positive, DETECTED_NEGATIVE on the negative source, and old marks are gone."""
    image = with_sources(rng, (100.0, 100.0, 2000.0), (300.0, 300.0, -2000.0))
    mask = np.zeros(image.shape, np.int32)
    mask[400, 400] = MaskPlane.DETECTED | MaskPlane.INTRP
    found = detect(exposure(image, mask=mask)).score.mask
    assert found[100, 100] == MaskPlane.DETECTED
    assert found[300, 300] == MaskPlane.DETECTED_NEGATIVE
    assert found[400, 400] == MaskPlane.INTRP


def test_blends_and_dipoles(rng, algorithm):
    """Two transients 9 px apart are two sources in one footprint; two lobes 4 px apart are one with a partner."""
    blend = (100.0, 100.0, 2000.0), (109.0, 100.0, 1500.0)
    dipole = (300.0, 300.0, 2500.0), (304.0, 300.0, -2300.0)
    difference = exposure(with_sources(rng, *blend, *dipole))
    peaks = detect(searched_by(algorithm, difference), algorithm=algorithm).footprints.peaks
    near_blend, near_dipole = np.hypot(peaks.x - 104, peaks.y - 100) < 15, np.hypot(peaks.x - 302, peaks.y - 300) < 15
    assert near_blend.sum() == 2
    assert len(set(peaks.footprint[near_blend])) == 1
    assert np.isnan(peaks.partner_significance[near_blend]).all()
    assert near_dipole.sum() == 1
    assert peaks.partner_significance[near_dipole] * peaks.significance[near_dipole] < 0


def test_the_rings_of_a_whitened_psf_are_no_sources(rng):
    """A PSF with a negative ring and a source of 400 sigma: one source, no negative ones around it."""
    y, x = np.mgrid[-20:21, -20:21]
    image = np.exp(-(x**2 + y**2) / 6.0) - 0.06 * np.exp(-(x**2 + y**2) / 40.0)
    psf = PolynomialPsf.constant(image / image.sum(), Box(0, SIZE, 0, SIZE))
    pixels = rng.normal(0, 10, (SIZE, SIZE))
    pixels[180:221, 230:271] += 10 * 400 / np.sqrt((psf.field.images[0] ** 2).sum()) * psf.field.images[0]
    found = detect(exposure(pixels, psf=psf))
    assert np.nanmin(found.score.image[180:221, 230:271]) < -10
    assert len(found.footprints.peaks) == 1


def test_parent_coordinates_and_threads(rng):
    """Away from the origin everything moves along; the number of threads changes no bit."""
    image = with_sources(rng, (100.3, 200.2, 3000.0))
    here, there = detect(exposure(image)), detect(exposure(image, box=Box(70, 70 + SIZE, -30, SIZE - 30)), n_threads=3)
    np.testing.assert_array_equal(here.score.image, there.score.image)
    np.testing.assert_allclose(there.footprints.peaks.x, here.footprints.peaks.x - 30)
    np.testing.assert_allclose(there.footprints.peaks.y, here.footprints.peaks.y + 70)
    assert there.footprints.box_of(0) == here.footprints.box_of(0).shifted(x=-30, y=70)


@pytest.mark.parametrize("shape", [(1, 1), (3, 50), (200, 2), (600, 7)])
def test_tiny_images(rng, algorithm, shape):
    """Images smaller than the filter give a score and no detections."""
    found = detect(searched_by(algorithm, exposure(rng.normal(0, 10, shape))), algorithm=algorithm)
    assert found.score.shape == shape
    assert len(found.footprints) == 0


@pytest.mark.parametrize("spoil", ["masked", "nan", "infinite variance", "zero variance"])
def test_nothing_usable(algorithm, spoil):
    """Without a usable pixel there is no score and no detection, and no warning."""
    image, mask = np.full((80, 70), np.nan if spoil == "nan" else 1e4), np.zeros((80, 70), np.int32)
    mask[:] = MaskPlane.NO_DATA if spoil == "masked" else 0
    variance = {"infinite variance": np.inf, "zero variance": 0.0}.get(spoil, 1.0)
    found = detect(exposure(image, mask=mask, variance=variance), algorithm=algorithm)
    assert np.isnan(found.score.image).all()
    assert len(found.footprints.peaks) == 0


def test_input_unchanged_and_picklable(rng, algorithm):
    """A detector writes to nothing it was given, and travels to another process."""
    given = exposure(with_sources(rng, (100.0, 100.0, 3000.0)))
    before = [np.array(p) for p in (given.masked_image.image, given.masked_image.mask, given.masked_image.variance)]
    found = detect(given, algorithm=pickle.loads(pickle.dumps(algorithm)))
    for plane, was in zip(
        (given.masked_image.image, given.masked_image.mask, given.masked_image.variance), before, strict=True
    ):
        np.testing.assert_array_equal(plane, was)
    again = pickle.loads(pickle.dumps(found))
    np.testing.assert_array_equal(again.footprints.spans, found.footprints.spans)


def test_a_psf_is_needed(rng, algorithm):
    """Without one the message says which image lacks it."""
    with pytest.raises(PsfUndefinedError, match="difference has no PSF"):
        detect(exposure(rng.normal(0, 10, (50, 50)), psf=None), algorithm=algorithm)


def test_both_detectors_say_the_same_of_white_noise(rng):
    """The score image of uniform white noise: the same score to 1% of a sigma and the filter's trim, the same peaks.

    The trimmed filter lacks a thousandth of its weight, which is 3% of the noise's sigma: not in the mean of the score.
    """
    difference = exposure(with_sources(rng, (100.3, 200.2, 1500.0), (300.1, 90.4, -1500.0)))
    one, other = (detect(searched_by(a, difference), algorithm=a) for a in (MatchedFilter(), ScoreThreshold()))
    assert np.std((one.score.image - other.score.image)[20:-20, 20:-20]) < 0.05
    np.testing.assert_allclose(one.footprints.peaks.x, other.footprints.peaks.x, atol=0.1)
    assert (one.searched, other.searched) == ("difference", "score")


def test_a_score_image_is_searched_where_it_has_a_score():
    """Of three peaks of value 12 and variance 4 the one that is neither masked nor of unknown variance, as 6 sigma."""
    seen = np.zeros((120, 160))
    mask = np.zeros(seen.shape, np.int32)
    variance = np.full(seen.shape, 4.0)
    spot = PSF.kernel_image(x=0, y=0) / PSF.kernel_image(x=0, y=0).max()
    for x in (30, 80, 130):
        seen[46:75, x - 14 : x + 15] = 12.0 * spot
    mask[40:80, 70:90], variance[40:80, 120:140] = MaskPlane.BAD, np.inf
    found = detect(exposure(seen, mask=mask, variance=variance), algorithm=ScoreThreshold(grow_sigma=0.0))
    assert found.footprints.peaks.x.tolist() == [30.0]
    assert found.footprints.peaks.significance == pytest.approx([6.0])
