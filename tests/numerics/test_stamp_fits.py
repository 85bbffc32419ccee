"""Linear fits of many stamps at once are those of each by itself; differences are those of polynomials."""

from __future__ import annotations

import numpy as np

from diapipe.numerics.stamp_fits import bends, fit_stamps, slopes


def test_each_fit_is_that_of_lstsq(rng):
    """Coefficients, and what each lowers χ² by; the ridge of 1e-9 moves them by no more."""
    data, images, scale = rng.normal(size=(5, 60)), rng.normal(size=(5, 3, 60)), np.array([1.0, 1e-6, 1e5])
    found = fit_stamps(data, images * scale[:, None])
    for k in range(5):
        expected, left, *_ = np.linalg.lstsq(images[k].T, data[k], rcond=None)
        np.testing.assert_allclose(found.coefficients[k] * scale, expected, rtol=1e-6)
        np.testing.assert_allclose(found.explained[k], (data[k] ** 2).sum() - left[0], rtol=1e-6)


def test_images_that_say_nothing_or_the_same_have_a_solution(rng):
    """An empty image gets nothing; two alike share what one had."""
    image = rng.normal(size=40)
    found = fit_stamps(3.0 * image[None], np.stack([image, image, np.zeros(40)])[None])
    np.testing.assert_allclose(found.coefficients[0, :2].sum(), 3.0, rtol=1e-6)
    assert found.coefficients[0, 2] == 0.0


def test_differences_of_a_parabola_are_its_derivatives():
    """Exact inside; nothing on the border."""
    y, x = np.mgrid[:7, :8].astype(float)
    image = (2 * x + 3 * y + 0.5 * x**2 - y**2 + 4 * x * y)[None]
    along_x, along_y = slopes(image)
    np.testing.assert_allclose(along_x[0, :, 1:-1], (2 + x + 4 * y)[:, 1:-1])
    np.testing.assert_allclose(along_y[0, 1:-1], (3 - 2 * y + 4 * x)[1:-1])
    xx, yy, xy = bends(image)
    inner = np.s_[0, 1:-1, 1:-1]
    np.testing.assert_allclose([np.ptp(xx[inner]), np.ptp(yy[inner])], 0.0, atol=1e-9)
    np.testing.assert_allclose([xx[inner].mean(), yy[inner].mean(), xy[inner].mean()], [1.0, -2.0, 4.0])
    assert along_x[0, :, 0].any() == along_y[0, 0].any() == xy[0, 0].any() == np.False_
