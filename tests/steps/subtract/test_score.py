"""Score images: the documented formula, unit scatter everywhere, the S/N that theory has, and the PSF the right way
round.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from diapipe.errors import PsfUndefinedError
from diapipe.images import Box, ChebyshevField, GaussianPsf, MaskPlane, SpatialKernel
from diapipe.images.fields import ImageField
from diapipe.images.psf import PolynomialPsf
from diapipe.numerics.small_convolution import convolved_in_full
from diapipe.steps.decorrelate import Afterburner, decorrelate
from diapipe.steps.detect import ScoreThreshold, detect
from diapipe.steps.subtract import (
    PRECONVOLUTIONS,
    GaussianFilter,
    PsfFilter,
    Zogy,
    can_be_matched,
    correlated,
    preconvolve,
    subtract,
)
from gaussian_sky import STAMP, Sky, exposure, masked, with_planes

SHAPE = (320, 340)
BOX = Box.from_shape(SHAPE)
INNER = np.s_[30:-30, 30:-30]
SCIENCE, TEMPLATE = 1.9, 1.4


def gaussian(sigma, size=STAMP):
    return GaussianPsf(sigma, size).kernel_image(x=0, y=0)


KERNEL = gaussian(np.sqrt(SCIENCE**2 - TEMPLATE**2), 21)


def constant(image, box=BOX):
    return SpatialKernel.constant(image, box)


def noise_pair(rng, *, science=10.0, template=6.0, shape=SHAPE, widths=(SCIENCE, TEMPLATE)):
    """Two images of nothing."""
    return [
        exposure(name, np.zeros(shape), noise, sigma, rng)
        for name, noise, sigma in zip(("science", "template"), (science, template), widths, strict=True)
    ]


def difference_of(science, template, kernel, *, convolved="template", whitened=True, algorithm=None):
    """Subtracted with a kernel that is known, without the measurements that follow a real match."""
    images = (template, science) if convolved == "template" else (science, template)
    whitening = decorrelate(*images, kernel, algorithm=Afterburner()) if whitened else None
    level = ChebyshevField.constant(0.0, science.box)
    return subtract(science, template, kernel, level, convolved=convolved, whitening=whitening, algorithm=algorithm)


def pulls(score):
    planes = score.masked_image
    return planes.image / np.sqrt(planes.variance)


def with_source(image, x, y, flux):
    """A source drawn with the image's own PSF."""
    light = np.zeros(image.box.shape)
    at = Box.around(x=x, y=y, half=image.psf.size // 2)
    inside = at.intersect(image.box)
    light[inside.slices_in(image.box)] = flux * image.psf.image_at(x=x, y=y)[inside.slices_in(at)]
    return with_planes(image, image=(image.masked_image.image + light).astype(np.float32))


def test_the_score_is_the_documented_formula():
    """(s + t k0²) / (s + t |κ̂|² / |P̂|²) (conj(P̂) S - κ̂ T) by a transform of the whole frame: to 1% of the noise away
    from the border. With κ = conj(P) K nothing is divided by zero in either: |κ̂|² / |P̂|² is |K̂|².
    """
    science, template = noise_pair(np.random.default_rng(0))
    difference = difference_of(science, template, constant(1.3 * KERNEL))
    assert difference.residual_background is None
    found = correlated(difference, science, template, preconvolution=PsfFilter().filter(science))

    def spectrum(image):
        frame, half = np.zeros(SHAPE), image.shape[0] // 2
        frame[: image.shape[0], : image.shape[1]] = image
        return np.fft.fft2(np.roll(frame, (-half, -half), axis=(0, 1)))

    p, k = spectrum(gaussian(SCIENCE)), spectrum(1.3 * KERNEL)
    s, t = (np.fft.fft2(e.masked_image.image.astype(float)) for e in (science, template))
    c = (100.0 + 36.0 * 1.3**2) / (100.0 + 36.0 * np.abs(k) ** 2)
    expected = np.fft.ifft2(c * (p.conj() * s - p.conj() * k * t)).real
    sigma = np.std(expected)
    assert np.std((found.masked_image.image - expected)[INNER]) < 0.01 * sigma
    np.testing.assert_allclose(np.sqrt(found.masked_image.variance[INNER]), sigma, rtol=0.03)


@pytest.mark.parametrize("whitened", [True, False])
@pytest.mark.parametrize("name", [*PRECONVOLUTIONS, "none", "proper"])
def test_noise_has_unit_scatter_up_to_the_border(name, whitened, rng):
    """2 x 1.1e5 pixels, one in 4 π σ² independent: 1.3% on all of them, four errors of 4% on the outermost three rows
    and columns. Noise beyond the border must not be counted, nor what is missing there.
    """
    inner, border = [], []
    for _ in range(2):
        science, template = noise_pair(rng, template=9.0)
        algorithm = Zogy() if name == "proper" else None
        difference = difference_of(
            science, template, constant(KERNEL), whitened=whitened and name != "proper", algorithm=algorithm
        )
        filter_ = PRECONVOLUTIONS.make(name).filter(science) if name in PRECONVOLUTIONS else None
        found = pulls(correlated(difference, science, template, preconvolution=filter_))
        inner.append(found[INNER])
        border.append(
            np.concatenate([found[:3].ravel(), found[-3:].ravel(), found[:, :3].ravel(), found[:, -3:].ravel()])
        )
    assert np.std(inner) == pytest.approx(1.0, abs=0.04)
    assert abs(np.mean(inner)) < 0.06
    known = np.concatenate(border)
    assert np.isfinite(known).mean() > 0.6
    assert np.nanstd(known) == pytest.approx(1.0, abs=0.16)


def test_equal_signal_to_noise_whichever_image_was_convolved(rng):
    """Science convolved, which sharpens nothing: flux scale and unit scatter as with the template convolved."""
    science, template = noise_pair(rng, widths=(TEMPLATE, SCIENCE))
    difference = difference_of(science, template, constant(2.0 * KERNEL), convolved="science")
    found = correlated(difference, science, template)
    assert np.std(pulls(found)[INNER]) == pytest.approx(1.0, abs=0.05)
    bright = with_source(science, 170.0, 160.0, 5e4)
    again = correlated(
        replace(difference_of(bright, template, constant(2.0 * KERNEL), convolved="science")), bright, template
    )
    seen = difference.exposure.psf.kernel_image(x=170, y=160)
    gained = again.masked_image.image[160, 170] - found.masked_image.image[160, 170]
    assert gained == pytest.approx(5e4 * (seen**2).sum(), rel=0.01)


@pytest.mark.parametrize("depth", [0.05, 1.0])
def test_a_source_has_the_signal_to_noise_of_theory(depth, rng):
    """What a source of flux F adds to score / sigma is F times √Σ |P_S P_T|² / (V_S |P_T|² + V_T |P_S|²), the bound of
    Zackay, Ofek & Gal-Yam (2016), and F √(Σ P² / V) where the template has no noise; to 1%, for the noise adds nothing
    to a difference of two scores.
    """
    science, template = noise_pair(rng, template=10.0 * depth)
    kernel, flux = constant(KERNEL), 3e4
    filter_ = PsfFilter().filter(science)
    scores = [
        pulls(correlated(difference_of(image, template, kernel), image, template, preconvolution=filter_))
        for image in (science, with_source(science, 150.0, 140.0, flux))
    ]
    p_s, p_t = (np.abs(np.fft.fft2(gaussian(sigma), (128, 128))) ** 2 for sigma in (SCIENCE, TEMPLATE))
    bound = flux * np.sqrt((p_s * p_t / (100.0 * p_t + (10.0 * depth) ** 2 * p_s)).mean())
    gained = scores[1][140, 150] - scores[0][140, 150]
    assert gained == pytest.approx(bound, rel=0.01)
    if depth < 0.1:
        assert gained == pytest.approx(flux * np.sqrt((gaussian(SCIENCE) ** 2).sum() / 100.0), rel=0.015)


def coma(size=STAMP):
    """A kernel with a tail towards +x and +y that fades within 6 px, as coma or a tracking error leave."""
    half = size // 2
    y, x = np.mgrid[-half : half + 1, -half : half + 1].astype(float)
    image = sum(
        np.exp(-k / 6.0 - 0.5 * ((x - 0.9 * k) ** 2 + (y - 0.44 * k) ** 2) / 0.8**2) for k in np.arange(0.0, 16.0, 0.5)
    )
    return image / image.sum()


def test_an_asymmetric_psf_is_correlated_not_convolved(rng):
    """A coma tail: the true matched filter peaks on the source, to 0.05 px by noise, and has the S/N of theory; the PSF
    that is not mirrored loses S/N and has its peak more than a pixel off.
    """
    kernel = constant(coma())
    psf = convolved_in_full(gaussian(1.0), coma())[20:-20, 20:-20]
    blank, template = noise_pair(rng, template=0.5, widths=(SCIENCE, 1.0))
    blank = replace(blank, psf=PolynomialPsf.constant(psf, BOX))
    x, y, flux = 150.0, 140.0, 5e4
    science = with_source(blank, x, y, flux)
    right = PsfFilter().filter(science)
    wrong = constant(right.image_at(x=x, y=y)[::-1, ::-1])
    peaks, gains = [], []
    for filter_ in (right, wrong):
        scores = [
            correlated(difference_of(image, template, kernel), image, template, preconvolution=filter_)
            for image in (science, blank)
        ]
        gains.append((pulls(scores[0]) - pulls(scores[1]))[120:160, 130:170].max())
        found = detect(scores[0], algorithm=ScoreThreshold()).footprints.peaks
        peaks.append((found.x[0], found.y[0]))
    assert np.hypot(peaks[0][0] - x, peaks[0][1] - y) < 0.05
    assert np.hypot(peaks[1][0] - x, peaks[1][1] - y) > 1.0
    theory = flux * np.sqrt((psf**2).sum() / 100.0)
    assert gains[0] == pytest.approx(theory, rel=0.01)
    assert gains[1] < 0.92 * gains[0]


def varying_psf(box):
    """Widens from 1.5 to 2.3 px across the image."""
    narrow, wide = gaussian(1.5), gaussian(2.3)
    return PolynomialPsf(ImageField(np.stack([0.5 * (narrow + wide), 0.5 * (wide - narrow), 0.0 * wide]), box))


@pytest.mark.parametrize("name", list(PRECONVOLUTIONS))
def test_a_varying_psf_is_followed_without_seams(name, rng):
    """Unit scatter on the left and on the right, S/N of the PSF there, and no column that stands out."""
    shape, found = (400, 500), []
    box = Box.from_shape(shape)
    blank, template = noise_pair(rng, template=0.5, shape=shape)
    blank = replace(blank, psf=varying_psf(box))
    places, flux = ((60.0, 200.0), (440.0, 200.0)), 3e4
    bright = blank
    for x, y in places:
        bright = with_source(bright, x, y, flux)
    filter_ = PRECONVOLUTIONS.make(name).filter(blank)
    identity = constant(np.ones((1, 1)), box)
    for image in (blank, bright):
        difference = difference_of(image, template, identity)
        found.append(pulls(correlated(difference, image, template, preconvolution=filter_)))
    for x, y in places:
        sharpness = (blank.psf.kernel_image(x=x, y=y) ** 2).sum()
        gained = found[1][int(y), int(x)] - found[0][int(y), int(x)]
        # the Gaussian is not quite the sum of two Gaussians that this PSF is in between
        assert gained == pytest.approx(flux * np.sqrt(sharpness / 100.25), rel=0.01 if name == "psf" else 0.02)
    columns = (found[0][20:-20, 20:-20] ** 2).mean(axis=0)
    # 360 values a column, of which one in 2 √π σ is independent: an error of 20%, five allowed
    assert abs(columns - 1.0).max() < 1.0
    assert abs(np.diff(columns)).max() < 0.3
    assert np.nanstd(found[0][:, :170]) == pytest.approx(np.nanstd(found[0][:, -170:]), rel=0.12)


def test_masked_pixels_count_for_nothing(rng):
    """Beside a saturated block, a column of cosmic rays and a hole of the template: unit scatter, no peak above 5.5, no
    score inside the large ones, a score across the narrow one.
    """
    science, template = noise_pair(rng, template=5.0)
    science = masked(science, slice(100, 130), slice(100, 140), MaskPlane.SAT, 3e4)
    science = masked(science, slice(20, 300), slice(200, 201), MaskPlane.CR, 1e5)
    template = masked(template, slice(200, 230), slice(60, 100), MaskPlane.NO_DATA)
    difference = difference_of(science, template, constant(KERNEL))
    score = correlated(difference, science, template, preconvolution=PsfFilter().filter(science))
    found = pulls(score)
    assert np.isnan(found[106:124, 106:134]).all()
    assert np.isnan(found[206:224, 66:94]).all()
    assert np.isfinite(found[20:300, 195:206]).all()
    assert np.nanmax(np.abs(found)) < 5.5
    beside = np.concatenate([found[20:300, 197:204].ravel(), found[96:100, 100:140].ravel()])
    assert np.nanstd(beside) == pytest.approx(1.0, abs=0.15)
    planes = score.masked_image
    assert ((planes.mask[~np.isfinite(planes.image)] & int(MaskPlane.NO_DATA)) != 0).all()
    assert planes.usable().sum() == np.isfinite(planes.image).sum()


def test_its_psf_is_what_a_source_looks_like_on_it(rng):
    """The score of a source, over its own maximum, is the score's PSF over its own: to 1%."""
    science, template = noise_pair(rng, template=8.0)
    science = with_source(science, 170.0, 160.0, 1e7)
    score = correlated(difference_of(science, template, constant(KERNEL)), science, template)
    seen = score.masked_image.image[150:171, 160:181]
    psf = score.psf.kernel_image(x=170, y=160)
    middle = psf.shape[0] // 2
    expected = psf[middle - 10 : middle + 11, middle - 10 : middle + 11]
    np.testing.assert_allclose(seen / seen.max(), expected / expected.max(), atol=0.01)
    assert score.psf.sigma_at(x=170, y=160) == pytest.approx(np.sqrt(2) * SCIENCE, rel=0.1)


def test_a_preconvolved_image_knows_its_noise_and_its_psf(rng):
    """Variance within 4%, correlation of neighbours to 0.02, of 1e5 pixels; PSF √2 times as wide; the images it was
    made of are as they were.
    """
    science, _ = noise_pair(rng)
    science = masked(science, slice(100, 110), slice(100, 110), MaskPlane.SAT, 1e5)
    before = science.masked_image.image.copy()
    smooth = preconvolve(science, PsfFilter().filter(science))
    np.testing.assert_array_equal(science.masked_image.image, before)
    planes = smooth.masked_image
    good = planes.usable()
    assert 0 < (~good).sum() < 400
    pull = np.where(good, planes.image / np.sqrt(planes.variance), 0.0)[INNER]
    assert np.std(pull) == pytest.approx(1.0, abs=0.04)
    rho, middle = smooth.noise_correlation, smooth.noise_correlation.shape[0] // 2
    for dx, dy in ((1, 0), (0, 2), (3, 0)):
        measured = (pull[: pull.shape[0] - dy, : pull.shape[1] - dx] * pull[dy:, dx:]).mean() / (pull**2).mean()
        assert measured == pytest.approx(rho[middle + dy, middle + dx], abs=0.04)
    assert smooth.psf.sigma_at(x=100, y=100) == pytest.approx(np.sqrt(2) * SCIENCE, rel=0.005)


def test_a_gaussian_stands_for_the_psf_by_its_noise_equivalent_area():
    """Of one ΣP²; on a stamp of the PSF's size, of unit sum."""
    blank = exposure("science", np.zeros((60, 60)), 1.0, SCIENCE, np.random.default_rng(1))
    psf = PolynomialPsf.constant(coma(), blank.box)
    image = GaussianFilter().profile(psf, x=30, y=30)
    assert image.shape == (STAMP, STAMP)
    assert image.sum() == pytest.approx(1.0)
    assert (image**2).sum() == pytest.approx((coma() ** 2).sum(), rel=0.01)


def test_a_template_can_be_matched_up_to_root_two_of_the_science_image(rng):
    science, _ = noise_pair(rng)
    filter_ = PsfFilter().filter(science)
    for sigma, can in ((1.0, True), (SCIENCE, True), (1.39 * SCIENCE, True), (1.43 * SCIENCE, False)):
        assert can_be_matched(replace(science, psf=GaussianPsf(sigma, STAMP)), science, filter_) == can
    assert not can_be_matched(replace(science, psf=None), science, filter_)


def test_a_psf_is_needed(rng):
    science, template = noise_pair(rng)
    difference = difference_of(science, template, constant(KERNEL))
    bare = replace(difference, exposure=replace(difference.exposure, psf=None))
    with pytest.raises(PsfUndefinedError, match="science has no PSF; a score needs one"):
        correlated(bare, science, template)
    with pytest.raises(PsfUndefinedError, match="science has no PSF; a score image needs one"):
        PsfFilter().filter(replace(science, psf=None))


def test_threads_change_no_bit(rng):
    sky = Sky(shape=SHAPE, n_stars=12)
    science, template = sky.exposures(rng, sky.stars(rng))
    difference = difference_of(science, template, constant(KERNEL))
    filter_ = PsfFilter().filter(science)
    one, two = (
        correlated(difference, science, template, preconvolution=filter_, n_threads=n).masked_image for n in (1, 2)
    )
    for plane in ("image", "mask", "variance"):
        np.testing.assert_array_equal(getattr(one, plane), getattr(two, plane))
