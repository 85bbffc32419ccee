"""Uneven coverage: errors of PSF fluxes where the noise of the template leaps; even images stay as they were."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.images import Box, ChebyshevField, Exposure, GaussianPsf, SpatialKernel
from diapipe.steps.decorrelate import Afterburner, decorrelate
from diapipe.steps.subtract import Zogy, subtract
from diapipe.steps.subtract.uneven import variance_for_fluxes
from gaussian_sky import STAMP, Sky, drawn, exposure, with_planes

SKY = Sky(noise_science=10.0, noise_template=10.0, shape=(620, 640), n_stars=0)
DEEP = 0.3
"""Noise of the template between the strips, in units of that in them."""
STRIPS = (np.arange(SKY.shape[0]) % 103) < 14


def thin_in_strips(rng) -> tuple[Exposure, Exposure]:
    """Empty images; the template has 11 times the variance in every seventh part of its rows, as strips of 14."""
    empty = np.zeros(SKY.shape)
    science = exposure("science", empty, SKY.noise_science, SKY.sigma_science, rng)
    template = exposure("template", empty, SKY.noise_template, SKY.sigma_template, rng)
    noise = np.where(STRIPS, 1.0, DEEP).astype(np.float32)[:, None]
    planes = template.masked_image
    return science, with_planes(template, image=planes.image * noise, variance=planes.variance * noise**2)


def subtracted(science, template, algorithm=None, n_threads=1):
    """Whitened by one kernel, as decorrelate finds it; ZOGY whitens by itself."""
    box = science.box
    image = GaussianPsf(np.sqrt(SKY.sigma_science**2 - SKY.sigma_template**2), 21).kernel_image(x=0, y=0)
    kernel = SpatialKernel.constant(image, box)
    whitening = None if algorithm else decorrelate(template, science, kernel, algorithm=Afterburner())
    level = ChebyshevField.constant(0.0, box)
    return subtract(
        science, template, kernel, level, convolved="template", whitening=whitening, algorithm=algorithm,
        n_threads=n_threads,
    )  # fmt: skip


def pulls(difference, x, y):
    """PSF fluxes in units of their errors, as they are measured: by one weight for all pixels."""
    planes, found = difference.exposure.masked_image, []
    for at_x, at_y in zip(x, y, strict=True):
        cut = Box.around(x=at_x, y=at_y, half=STAMP // 2).slices_in(planes.box)
        profile = difference.exposure.psf.image_at(x=at_x, y=at_y)
        found.append((profile * planes.image[cut]).sum() / np.sqrt((profile**2 * planes.variance[cut]).sum()))
    return np.array(found)


@pytest.mark.parametrize("algorithm", [None, Zogy(psfs="models")])
def test_errors_of_fluxes_are_right_where_the_template_is_thin(algorithm, rng):
    """In strips, and beside them: pulls have unit width. 640 fluxes, one in 8 px, tell it to 3%; by the variance of the
    pixels it was 1.2 in the strips.
    """
    in_strips, beside = [], []
    for _ in range(2):
        difference = subtracted(*thin_in_strips(rng), algorithm)
        for middles, rows in ((in_strips, (103, 206, 309, 412, 515)), (beside, (151, 254, 357, 460, 563))):
            x, y = np.meshgrid(np.arange(30.0, 610.0, 9.0), [row + 6.5 for row in rows])
            middles.append(pulls(difference, x.ravel(), y.ravel()))
    for found in (in_strips, beside):
        width = np.std(np.concatenate(found))
        assert abs(width - 1.0) < 4 / np.sqrt(2 * 640)


def test_even_images_stay_as_they_were(rng):
    """Bright stars, a gradient of the sky and a hole are no uneven coverage; a strip of 14 rows is."""
    x, y = rng.uniform(20, 600, (2, 40))
    light = drawn(SKY.shape, x, y, np.geomspace(1e4, 1e6, 40), sigma=2.0)
    slope = np.linspace(1.0, 1.1, SKY.shape[1])
    deep = 20.0 * slope[::-1] + 0.2 * light
    deep[100:140, 200:300] = np.inf
    thin = deep.copy()
    thin[300:314] += 10.0

    def found(of_template):
        science, template = (
            with_planes(image, variance=plane.astype(np.float32))
            for image, plane in zip(thin_in_strips(rng), (100.0 * slope + light, of_template), strict=True)
        )
        # a little smoothing leaves the noise of one image white, that of the other not
        kernels = [lambda x, y: np.ones((1, 1)), lambda x, y: GaussianPsf(1.0, 9).kernel_image(x=x, y=y)]
        plain = np.ones(SKY.shape, np.float32)
        return variance_for_fluxes(plain, list(zip((science, template), kernels, strict=True)), science.psf)

    assert np.all(found(deep) == 1.0)
    assert np.all(found(thin)[300:314] > 1.0)


def test_threads_change_no_bit(rng):
    images = thin_in_strips(rng)
    one, two = (subtracted(*images, n_threads=n).exposure.masked_image.variance for n in (1, 2))
    np.testing.assert_array_equal(one, two)
