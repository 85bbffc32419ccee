"""The acceptance bars of the subtraction (SPEC N, difference mode and decorrelation), at their tolerance or tighter.

Each is measured on the usable pixels; where the original asks for finite ones all must be.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from astropy.wcs import WCS

from diapipe.errors import InputError, NoOverlapError, NoWorkError, PsfUndefinedError, TooFewStarsError
from diapipe.flow import difference_pair
from diapipe.images import (
    UNUSABLE_DIFFERENCE,
    Box,
    ChebyshevField,
    GaussianPsf,
    MaskedImage,
    MaskPlane,
    ObservationInfo,
    PhotoCalib,
    SpatialKernel,
)
from diapipe.images.fields import ImageField
from diapipe.images.psf import PolynomialPsf
from diapipe.simulate import PairSpec, simulate_pair
from diapipe.steps.characterize import scale_variance
from diapipe.steps.decorrelate import Afterburner, decorrelate
from diapipe.steps.subtract import subtract
from gaussian_sky import exposure, masked, star_list, with_planes
from made_images import BAD, GOOD, MIDDLE, SIDE, made_difference, made_image, made_pair, made_stars, with_variance

NOISES = [(1.0, 1.0), (1.0, 0.1), (0.1, 0.1)]


def seen(difference):
    """Pixels and variances where the difference is usable."""
    planes = difference.exposure.masked_image
    good = planes.usable(UNUSABLE_DIFFERENCE)
    return planes.image[good].astype(float), planes.variance[good].astype(float)


def assert_noise(difference, expected, *, scatter=0.10, plane=0.10):
    """Mean of zero to five errors; scatter and variance plane as expected, the plane by what went into it: a factor
    that brings it to the scatter of the pixels would hide that it is wrong.
    """
    assert difference.variance_factor == pytest.approx(1.0, abs=0.05)
    values, variance = seen(difference)
    assert np.isfinite(difference.exposure.masked_image.image).all()
    assert abs(values.mean()) < 5.0 * expected / np.sqrt(len(values))
    assert values.std() == pytest.approx(expected, rel=scatter)
    assert variance.mean() == pytest.approx(expected**2, rel=plane)


@pytest.mark.parametrize("seed", [6, 16])
def test_equal_images(seed):
    """Scatter √2 σ_n to 3% (its bar is 10%; 65,000 pixels tell it to 0.3%, what the fitted kernel adds is below 2%)."""
    difference, _ = made_difference(*made_pair(seed=seed))
    assert_noise(difference, np.sqrt(2.0), scatter=0.03, plane=0.05)


def test_equal_images_without_optional_mask_planes():
    """Planes that say nothing against a pixel change no bit of the difference, whether they are set or not."""
    science, template, stars = made_pair()
    optional = MaskPlane.DETECTED | MaskPlane.SUSPECT | MaskPlane.INTRP | MaskPlane.INJECTED
    with_them = [masked(e, slice(50, 90), slice(60, 99), optional, 0.0) for e in (science, template)]
    with_them = [
        with_planes(e, image=plain.masked_image.image) for e, plain in zip(with_them, (science, template), strict=True)
    ]
    one, _ = made_difference(science, template, stars)
    other, _ = made_difference(*with_them, stars)
    np.testing.assert_array_equal(one.exposure.masked_image.image, other.exposure.masked_image.image)
    np.testing.assert_array_equal(one.exposure.masked_image.variance, other.exposure.masked_image.variance)


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize(
    ("science", "template", "convolved"),
    [(MIDDLE, GOOD, "template"), (GOOD, MIDDLE, "science"), (BAD, GOOD, "template")],
)
def test_the_better_image_is_convolved(science, template, convolved, noise):
    """Template or science better, at three noises: scale factors of the variance 1 to 0.05, scatter and variance plane
    σ_s² + σ_t² to 3% and 5% (bars 10%).
    """
    images = made_pair(science=science, template=template, noise=noise)
    for image in images[:2]:
        assert scale_variance(image.masked_image).factor == pytest.approx(1.0, abs=0.05)
    difference, found = made_difference(*images)
    assert found.convolved == convolved
    assert_noise(difference, np.hypot(*noise), scatter=0.03, plane=0.05)


@pytest.mark.parametrize(("science", "template", "convolved"), [(MIDDLE, GOOD, "template"), (GOOD, MIDDLE, "science")])
def test_auto_is_the_explicit_mode(science, template, convolved):
    """Bit for bit."""
    images = made_pair(science=science, template=template)
    found = [made_difference(*images, convolve=mode)[0].exposure.masked_image for mode in ("auto", convolved)]
    for plane in ("image", "mask", "variance"):
        np.testing.assert_array_equal(*(getattr(planes, plane) for planes in found))


def test_symmetry():
    """D(S, T) - D(T, S) is twice S - T: mean zero to five errors, scatter 2 √2 σ_n to 2% (bar 10%). And D(S, T) +
    D(T, S), which the original does not look at, is below 5% of the noise.
    """
    sharp, wide = made_image(sigma=GOOD, seed=6), made_image(sigma=MIDDLE, seed=7, name="template")
    stars = star_list(*made_stars(), noise=1.0, sigma=GOOD)
    one, other = (
        made_difference(*pair, stars)[0].exposure.masked_image.image.astype(float)
        for pair in ((sharp, wide), (wide, sharp))
    )
    expected = 2.0 * np.sqrt(2.0)
    assert abs((one - other).mean()) < 5.0 * expected / SIDE
    assert (one - other).std() == pytest.approx(expected, rel=0.02)
    assert (one + other).std() < 0.05 * np.sqrt(2.0)


def test_order_of_equal_images():
    """Equal PSFs: either image convolved gives science minus template at every pixel to 5 σ_n; each other to 10 σ_n."""
    science, template, stars = made_pair()
    plain = science.masked_image.image - template.masked_image.image
    both = [
        made_difference(science, template, stars, convolve=mode)[0].exposure.masked_image.image
        for mode in ("template", "science")
    ]
    assert max(abs(image - plain).max() for image in both) < 5.0
    assert abs(both[0] - both[1]).max() < 10.0


@pytest.mark.parametrize("sigma", [1.0, 2.0, 2.8, 5.0])
def test_psf_width(sigma):
    """2.3548 sigma to 0.2% (bar 1%), the same to 1e-13 at every place of a PSF that does not vary; of a PSF that widens
    the width of the place.
    """
    psf, middle = GaussianPsf(sigma, 2 * round(6 * sigma) + 1), 2.0 * np.sqrt(2.0 * np.log(2.0)) * sigma
    assert psf.fwhm_at(x=0, y=0) == pytest.approx(middle, rel=0.002)
    for x, y in ((3.7, 100.2), (-40.0, 1e4), (0.5, 0.5)):
        assert psf.fwhm_at(x=x, y=y) == pytest.approx(psf.fwhm_at(x=0, y=0), rel=1e-13)
    stamp, wider = (GaussianPsf(s, 61).kernel_image(x=0, y=0) for s in (sigma, 1.2 * sigma))
    box = Box.from_shape((100, 200))
    varying = PolynomialPsf(ImageField(np.stack([0.5 * (stamp + wider), 0.5 * (wider - stamp), 0.0 * stamp]), box))
    ends = [varying.fwhm_at(x=x, y=50) for x in (box.x0 - 0.5, box.x1 - 0.5)]
    assert ends[0] == pytest.approx(middle, rel=0.01)
    assert ends[1] == pytest.approx(1.2 * middle, rel=0.01)


def test_undefined_psfs():
    """Without a PSF, or with one that is defined nowhere, it is said."""
    science, template, stars = made_pair()
    with pytest.raises(InputError, match="must both have a PSF"):
        made_difference(replace(science, psf=None), template, stars)
    nowhere = PolynomialPsf(ImageField(np.zeros((1, 21, 21)), science.box))
    with pytest.raises(PsfUndefinedError):
        made_difference(replace(science, psf=nowhere), template, stars)


def test_few_sources():
    """One source is not enough for a kernel: told with both numbers."""
    science, template, stars = made_pair()
    with pytest.raises(TooFewStarsError, match=r"1 source .* 3 are needed") as error:
        made_difference(science, template, stars.select(np.arange(len(stars)) == 0))
    assert error.value.context["found"] == 1


@pytest.mark.parametrize("n_stars", [20, 48])
def test_background_subtraction(n_stars):
    """A Chebyshev background of six terms: what is subtracted is it to 0.15 counts rms (of 1.9; bar 30%), the scatter
    √2 σ_n to 3% (bar 10%). With 48 stars the fit itself has its coefficients to 10% or 0.1; with the 20 of the fixture
    it has three, and the rest is found on the difference, beyond the last cells as a straight line. The sum of the
    kernel, which cannot be told from a level in the stamps, is 10% low then, and the scatter 5%.
    """
    v, u = np.meshgrid(np.linspace(-1, 1, SIDE), np.linspace(-1, 1, SIDE), indexing="ij")
    truth = np.array([2.2, 2.1, 2.0, 1.2, 1.1, 1.0])
    terms = [np.ones_like(u), u, v, 2 * u**2 - 1, u * v, 2 * v**2 - 1]
    level = np.tensordot(truth, np.stack(terms), axes=1)
    difference, found = made_difference(*made_pair(light=level, stars=made_stars(n=n_stars)))
    if n_stars == 48:
        np.testing.assert_allclose(found.background.coefficients, truth, rtol=0.10, atol=0.1)
    assert np.std(difference.level - level) < 0.15
    few = n_stars < 24
    assert_noise(difference, np.sqrt(2.0), scatter=0.10 if few else 0.03, plane=0.15 if few else 0.05)


INFLATED = 1.345


@pytest.mark.parametrize("whitened", [True, False])
@pytest.mark.parametrize("which", ["science", "template", "both", "none"])
def test_scaled_variances(which, whitened):
    """Variances claimed 1.345 times too large: the factor is found to 0.05, and the difference of the scaled images has
    σ_s² + σ_t², or, unwhitened, what the kernel leaves of it; not scaled it claims too much by as much as was added.
    """
    science, template, stars = made_pair(template=GOOD)
    wrong = [with_variance(image, INFLATED if which in (image.name, "both") else 1.0) for image in (science, template)]
    scaled = []
    for image, name in zip(wrong, ("science", "template"), strict=True):
        found = scale_variance(image.masked_image)
        assert found.factor == pytest.approx(1.0 / INFLATED if which in (name, "both") else 1.0, abs=0.05)
        scaled.append(replace(image, masked_image=found.masked_image))
    decorrelator = Afterburner() if whitened else None
    difference, found = made_difference(*scaled, stars, decorrelator=decorrelator)
    kernel = found.kernel.image_at(x=128, y=128)
    expected = 2.0 if whitened else 1.0 + (kernel**2).sum()
    values, variance = seen(difference)
    assert variance.mean() == pytest.approx(expected, rel=0.05)
    assert values.var() == pytest.approx(expected, rel=0.05)
    if which == "both":
        claimed, _ = made_difference(*wrong, stars, decorrelator=decorrelator)
        assert seen(claimed)[1].mean() == pytest.approx(INFLATED * expected, rel=0.05)


COVERAGE_SPEC = PairSpec.small(
    512, n_stars=120, n_transients=4, transient_min_snr=15.0, star_brightest_mag=15.5, misregistration_px=0.0
)


@pytest.fixture(scope="module")
def pair():
    return simulate_pair(COVERAGE_SPEC, rng=np.random.default_rng(11))


@pytest.mark.parametrize("covered", [0.09, 0.15, 0.7])
def test_incomplete_template_coverage(pair, covered):
    """Of 9% no work is made, with both numbers. 15%, at which the original gives up, and 70% are fine: noise as claimed
    where there is a template, and nothing is found where there is none.
    """
    height = pair.template.box.height
    edge = round((1.0 - covered) * height)
    template = masked(pair.template, slice(0, edge), slice(None), MaskPlane.NO_DATA)
    if covered < 0.1:
        with pytest.raises(NoOverlapError, match="at least 10% are needed"):
            difference_pair(pair.science, template)
        return
    result = difference_pair(pair.science, template)
    blank = (result.difference.exposure.masked_image.mask & int(MaskPlane.NO_DATA_TEMPLATE)) != 0
    assert blank.mean() == pytest.approx(1.0 - covered, abs=0.05)
    values, variance = seen(result.difference)
    # 40,000 pixels and more tell it to 0.4%; residuals of bright stars stay out of the quartiles
    assert 0.7413 * np.ptp(np.percentile(values / np.sqrt(variance), [25, 75])) == pytest.approx(1.0, abs=0.05)
    rows, columns = (np.rint(np.asarray(result.dia_sources[name])).astype(int) for name in ("y", "x"))
    good = ~np.asarray(result.dia_sources["dp_bad"], bool)
    assert not blank[rows, columns][good].any()


@pytest.mark.parametrize("covered", [0.15, 0.7])
def test_a_template_without_stars_under_it_is_no_work(covered):
    """Covered in part, but where no star of the kernel is: too few stars, which is no work and no crash."""
    science, template, stars = made_pair(template=GOOD)
    edge = round((1.0 - covered) * SIDE)
    part = masked(template, slice(0, edge), slice(None), MaskPlane.NO_DATA)
    with pytest.raises(TooFewStarsError, match="are needed") as error:
        made_difference(science, part, stars.select(stars.y < edge - 30))
    assert isinstance(error.value, NoWorkError)


@pytest.mark.parametrize(("science", "template"), [(MIDDLE, GOOD), (GOOD, MIDDLE)])
def test_planes_of_the_template_are_kept_under_their_names_and_those_of_science_survive(science, template):
    """Every plane of the template becomes ``*_TEMPLATE``, none is lost; those of the science image stay."""
    first, second, stars = made_pair(science=science, template=template)
    planes = [MaskPlane.BAD, MaskPlane.SAT, MaskPlane.CR, MaskPlane.NO_DATA, MaskPlane.STREAK, MaskPlane.SUSPECT]
    for k, plane in enumerate([*planes, MaskPlane.INTRP, MaskPlane.DETECTED]):
        rows = slice(20 + 20 * k, 23 + 20 * k)
        first = masked(first, rows, slice(60, 63), plane, first.masked_image.image[rows, 60:63])
        second = masked(second, rows, slice(160, 163), plane, second.masked_image.image[rows, 160:163])
    mask = made_difference(first, second, stars)[0].exposure.masked_image.mask
    of_science, of_template = first.masked_image.mask, second.masked_image.mask
    assert ((mask & of_science) == of_science).all()
    renamed = np.array([int(MaskPlane(int(bits)).of_template) for bits in of_template.ravel()]).reshape(mask.shape)
    assert ((mask & renamed) == renamed).all()
    # what a template does not make unusable is where it was, and nowhere else
    for plane in (MaskPlane.SUSPECT, MaskPlane.INTRP, MaskPlane.DETECTED):
        np.testing.assert_array_equal((mask & int(plane.of_template)) != 0, (of_template & int(plane)) != 0)
        np.testing.assert_array_equal((mask & int(plane)) != 0, (of_science & int(plane)) != 0)


@pytest.mark.parametrize(("science", "template"), [(MIDDLE, GOOD), (GOOD, MIDDLE)])
def test_injected_pixels_are_not_dilated(science, template):
    """INJECTED and INJECTED_TEMPLATE are exactly the pixels that the inputs have."""
    first, second, stars = made_pair(science=science, template=template)
    first = with_planes(first, mask=_blot(first, 40, 50))
    second = with_planes(second, mask=_blot(second, 44, 53))
    mask = made_difference(first, second, stars)[0].exposure.masked_image.mask
    for plane, image in ((MaskPlane.INJECTED, first), (MaskPlane.INJECTED_TEMPLATE, second)):
        np.testing.assert_array_equal((mask & int(plane)) != 0, image.masked_image.mask != 0)


def _blot(image, y, x):
    mask = np.zeros(image.box.shape, np.int32)
    mask[y : y + 9, x : x + 9] = mask[200:202, 10:240] = int(MaskPlane.INJECTED)
    return mask


@pytest.mark.parametrize("whitened", [True, False])
@pytest.mark.parametrize(("science", "template"), [(MIDDLE, GOOD), (GOOD, MIDDLE)])
def test_properties_of_the_exposure(science, template, whitened):
    """WCS, filter, calibration and aperture corrections are those of the science image, exactly; so is the PSF, or that
    of the template where the science image was convolved, unless it was whitened: then a star's flux fitted with it is
    unbiased, which the original does not test.
    """
    first, second, stars = made_pair(science=science, template=template)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [10.0, -5.0], [-5e-5, 5e-5]
    first = replace(
        first,
        wcs=wcs,
        info=ObservationInfo(band="r", visit=7),
        photo_calib=PhotoCalib(3.7),
        aperture_corrections={"psfFlux": ChebyshevField.constant(0.98, first.box)},
    )
    decorrelator = Afterburner() if whitened else None
    found, _ = made_difference(first, second, stars, decorrelator=decorrelator)
    result = found.exposure
    assert result.wcs is wcs
    assert result.info == first.info
    assert result.photo_calib == first.photo_calib
    assert result.aperture_corrections == first.aperture_corrections
    reference = first if template == GOOD else second
    if whitened:
        assert not np.array_equal(result.psf.kernel_image(x=9, y=9), reference.psf.kernel_image(x=9, y=9))
    else:
        np.testing.assert_array_equal(result.psf.kernel_image(x=9, y=9), reference.psf.kernel_image(x=9, y=9))


def test_a_template_of_another_band_is_refused(pair):
    """Told with both bands; unknown and equal bands pass, of whatever case."""

    def of(exposure_, band):
        return replace(exposure_, info=replace(exposure_.info, band=band))

    with pytest.raises(InputError, match=r"band r .* band g"):
        difference_pair(of(pair.science, "r"), of(pair.template, "g"))
    assert len(difference_pair(of(pair.science, "R"), of(pair.template, "r")).dia_sources) > 0


WIDE, SHARP = 3.3, 2.2
VARIANCES = [(0.04, 0.04), (0.04, 0.08), (0.08, 0.04), (0.08, 0.08)]


def known_difference(svar, tvar, *, whitened, varying=False, side=400, seed=3):
    """Noise alone, of PSFs 3.3 and 2.2 px, with the kernel that is true."""
    rng = np.random.default_rng(seed)
    nothing = np.zeros((side, side))
    science = exposure("science", nothing, np.sqrt(svar), WIDE, rng)
    template = exposure("template", nothing, np.sqrt(tvar), SHARP, rng)
    width = np.sqrt(WIDE**2 - SHARP**2)
    image = GaussianPsf(width, 31).kernel_image(x=0, y=0)
    images = np.stack([image, 0.0 * image, 0.0 * image]) if varying else image[None]
    kernel = SpatialKernel(ImageField(images, science.box))
    whitening = decorrelate(template, science, kernel, algorithm=Afterburner(cells=6 if varying else 1))
    level = ChebyshevField.constant(0.0, science.box)
    return subtract(science, template, kernel, level, convolved="template", whitening=whitening if whitened else None)


@pytest.mark.parametrize(("svar", "tvar"), VARIANCES)
def test_decorrelated_variance(svar, tvar):
    """Uncorrected the difference scatters less than it should; corrected σ_s² + σ_t² in pixels (5%, here 2%: 1.6e5 of
    them tell it to 0.4%) and in the plane (2%), the two alike, on a grid of cells as in one (3%).
    """
    plain, _ = seen(known_difference(svar, tvar, whitened=False))
    assert plain.var() < 0.8 * (svar + tvar)
    found = known_difference(svar, tvar, whitened=True)
    assert found.variance_factor == pytest.approx(1.0, abs=0.01)
    values, variance = seen(found)
    assert values.var() == pytest.approx(svar + tvar, rel=0.02)
    assert variance.mean() == pytest.approx(svar + tvar, rel=0.02)
    assert values.var() == pytest.approx(variance.mean(), rel=0.02)
    varying, _ = seen(known_difference(svar, tvar, whitened=True, varying=True))
    assert varying.var() == pytest.approx(values.var(), rel=0.005)


def test_decorrelated_noise_of_a_noisy_template():
    """Variances of 1 and 100: neighbours correlate by more than 0.2 up to 3 px before, by less than 0.03 at any lag of
    1 to 3 px after (bar 0.1; the gain of the filter is bounded).
    """
    for whitened in (False, True):
        found = known_difference(1.0, 100.0, whitened=whitened).exposure.masked_image.image[20:-20, 20:-20]
        power = np.abs(np.fft.fft2(found - found.mean())) ** 2
        rho = np.fft.ifft2(power).real
        rho /= rho[0, 0]
        near = [abs(rho[dy, dx]) for dy in range(4) for dx in range(4) if dy or dx]
        if whitened:
            assert max(near) < 0.03
        else:
            assert min(rho[0, 1], rho[0, 3], rho[1, 0], rho[3, 0]) > 0.2


@pytest.mark.parametrize("convolved", ["template", "science"])
def test_psf_fluxes_on_the_decorrelated_difference(convolved):
    """Vacuous in the original, which checks the noise alone: the flux of a source fitted with the PSF of the difference
    is unbiased to 0.5%, matched and subtracted with a kernel that was found and not given.
    """
    sigmas = (MIDDLE, GOOD) if convolved == "template" else (GOOD, MIDDLE)
    x, y, flux = made_stars(n=60, flux=(3e3, 3e4))
    science, template, stars = made_pair(science=sigmas[0], template=sigmas[1], stars=(x, y, flux), noise=(1.0, 0.5))
    at_x, at_y = 61.3, 130.7
    near = np.hypot(x - at_x, y - at_y).min()
    assert near > 6
    light = np.zeros(science.box.shape)
    cut = Box.around(x=at_x, y=at_y, half=20)
    light[cut.slices_in(science.box)] += 1e5 * science.psf.image_at(x=at_x, y=at_y)
    bright = with_planes(science, image=(science.masked_image.image + light).astype(np.float32))
    difference, found = made_difference(science, template, stars)
    assert found.convolved == convolved
    other = subtract(
        bright,
        template,
        found.kernel,
        found.background,
        convolved=found.convolved,
        whitening=difference.whitening,
    )
    gained = other.exposure.masked_image.image - difference.exposure.masked_image.image
    profile = difference.exposure.psf.image_at(x=at_x, y=at_y)
    weight = 1.0 / difference.exposure.masked_image.variance[cut.slices_in(science.box)].astype(float)
    measured = (weight * profile * gained[cut.slices_in(science.box)]).sum() / (weight * profile**2).sum()
    assert measured == pytest.approx(1e5, rel=0.005)


def test_the_box_of_the_images_does_not_matter():
    """Away from the origin the difference is the same to 1e-4 of the noise, its kernel to 1e-4 of its peak."""
    science, template, stars = made_pair(template=GOOD)
    here, kernel = made_difference(science, template, stars)
    moved = [
        replace(
            image,
            masked_image=MaskedImage(
                image.masked_image.image, image.masked_image.mask, image.masked_image.variance,
                Box.from_shape((SIDE, SIDE), x0=1000, y0=500),
            ),
        )
        for image in (science, template)
    ]  # fmt: skip
    there, other = made_difference(*moved, replace(stars, x=stars.x + 1000, y=stars.y + 500))
    np.testing.assert_allclose(there.exposure.masked_image.image, here.exposure.masked_image.image, atol=1e-4)
    np.testing.assert_array_equal(there.exposure.masked_image.mask, here.exposure.masked_image.mask)
    for x, y in ((0.0, 0.0), (128.0, 30.0), (255.0, 255.0)):
        expected = kernel.kernel.image_at(x=x, y=y)
        np.testing.assert_allclose(other.kernel.image_at(x=x + 1000, y=y + 500), expected, atol=1e-4 * expected.max())
