"""The options about the template are configuration of the task that chooses its visits."""

from __future__ import annotations

import pytest
from lsst.pipe.base import Pipeline

from diapipe.cli.run import survey_pipeline
from diapipe.errors import UsageError
from diapipe.tasks.running import Settings, TemplateChoice
from diapipe.tasks.running.selection import numbers_of


def chosen(**options):
    """The configuration of selectVisits in the survey's pipeline under some options."""
    pipeline = Pipeline.from_uri(f"{survey_pipeline()}#selectVisits")
    Settings(template=TemplateChoice(**options)).put_on(pipeline)
    return pipeline.to_graph().tasks["selectVisits"].config


def test_dates_width_and_visits_left_out_are_set():
    """On the selector that the pipeline has, unless a number of visits asks for the one that counts."""
    config = chosen(from_mjd=56480.0, until_mjd=56483.5, max_fwhm_arcsec=2.5, left_out="7,12..14")
    selector = config.select.active
    assert config.select.name == chosen().select.name
    assert (selector.minMJD, selector.maxMJD, selector.maxPsfFwhm) == (56480.0, 56483.5, 2.5)
    assert list(config.excludeVisits) == [7, 12, 13, 14]


def test_a_number_of_visits_is_that_of_the_sharpest():
    """As many as asked for, and the dates are those of the same selector."""
    config = chosen(n_visits=5, until_mjd=60000.0)
    assert config.select.name == "best_seeing_visits"
    assert (config.select.active.nVisitsMax, config.select.active.maxMJD) == (5, 60000.0)


def test_nothing_chosen_changes_nothing():
    """So that two runs without these options have one configuration."""
    assert not TemplateChoice().as_python()


def test_a_template_that_ends_before_it_begins_is_refused():
    """Both dates are told."""
    with pytest.raises(UsageError, match="ends on MJD 2, before it begins on 3"):
        TemplateChoice(from_mjd=3, until_mjd=2)


@pytest.mark.parametrize(
    ("text", "numbers"), [("", []), ("3", [3]), ("1..4,9", [1, 2, 3, 4, 9]), ("0..6:3", [0, 3, 6])]
)
def test_lists_of_numbers(text, numbers):
    """Both ends of a range belong to it, as in the butler's language."""
    assert numbers_of(text) == numbers
