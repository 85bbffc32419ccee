"""CoaddPsf: the weighted mean of the PSFs that cover a point, drawn on the coadd."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.errors import InputError, PsfUndefinedError
from diapipe.images import Box, GaussianPsf
from diapipe.images.psf.coadd import CoaddComponent, CoaddPsf

BOX = Box(0, 100, 0, 100)


def part(
    sigma: float, weight: float, *, matrix: object = None, offset: object = (0.0, 0.0), box: Box = BOX
) -> CoaddComponent:
    linear = np.eye(2) if matrix is None else np.array(matrix, dtype=float)
    return CoaddComponent(GaussianPsf(sigma, 25), weight, box, linear, np.array(offset, dtype=float))


def test_mean_of_two() -> None:
    """Where two images overlap the PSF is their weighted mean; where one lies alone, its own."""
    psf = CoaddPsf((part(1.5, 1.0), part(2.5, 3.0, offset=(50.0, 0.0))))
    narrow, wide = GaussianPsf(1.5, 25), GaussianPsf(2.5, 25)
    both = 0.25 * narrow.kernel_image(x=0, y=0) + 0.75 * wide.kernel_image(x=0, y=0)
    np.testing.assert_allclose(psf.kernel_image(x=75.0, y=50.0), both, rtol=1e-12)
    np.testing.assert_allclose(psf.kernel_image(x=10.0, y=50.0), narrow.kernel_image(x=0, y=0), rtol=1e-12)
    np.testing.assert_allclose(psf.kernel_image(x=120.0, y=50.0), wide.kernel_image(x=0, y=0), rtol=1e-12)


def test_undefined_outside() -> None:
    """Where no image lies, there is no PSF; an image without weight does not count."""
    psf = CoaddPsf((part(1.5, 1.0), part(2.0, 0.0, offset=(200.0, 0.0))))
    with pytest.raises(PsfUndefinedError, match=r"none of the coadd's 2 images covers \(250\.0, 50\.0\)"):
        psf.kernel_image(x=250.0, y=50.0)


@pytest.mark.parametrize("scale", [0.8, 1.0, 1.6])
@pytest.mark.parametrize("angle_deg", [0.0, 30.0, 90.0, 180.0])
def test_scale_and_rotation(scale: float, angle_deg: float) -> None:
    """A round Gaussian scaled and turned is the round Gaussian of scaled width, to Lanczos-3's 5e-3 of the peak."""
    c, s = scale * np.cos(np.radians(angle_deg)), scale * np.sin(np.radians(angle_deg))
    psf = CoaddPsf((part(2.0, 1.0, matrix=[[c, -s], [s, c]]),))
    x, y = np.array([[c, -s], [s, c]]) @ [40.0, 60.0]
    image = psf.kernel_image(x=x, y=y)
    expected = GaussianPsf(2.0 * scale, psf.size).kernel_image(x=0, y=0)
    assert image.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(image, expected, rtol=0, atol=5e-3 * expected.max())


def test_direction_of_the_transform() -> None:
    """What is long along x on an image that lies turned by 90 degrees is long along y on the coadd."""
    turned = [[0.0, -1.0], [1.0, 0.0]]  # the image's x axis is the coadd's y axis

    class Long(GaussianPsf):
        def kernel_image(self, *, x: float, y: float) -> np.ndarray:
            v, u = np.mgrid[-12:13, -12:13]
            image = np.exp(-0.5 * ((u / 3.0) ** 2 + (v / 1.5) ** 2))
            return image / image.sum()

    component = CoaddComponent(Long(1.0, 25), 1.0, BOX, np.array(turned), np.array([100.0, 0.0]))
    image = CoaddPsf((component,)).kernel_image(x=50.0, y=50.0)
    v, u = np.mgrid[-12:13, -12:13]
    assert (image * v**2).sum() > 3 * (image * u**2).sum()
    assert component.position_of(x=50.0, y=30.0) == pytest.approx((30.0, 50.0))


def test_needs_a_component() -> None:
    with pytest.raises(InputError, match="at least one component"):
        CoaddPsf(())
    with pytest.raises(InputError, match="no negative weight"):
        CoaddPsf((part(1.0, -1.0),))
