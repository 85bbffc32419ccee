"""A season goes on: what gathers images is made anew when they grow, a template only when that is asked for."""

from __future__ import annotations

import pytest
from benchmarks.toy_survey import ToySurvey
from toy_runs import N_DETECTORS, N_VISITS, STEPS, Heard, counts, ended, n_registered, request, run, values

from diapipe.errors import UsageError
from diapipe.tasks.running import run_survey

N = N_VISITS * N_DETECTORS
PRODUCTS = ("visit_image", "photometric_scale", "visit_summary", "template_coadd", "difference_image")


def products(repo, collection):
    """Everything that a survey is made for."""
    return {name: values(repo, name, collection) for name in PRODUCTS}


def test_what_a_repaired_detector_was_missing_in_is_made_anew(repo, tmp_path):
    """A detector fails, then does not: scale and summaries are renewed by themselves, templates and differences on
    request, and the end is that of a season without the failure; a third run finds nothing to do.
    """
    flag = tmp_path / "repaired"
    settings = ("characterize:die=['2/1']", f"characterize:dieUnless='{flag}'")
    assert counts(run(repo, values=settings))["failed"] == 1
    flag.touch()
    heard = Heard()
    again = run_survey(request(repo, values=settings), heard)
    renewed = {task: n.total() for task, n in again.counts().items()}
    assert renewed["photometricScale"] == 1
    assert renewed["visitSummary"] >= 1
    assert "assembleCoadd" not in renewed
    assert any("results of selectVisits were made before some of the visits" in said for said in heard.sentences)
    run(repo, values=settings, renew=("coadds", "differences"))
    assert not run(repo, values=settings, renew=("coadds", "differences")).outcomes
    undisturbed = run(repo, values=settings, output="undisturbed")
    assert undisturbed.exit_status == 0
    assert products(repo, "diapipe/default") == products(repo, "diapipe/undisturbed")


def test_no_work_is_tried_again_when_its_inputs_come(repo):
    """The visits come one by one: at the end the scale of a band holds all of them, and each is scaled and summed once
    by the inputs it has at the end.
    """
    for visit in range(1, N_VISITS + 1):
        assert run(repo, steps=("visits", "scale"), visits=str(visit)).exit_status == 0
    one_by_one = {name: values(repo, name) for name in PRODUCTS[:3]}
    run(repo, steps=("visits", "scale"), output="at_once")
    assert one_by_one == {name: values(repo, name, "diapipe/at_once") for name in PRODUCTS[:3]}
    assert n_registered(repo, "visit_image") == 2 * N


def test_a_step_before_its_inputs_is_refused(toy_survey):
    """Differences of a survey without templates: told what is missing and what to do."""
    with pytest.raises(UsageError, match=r"imageDifference needs \w+, .* run the steps before it first"):
        run(toy_survey, steps=("differences",))


def test_a_template_does_not_change_under_its_differences(repo):
    """A visit that comes later is differenced with the template as it is, and says so."""
    run(repo, visits="1..2")
    template, before = values(repo, "template_coadd"), values(repo)
    summary = run(repo, visits="1..3")
    assert not ended(summary, "failed")
    after = values(repo, "template_coadd")
    assert {key: after[key] for key in template} == template
    assert {key: values(repo)[key] for key in before} == before
    assert len(values(repo)) == N


def test_a_renewed_template_holds_the_visits_that_came_since(tmp_path):
    """A visit that no run has seen comes with the wish for a new template: one run makes that of all visits at once,
    and says that the differences made before are those of the old one; renewed too, they are those of the new one.
    """
    repo = ToySurvey(n_visits=3, n_detectors=1, n_patches=1).build(tmp_path / "repo")
    run(repo, visits="1..2", n_workers=1)
    heard = Heard()
    run_survey(request(repo, renew=("coadds",), n_workers=1), heard)
    assert any("made with the template of then" in said for said in heard.sentences)
    run(repo, steps=STEPS[:3], output="at_once", n_workers=1)
    assert values(repo, "template_coadd") == values(repo, "template_coadd", "diapipe/at_once")
