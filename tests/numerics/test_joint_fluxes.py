"""Fluxes fitted together: equal to the dense solution, blind to neighbours, with the covariance of the noise."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.numerics import joint_fluxes
from diapipe.numerics.joint_fluxes import CHI2, COVERAGE, FLUX, LEVEL, N_USED, SHARE_LOST, VARIANCE, Around
from diapipe.numerics.shifting import shift_stamp

HALF, SIDE = 6, 60
OFFSETS = np.arange(-12, 13)
PSF = np.exp(-0.5 * ((OFFSETS[:, None] / 1.6) ** 2 + (OFFSETS / 1.9) ** 2 + OFFSETS * OFFSETS[:, None] / 9.0))
PSF /= PSF.sum()
CORRELATION = np.array([[0.02, 0.1, 0.05], [0.2, 1.0, 0.2], [0.05, 0.1, 0.02]])

X = np.array([20.3, 23.1, 40.0, 19.0, 2.2, 200.0, np.nan])
Y = np.array([30.1, 31.7, 41.5, 34.0, 58.9, 20.0, 5.0])
NEIGHBOURS = {0: [1, 3], 1: [0, 3], 2: [], 3: [0, 1], 4: [], 5: [], 6: []}
AROUND = Around(
    np.concatenate([[0], np.cumsum([len(v) for v in NEIGHBOURS.values()])]),
    np.array([j for v in NEIGHBOURS.values() for j in v]),
)


def planes(rng):
    """Image, mask and a variance that varies; one bad pixel under the first source."""
    image = rng.normal(100.0, 10.0, (SIDE, SIDE)).astype(np.float32)
    variance = rng.uniform(80.0, 120.0, (SIDE, SIDE)).astype(np.float32)
    mask = np.zeros((SIDE, SIDE), np.int32)
    mask[30, 21] = 1
    return image, mask, variance


def fitted(image, mask, variance, *, around=AROUND, **options):
    return joint_fluxes.joint_fluxes(
        image, mask, variance, bits=1, nodes=PSF[None], index=np.zeros((len(X), 1), np.int64),
        weights=np.ones((len(X), 1)), half=HALF, x=X, y=Y, around=around, **options,
    )  # fmt: skip


def drawn(k, column, row):
    """Source k on the stamp around a pixel."""
    reach = HALF + 5
    base = PSF[12 - reach : 13 + reach, 12 - reach : 13 + reach]
    wide = shift_stamp(np.pad(base, 12), dx=X[k] - column, dy=Y[k] - row)
    middle = len(wide) // 2
    return wide[middle - HALF : middle + HALF + 1, middle - HALF : middle + HALF + 1].ravel()


def dense(k, image, mask, variance, rho):
    """The same by full matrices over the pixels of one stamp."""
    column, row = int(np.floor(X[k] + 0.5)), int(np.floor(Y[k] + 0.5))
    places = [(r, c) for r in range(row - HALF, row + HALF + 1) for c in range(column - HALF, column + HALF + 1)]
    on = np.array([0 <= r < SIDE and 0 <= c < SIDE and mask[r, c] == 0 for r, c in places])
    d, v, w = np.zeros((3, len(places)))
    for i, (r, c) in enumerate(places):
        if on[i]:
            d[i], v[i], w[i] = image[r, c], variance[r, c], 1.0 / variance[r, c]
    models = np.array([drawn(j, column, row) for j in (k, *NEIGHBOURS[k])])
    inverse = np.linalg.inv(models @ (on[:, None] * models.T))
    estimator = (inverse @ (models * on))[0]
    reach, covariance = rho.shape[0] // 2, np.zeros((len(places), len(places)))
    for i, (r, c) in enumerate(places):
        for j, (s, t) in enumerate(places):
            if max(abs(r - s), abs(c - t)) <= reach:
                covariance[i, j] = rho[r - s + reach, c - t + reach] * np.sqrt(v[i] * v[j])
    fluxes = inverse @ (models * on) @ d
    return {
        FLUX: estimator @ d,
        VARIANCE: estimator @ covariance @ estimator,
        CHI2: (w * (d - fluxes @ models) ** 2).sum(),
        N_USED: on.sum(),
        COVERAGE: (models[0] ** 2 * on).sum() / (models[0] ** 2).sum(),
        LEVEL: estimator.sum(),
        SHARE_LOST: 1.0 - 1.0 / ((models[0] ** 2 * on).sum() * inverse[0, 0]),
    }


@pytest.mark.parametrize("rho", [np.ones((1, 1)), CORRELATION])
def test_equals_the_dense_solution(rho, rng):
    """Every column of every source equals that of full matrices, to the float32 of the pixels."""
    data = planes(rng)
    found = fitted(*data, correlation=rho)
    for k in range(5):
        for column, value in dense(k, *data, rho).items():
            assert found[k, column] == pytest.approx(value, rel=2e-4, abs=2e-5), (k, column)


def test_the_flux_of_a_neighbour_changes_nothing(rng):
    """A million counts more in one source move the fluxes of those fitted with it by less than 1e-3 of them."""
    image, mask, variance = planes(rng)
    brighter = image.copy()
    stamp = shift_stamp(np.pad(PSF, 12), dx=X[1] - 23, dy=Y[1] - 32)
    brighter[32 - 24 : 32 + 25, 23 - 23 : 23 + 25] += (1e6 * stamp[:, 1:]).astype(np.float32)
    before, after = fitted(image, mask, variance), fitted(brighter, mask, variance)
    assert after[1, FLUX] - before[1, FLUX] == pytest.approx(1e6, rel=1e-3)
    assert np.abs(after[[0, 3], FLUX] - before[[0, 3], FLUX]).max() < 1e3


def test_what_is_no_place_has_no_flux(rng):
    """Far off the image and at NaN nothing is measured, and no pixel is counted."""
    found = fitted(*planes(rng))
    assert np.isnan(found[5:, FLUX]).all()
    assert (found[5:, [N_USED, COVERAGE]] == 0).all()


def test_a_range_is_a_part_of_the_whole(rng):
    """Sources fitted in ranges are those of one call, bit for bit."""
    data = planes(rng)
    parts = np.concatenate([fitted(*data, first=0, last=2), fitted(*data, first=2, last=7)])
    np.testing.assert_array_equal(parts, fitted(*data))


def test_alone_nothing_is_lost_to_neighbours(rng):
    """Without neighbours SHARE_LOST is 0, and the fluxes are those of single fits."""
    none = Around(np.zeros(len(X) + 1, np.int64), np.zeros(0, np.int64))
    found = fitted(*planes(rng), around=none)
    assert np.abs(found[:5, SHARE_LOST]).max() < 1e-12
