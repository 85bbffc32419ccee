"""The baseline of light curves whose template holds the transient's light."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.forced_tables import EVENT_MJD, forced_table

from diapipe.catalogs.light_curve import light_curve
from diapipe.errors import InputError, UsageError
from diapipe.steps.summarize.baseline import Baseline, corrected, level_of


def test_light_in_the_template_is_given_back(rng):
    """Fluxes that are all too low by 400 nJy have their level back, to four of the errors of the mean.

    A band has 7 quiet epochs of 20 nJy: the level's error is 7.6.
    """
    curve = light_curve(forced_table(rng, level=-400.0), 1_000_003)
    found = corrected(curve, Baseline(event_start_mjd=EVENT_MJD[0], event_end_mjd=EVENT_MJD[1]))
    for band in "gri":
        level = found.levels[band]
        assert level.flux == pytest.approx(-400.0, abs=4 * level.flux_err)
        assert 5.0 < level.flux_err < 15.0
        here = curve.in_band(band)
        assert np.allclose(found.in_band(band).flux, here.flux - level.flux, equal_nan=True)
    shines = found.is_measured & (found.mjd >= EVENT_MJD[0]) & (found.mjd <= EVENT_MJD[1])
    assert np.mean(found.flux[shines]) == pytest.approx(1000.0, abs=4 * 10.0)
    assert np.array_equal(found.is_baseline, found.is_measured & ~shines)
    assert np.array_equal(found.flux_err, curve.flux_err)
    assert np.array_equal(found.science_flux, curve.science_flux, equal_nan=True)
    assert not curve.levels


def test_correcting_twice_changes_nothing_more(rng):
    """The second level is 0 to rounding, and the sum of both is told."""
    baseline = Baseline(event_start_mjd=EVENT_MJD[0], event_end_mjd=EVENT_MJD[1])
    once = corrected(light_curve(forced_table(rng, level=-400.0), 1_000_003), baseline)
    twice = corrected(once, baseline)
    assert np.allclose(once.flux, twice.flux, atol=1e-9, equal_nan=True)
    assert twice.levels["g"].flux == pytest.approx(once.levels["g"].flux)


def test_scatter_beyond_the_errors_is_told(rng):
    """The error of a level whose epochs scatter three times as much as they claim is three times as large."""
    curve = light_curve(forced_table(rng, n_epochs=3000, bands="r"), 1_000_003)
    quiet = curve.where(curve.is_measured & (curve.mjd < EVENT_MJD[0]))
    wild = replace(quiet, flux=3.0 * quiet.flux)
    assert level_of(quiet).reduced_chi2 == pytest.approx(1.0, abs=4 * np.sqrt(2 / len(quiet)))
    assert level_of(wild).flux_err == pytest.approx(
        np.sqrt(level_of(wild).reduced_chi2 / max(1.0, level_of(quiet).reduced_chi2)) * level_of(quiet).flux_err
    )
    assert level_of(wild).reduced_chi2 == pytest.approx(9 * level_of(quiet).reduced_chi2)


def test_a_band_without_quiet_epochs_is_refused(rng):
    """No baseline is guessed from too few epochs; an event that ends before it begins is none."""
    curve = light_curve(forced_table(rng), 1_000_003)
    with pytest.raises(InputError, match=r"band g of object 1000003 has 0 quiet epochs; its baseline needs 3"):
        corrected(curve, Baseline(event_start_mjd=-np.inf))
    with pytest.raises(UsageError, match="the event ends at 3, before it begins at 5"):
        Baseline(event_start_mjd=5.0, event_end_mjd=3.0)
