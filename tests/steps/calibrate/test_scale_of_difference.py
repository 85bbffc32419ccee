"""scale_of_difference: fluxes on a difference are on the scale of its template, whatever calibration and PSFs say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from diapipe.images import Box, ChebyshevField, GaussianPsf, PhotoCalib, PolynomialPsf, SpatialKernel
from diapipe.images.fields import ImageField
from diapipe.numerics.psf_overlap import psf_flux
from diapipe.steps.calibrate import KernelScale, scale_of_difference
from diapipe.steps.decorrelate import Afterburner, decorrelate
from diapipe.steps.subtract import Zogy, subtract
from gaussian_sky import STAMP, Sky, drawn, with_planes

SKY = Sky(shape=(240, 260), n_stars=30, noise_science=1.0, noise_template=0.5, template_scale=4.0)
"""Of 4 nJy a count; the noise of 30 stars of 5e3 to 2e5 counts is 4e-4 of their mean flux at most."""
NJY_PER_COUNT, NEW_AT, NEW_FLUX = 4.0, (111.3, 130.6), 1e5
TURNED = replace(SKY, sigma_science=SKY.sigma_template, sigma_template=SKY.sigma_science)
BOX = Box.from_shape(SKY.shape)
EXACT = 2e-3
"""Three errors of the kernel at 30 stars, and what of the PSFs lies beyond their stamps."""


def with_halo(sigma, share):
    """A PSF model that takes light of others for wings of its stars, and the flux that it finds in one without."""
    true = GaussianPsf(sigma, STAMP).kernel_image(x=0, y=0)
    image = (1 - share) * true + share * GaussianPsf(7.0, STAMP).kernel_image(x=0, y=0)
    return PolynomialPsf(ImageField(image[None], BOX)), psf_flux(true, image)


def kernel_of(sky, convolved, error=0.0):
    """The kernel between the images, its flux too small by an error."""
    widths = sorted((sky.sigma_science, sky.sigma_template))
    image = GaussianPsf(np.sqrt(widths[1] ** 2 - widths[0] ** 2), 21).kernel_image(x=0, y=0)
    ratio = 1.0 / sky.template_scale if convolved == "template" else sky.template_scale
    return SpatialKernel.constant((1.0 - error) * ratio * image, BOX)


def made(convolved="template", *, halo=(0.0, 0.0), error=0.0, zogy=False, corrections=(1.0, 1.0), calib=NJY_PER_COUNT):
    """A difference with a new star, its template, and the stars of the kernel."""
    sky, rng = SKY if convolved == "template" else TURNED, np.random.default_rng(5)
    stars = sky.stars(rng)
    science, template = sky.exposures(rng, stars)
    new = drawn(sky.shape, *np.array(NEW_AT)[:, None], np.array([NEW_FLUX]), sigma=sky.sigma_science)
    science = with_planes(science, image=(science.masked_image.image + new).astype(np.float32))
    maps = [{"psfFlux": ChebyshevField.constant(value, BOX)} for value in corrections]
    science = replace(science, photo_calib=PhotoCalib(calib), aperture_corrections=maps[0])
    template = replace(template, unit="nJy", aperture_corrections=maps[1])
    kernel, level = kernel_of(sky, convolved, error), ChebyshevField.constant(0.0, BOX)
    target, reference = (template, science) if convolved == "template" else (science, template)
    whitening = None if zogy else decorrelate(target, reference, kernel, algorithm=Afterburner())
    science = replace(science, psf=with_halo(sky.sigma_science, halo[0])[0])
    template = replace(template, psf=with_halo(sky.sigma_template, halo[1])[0])
    algorithm = Zogy(psfs="models") if zogy else None
    found = subtract(
        science, template, kernel, level, convolved=convolved, whitening=whitening, algorithm=algorithm, stars=None
    )
    return found, template, {"x": stars.x, "y": stars.y, "flux": stars.flux, "n_sources": 100}


def flux_of_new(difference):
    """The slow, obviously right PSF flux of the new star, noise being the same everywhere."""
    psf = difference.exposure.psf.image_at(x=NEW_AT[0], y=NEW_AT[1])
    at = Box.around(x=NEW_AT[0], y=NEW_AT[1], half=len(psf) // 2).slices_in(difference.box)
    return float((difference.exposure.masked_image.image[at] * psf).sum() / (psf**2).sum())


@pytest.mark.parametrize("convolved", ["template", "science"])
@pytest.mark.parametrize("halo", [(0.0, 0.0), (0.08, 0.0), (0.08, 0.05)])
def test_a_flux_is_what_the_template_would_have(convolved, halo):
    """PSF flux on the difference times the scale is that which the template's PSF finds in the new star: its own where
    that PSF is right. What is wrong with the PSF of the science image cancels: its fluxes are 7% too large. Of a halo h
    of the template's PSF, 7 px wide, there is 2σ² / (σ² + 49) in a flux: for both widths, not the same; 0.3% for 5%.
    """
    difference, template, stars = made(convolved, halo=halo)
    found = scale_of_difference(difference, template, **stars)
    sky = SKY if convolved == "template" else TURNED
    wanted = NEW_FLUX * NJY_PER_COUNT * with_halo(sky.sigma_template, halo[1])[1]
    seen = [2 * sigma**2 / (sigma**2 + 49) for sigma in (SKY.sigma_science, SKY.sigma_template)]
    assert flux_of_new(difference) * found.kernel == pytest.approx(wanted, rel=EXACT + halo[1] * (seen[0] - seen[1]))
    if halo[0] and convolved == "template":
        assert flux_of_new(difference) * NJY_PER_COUNT > 1.02 * wanted


def test_aperture_corrections_are_those_of_the_fluxes():
    """A flux is multiplied by the correction of the image whose PSF it has; the template's catalogue by its own."""
    difference, template, stars = made(corrections=(1.03, 0.98))
    found = scale_of_difference(difference, template, **stars)
    assert 1.03 * flux_of_new(difference) * found.kernel == pytest.approx(0.98 * NEW_FLUX * NJY_PER_COUNT, rel=EXACT)


def test_what_the_kernel_leaves_of_stars_is_made_up_for():
    """With a kernel of 3% too little light: right to the second order, 0.1%, and what the noise adds."""
    difference, template, stars = made(error=0.03)
    found = scale_of_difference(difference, template, **stars)
    assert found.kernel == pytest.approx(NJY_PER_COUNT, rel=EXACT)


def test_a_proper_difference_has_the_scale_of_its_template():
    """Through the filter of the template in place of a kernel."""
    difference, template, stars = made(zogy=True)
    found = scale_of_difference(difference, template, **stars)
    assert difference.template_filter is not None
    assert flux_of_new(difference) * found.kernel == pytest.approx(NEW_FLUX * NJY_PER_COUNT, rel=2 * EXACT)


def test_errors_weigh_the_two_scales():
    """A calibration 5% off, of an error of 2%: the mean of the logarithms by inverse squares of 0.02 and 0.002 is 0.05%
    off; where the error of stars is as small, 2.5%. The difference has that, and says it.
    """
    difference, template, stars = made(calib=1.05 * NJY_PER_COUNT)
    found = scale_of_difference(difference, template, **stars, options=KernelScale(least_star_error=0.02))
    assert found.stars == 1.05 * NJY_PER_COUNT
    assert 0.002 <= found.kernel_err / found.kernel < 0.0025
    weights = np.array([found.stars_err / found.stars, found.kernel_err / found.kernel]) ** -2.0
    share = weights[0] / weights.sum()
    assert share < 0.016
    assert np.log(found.mean / found.kernel) == pytest.approx(share * np.log(found.stars / found.kernel))
    same = found.kernel_err / found.kernel
    trusting = KernelScale(least_star_error=same, neighbour_error=1e-9, max_disagreement_sigma=np.inf)
    even = scale_of_difference(difference, template, **stars, options=trusting)
    assert even.mean == pytest.approx(np.sqrt(even.stars * even.kernel))
    assert even.mean_err / even.mean == pytest.approx(same / np.sqrt(2.0))
    put = found.put_on(difference)
    assert (put.exposure.photo_calib.mean, put.exposure.photo_calib.error) == (found.mean, found.mean_err)
    assert put.exposure.metadata["nJyPerCountByStars"] == found.stars
    assert put.exposure.metadata["nJyPerCountByKernel"] == found.kernel
    assert difference.exposure.photo_calib.mean == 1.05 * NJY_PER_COUNT


def test_crowding_is_an_error_of_stars():
    """1% for each source within 2.5 FWHM, beside what the calibration claims: 100 on 240 x 260 pixels."""
    difference, template, stars = made()
    claimed = replace(difference.exposure, photo_calib=PhotoCalib(NJY_PER_COUNT, 0.01 * NJY_PER_COUNT))
    found = scale_of_difference(replace(difference, exposure=claimed), template, **stars)
    within = 100 * np.pi * (2.5 * claimed.psf.fwhm_at(x=130, y=120)) ** 2 / (240 * 260)
    assert 0.3 < within < 1.0
    assert found.stars_err / found.stars == pytest.approx(np.sqrt(0.01**2 + 0.002**2 + (0.01 * within) ** 2))


def test_another_zero_point_does_not_count():
    """A calibration 30% off, and the other way round a template that is, beside stars that are trusted."""
    difference, template, stars = made(calib=1.3 * NJY_PER_COUNT)
    found = scale_of_difference(difference, template, **stars)
    assert (found.mean, found.agree) == (pytest.approx(found.kernel), False)
    trusting = KernelScale(least_star_error=1e-4, neighbour_error=1e-9)
    assert scale_of_difference(difference, template, **stars, options=trusting).mean == pytest.approx(found.stars)


def test_a_calibration_that_varies_keeps_its_variation():
    """The scale is that of its mean."""
    difference, template, stars = made()
    field = ChebyshevField(np.array([1.0, 0.02, -0.01]), BOX)
    varying = replace(difference.exposure, photo_calib=PhotoCalib(NJY_PER_COUNT, 0.0, field))
    found = scale_of_difference(replace(difference, exposure=varying), template, **stars)
    assert found.kernel == pytest.approx(NJY_PER_COUNT, rel=EXACT)
    assert found.put_on(replace(difference, exposure=varying)).exposure.photo_calib.field is field


def test_without_what_it_needs_there_is_none():
    """A calibration of either image, counts, a PSF of the template, three stars."""
    difference, template, stars = made()

    def of(template=template, n=30, **changes):
        changed = replace(difference, exposure=replace(difference.exposure, **changes))
        few = {name: stars[name][:n] for name in ("x", "y", "flux")}
        return scale_of_difference(changed, template, **few, n_sources=100)

    assert of(photo_calib=None) is None
    assert of(unit="nJy") is None
    assert of(replace(template, unit="adu")) is None
    assert of(replace(template, psf=None)) is None
    assert of(n=2) is None
    assert of(replace(template, unit="adu", photo_calib=PhotoCalib(2.0))).kernel == pytest.approx(8.0, rel=EXACT)
