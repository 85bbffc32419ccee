"""A season goes on: what gathers images is made anew when they grow, a template only when that is asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from benchmarks.toy_survey import ToySurvey
from toy_runs import N_DETECTORS, N_VISITS, PIPELINE, STEPS, Heard, counts, ended, n_registered, request, run, values

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


DRIFT = "photometricScale:drift=0.1"
"""Every visit makes a count of all visits of its band worth a tenth more; the odd ones are of one band."""


def test_what_is_on_a_scale_that_moved_is_made_anew(tmp_path):
    """Visit 3 moves the scale of visit 1: its warp, the coadd of that and its difference follow by themselves; those of
    visit 2, of the other band, and the selection stay. A third run finds nothing to do.
    """
    repo = ToySurvey(n_visits=3, n_detectors=1, n_patches=1).build(tmp_path / "repo")
    run(repo, visits="1..2", n_workers=1, values=(DRIFT,))
    names = ("template_visits", "template_warp", "template_coadd", "difference_image")
    before = {name: values(repo, name) for name in names}
    heard = Heard()
    again = run_survey(request(repo, n_workers=1, values=(DRIFT,)), heard)
    assert not ended(again, "failed")
    after = {name: values(repo, name) for name in names}
    changed = {name: [key for key, value in before[name].items() if after[name][key] != value] for name in names}
    assert {name: len(keys) for name, keys in changed.items()} == dict(zip(names, (0, 1, 1, 1), strict=True))
    assert changed["difference_image"] == [key for key in before["difference_image"] if 1 in key]
    assert any("1 results of makeWarp are on a flux scale that has changed" in said for said in heard.sentences)
    assert not run(repo, n_workers=1, values=(DRIFT,)).outcomes


def test_a_correction_that_was_interrupted_is_finished(tmp_path):
    """The disk is full when the warp is made anew but not its coadd: the next run makes this, and the difference."""
    repo = ToySurvey(n_visits=3, n_detectors=1, n_patches=1).build(tmp_path / "repo")
    flag = tmp_path / "full"
    settings = (DRIFT, f"assembleCoadd:diskFullWhile='{flag}'")
    run(repo, visits="1", n_workers=1, values=settings)
    coadd, difference = values(repo, "template_coadd"), values(repo)
    flag.touch()
    assert run(repo, visits="1,3", n_workers=1, values=settings).exit_status == 1
    assert values(repo, "template_coadd") == coadd
    flag.unlink()
    run(repo, visits="1,3", n_workers=1, values=settings)
    assert values(repo, "template_coadd").keys() == coadd.keys()
    assert values(repo, "template_coadd") != coadd
    assert all(values(repo)[key] != value for key, value in difference.items())


def test_a_difference_made_with_a_template_of_the_old_scale_follows_it(tmp_path):
    """Visit 3 moves the scale and is differenced before the template is corrected: once this is, that is made anew."""
    repo = ToySurvey(n_visits=3, n_detectors=1, n_patches=1).build(tmp_path / "repo")
    options = {"n_workers": 1, "values": (DRIFT,)}
    run(repo, visits="1", **options)
    run(repo, visits="3", steps=("visits", "scale", "differences"), **options)
    coadd, difference = values(repo, "template_coadd"), values(repo)
    run(repo, visits="1,3", **options)
    assert all(values(repo, "template_coadd")[key] != value for key, value in coadd.items())
    assert len(difference) == 2
    assert all(values(repo)[key] != value for key, value in difference.items())
    assert not run(repo, visits="1,3", **options).outcomes


OBJECTS = """
description: The toy survey, on to objects and what is measured at them.
tasks:
  associate: benchmarks.toy_survey.ToyAssociateTask
  forcedPhotCcdDia: benchmarks.toy_survey.ToyForcedTask
subsets:
  objects: {subset: [associate]}
  forced: {subset: [forcedPhotCcdDia]}
"""


def test_objects_follow_what_was_found(tmp_path):
    """A new visit: objects and what is measured at them are made anew of all visits, those of earlier ones too; neither
    the template nor a difference is touched, and a third run finds nothing to do.
    """
    repo = ToySurvey(n_visits=3, n_detectors=1, n_patches=1).build(tmp_path / "repo")
    steps = (*STEPS, "objects", "forced")
    pipeline = tmp_path / "objects.yaml"
    pipeline.write_text(f"imports: [{{location: {PIPELINE}}}]\n{OBJECTS}")
    both = {"pipeline": str(pipeline), "steps": steps}
    run_survey(replace(request(repo, visits="1..2", n_workers=1), **both), Heard())
    names = ("template_coadd", "difference_image", "dia_object", "forced_source")
    before = {name: values(repo, name) for name in names}
    run_survey(replace(request(repo, n_workers=1), **both), Heard())
    after = {name: values(repo, name) for name in names}
    kept = {name: {key: after[name][key] for key in before[name]} == before[name] for name in names}
    assert kept == dict(zip(names, (True, True, False, False), strict=True))
    assert [table["n"] for table in before["dia_object"].values()] == [2]
    assert [table["n"] for table in after["dia_object"].values()] == [3]
    assert all(after["forced_source"][key] != value for key, value in before["forced_source"].items())
    assert not run_survey(replace(request(repo, n_workers=1), **both), Heard()).outcomes
