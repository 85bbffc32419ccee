"""PSF photometry on difference cut-outs of Rubin alerts, beside the fluxes of LSST's own catalogue."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.rubin_cutouts import RUBIN, Compared, compare, cutouts

pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif(not RUBIN.is_dir(), reason="no real data beside the checkout (../shared/data)"),
]


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Compared:
    """All 37 alerts."""
    return compare(cutouts(), tmp_path_factory.mktemp("cutouts"))


def test_psf_fluxes_are_those_of_the_catalogue(compared: Compared) -> None:
    """The same pixels and PSF must give the same flux: to 1% in the median, of all sources and of the points among
    them, and each point to 3%. Dipoles and trails depend on the stamp, which is 41 px wide there and 30 px here.
    """
    ratio = compared.flux / compared.catalogue
    assert len(ratio) == 37
    assert np.median(ratio) == pytest.approx(1.0, abs=0.01)
    assert np.median(np.abs(ratio - 1.0)) < 0.01
    assert np.median(ratio[compared.is_point]) == pytest.approx(1.0, abs=0.01)
    assert np.abs(ratio[compared.is_point] - 1.0).max() < 0.03


@pytest.mark.parametrize("bright", [False, True])
def test_the_agreement_does_not_depend_on_brightness(bright: bool, compared: Compared) -> None:
    """Fluxes of one image agree at all signal-to-noise ratios: no bias of weights that follow the noise."""
    chosen = compared.is_point & ((compared.snr >= 6.0) == bright)
    assert chosen.sum() > 10
    assert np.median((compared.flux / compared.catalogue)[chosen]) == pytest.approx(1.0, abs=0.01)


def test_errors_are_those_of_the_catalogue(compared: Compared) -> None:
    """Of points, to 1% in the median and 3% each: the noise of the cut-outs is nearly white."""
    ratio = (compared.error / compared.catalogue_error)[compared.is_point]
    assert np.median(ratio) == pytest.approx(1.0, abs=0.01)
    assert np.abs(ratio - 1.0).max() < 0.03
