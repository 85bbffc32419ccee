"""How far the PSF of each image is from the mean of all, against the definition."""

import numpy as np
import pytest

from diapipe.steps.coadd.comparison import psf_leaps


def test_leaps_are_the_largest_sum_over_shifts(rng):
    """Max |Σ P̄(x) (P - P̄)(x + d)| / ΣP̄², d within the stamp; a smaller stamp is padded, one not known is 0."""
    psfs = [rng.normal(size=(7, 7)), None, rng.normal(size=(5, 5)), rng.normal(size=(7, 7))]
    padded = [np.pad(psf, (7 - len(psf)) // 2) for psf in psfs if psf is not None]
    mean = np.mean(padded, axis=0)
    wide = [np.pad(psf - mean, 3) for psf in padded]
    expected = [
        max(abs((mean * off[y : y + 7, x : x + 7]).sum()) for y in range(7) for x in range(7)) / (mean**2).sum()
        for off in wide
    ]
    found = psf_leaps(psfs)
    assert found[1] == 0.0
    assert [found[k] for k in (0, 2, 3)] == pytest.approx(expected, rel=1e-12)
