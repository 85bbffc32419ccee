"""Fluxes of a wanted signal-to-noise."""

import numpy as np

from diapipe.numerics.significance import flux_of_snr


def test_flux_over_its_own_error_is_the_snr():
    """F / √(flux_variance + photon_variance F) gives back what was asked for, with and without photons of its own."""
    snr = np.array([0.5, 5.0, 300.0])
    for photons in (0.0, 3.0):
        flux = flux_of_snr(snr, flux_variance=np.full(3, 40.0), photon_variance=np.full(3, photons))
        assert np.allclose(flux / np.sqrt(40.0 + photons * flux), snr, rtol=1e-12)
