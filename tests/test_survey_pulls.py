"""Forced fluxes on a small survey, from raw files through template and difference, are those of the sky."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table
from benchmarks.survey_pulls import make, pulls_of, with_errors

from diapipe.cli.survey_files import SurveyFolder
from diapipe.simulate import SurveySpec

SMALL = SurveySpec(
    width=512,
    height=512,
    n_columns=1,
    n_rows=1,
    bands=("r",),
    n_nights=4,
    n_template_nights=2,
    n_stars=250,
    n_galaxies=130,
    n_transients=24,
    transient_max_snr=150.0,
    flash_fraction=0.0,
    n_movers=0,
    n_satellite_trails=0,
)
LARGEST_MEAN, WIDTHS = 0.05, (0.95, 1.08)
"""What is asked of the pulls of any band and magnitude."""


@pytest.fixture(scope="module")
def pulls(tmp_path_factory):
    """Pulls on two differences of one detector."""
    folder = SurveyFolder(tmp_path_factory.mktemp("pulls") / "survey")
    return pulls_of(make(folder, SMALL, 8), SMALL, seed=8)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "least_n"), [("nothing", 1200), ("added", 350)])
def test_pulls_on_a_survey_are_those_of_honest_errors(pulls, kind, least_n):
    """Mean and width are within the limits, and within three errors of the sample beyond.

    For the empty places that is 0.13: a level that is off by 0.15 sigma of a flux is seen.
    """
    pull = pulls["pull"][pulls["kind"] == kind]
    n = len(pull)
    assert n > least_n
    assert abs(pull.mean()) < LARGEST_MEAN + 3.0 / np.sqrt(n)
    assert WIDTHS[0] - 3.0 / np.sqrt(2 * n) < pull.std() < WIDTHS[1] + 3.0 / np.sqrt(2 * n)


def test_errors_of_mean_and_width_hold_what_pulls_share():
    """200 objects on 10 images, two thirds of the variance common to an object: the scatter of the means of 300 such
    samples is their error within 3 of its own errors, 1/sqrt(600) of it, and that of the widths within twice these,
    as theirs is right for many objects only; as if all were independent both would be 1.5 times too small and more.
    """
    rng = np.random.default_rng(3)
    numbers = np.arange(200).repeat(10), np.tile(np.arange(10), 200)
    found = []
    for _ in range(300):
        pull = np.sqrt(2 / 3) * rng.normal(size=200).repeat(10) + np.sqrt(1 / 3) * rng.normal(size=2000)
        found.append(np.ravel(with_errors(Table({"object": numbers[0], "image": numbers[1], "pull": pull}))))
    mean, mean_error, width, width_error = np.transpose(found)
    assert abs(mean.std() / np.median(mean_error) - 1) < 3 / np.sqrt(600)
    assert abs(width.std() / np.median(width_error) - 1) < 6 / np.sqrt(600)
    assert np.median(mean_error) > 1.5 / np.sqrt(2000)
