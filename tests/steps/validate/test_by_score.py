"""What is told where a reliability decides."""

import numpy as np
import pytest
from astropy.table import Table

from diapipe.report.validation import validation_sentence
from diapipe.steps.validate import Judged, validate


def _judged(*, with_score=True):
    """Eight changes of S/N 10, six of them detected, four with a score of a half or more; two false, one believed."""
    detected = np.arange(8) < 6
    score = np.array([0.9, 0.8, 0.5, 0.95, 0.49, 0.1, np.nan, np.nan])
    truth = Table(
        {
            "flux": np.full(8, 100.0),
            "kind": np.repeat(["hosted", "variable"], 4),
            "snr_true": np.full(8, 10.0),
            "is_usable": np.ones(8, bool),
            "is_good": detected & (np.arange(8) != 0),
            "diaSourceId": np.where(detected, np.arange(1, 9), 0),
            "measured": np.where(detected, 100.0, np.nan),
            "measured_err": np.where(detected, 10.0, np.nan),
            "dx": np.zeros(8),
            "dy": np.zeros(8),
        }
    )
    sources = Table(
        {
            "diaSourceId": np.arange(1, 9),
            "snr": np.full(8, 10.0),
            "dp_bad": np.zeros(8, bool),
            "is_true": np.arange(8) < 6,
            "cause": np.full(8, "noise"),
        }
    )
    if with_score:
        truth["reliability"] = score
        sources["reliability"] = np.concatenate([score[:6], [0.7, 0.2]])
    return Judged(
        truth=truth, sources=sources, area_deg2=1.0, pixel_scale_arcsec=0.2, n_expected_noise=0.0, name="one", band="r"
    )


def test_completeness_and_purity_of_what_the_score_keeps():
    """Four of eight, four of the six detected; of the five that are kept four are real. A half is kept, NaN is not."""
    found = validate([_judged()], truth_is_all=True).numbers["with_score"]
    assert found["threshold"] == 0.5
    assert found["completeness"]["all"]["value"] == pytest.approx(4 / 8)
    assert found["of_detected"]["all"]["value"] == pytest.approx(4 / 6)
    assert found["of_detected"]["hosted"]["value"] == 1.0
    assert found["of_detected"]["variable"]["value"] == 0.0
    assert (found["n_sources"], found["purity"]["n_of"], found["purity"]["n"]) == (5, 4, 5)


def test_the_sentence_tells_it():
    """In words; nothing of a purity that is not known."""
    told = validation_sentence(validate([_judged()], truth_is_all=True).numbers)
    assert "A reliability of 0.5 in place of the plain cut keeps 67% of what was detected above S/N 6" in told
    assert told.endswith("(hosted 100%, variable 0%); 80% of it are real.")
    assert validation_sentence(validate([_judged()]).numbers).endswith("variable 0%).")


def test_without_a_score_nothing_is_told():
    found = validate([_judged(with_score=False)], truth_is_all=True)
    assert "with_score" not in found.numbers
    assert "reliability" not in validation_sentence(found.numbers)


def test_a_survey_of_which_a_part_has_scores():
    """What has none is not kept."""
    found = validate([_judged(), _judged(with_score=False)], truth_is_all=True).numbers["with_score"]
    assert found["of_detected"]["all"]["value"] == pytest.approx(4 / 12)
