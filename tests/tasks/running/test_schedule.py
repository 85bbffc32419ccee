"""The order of quanta, how far a step is, and what is said at the end."""

from __future__ import annotations

import io
from types import SimpleNamespace
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lsst.pipe.base import NoWorkFound
from lsst.pipe.base.connectionTypes import Input
from rich.console import Console

from diapipe.cli.run_progress import StepCounts, _OnTerminal, duration
from diapipe.cli.run_summary import sentence
from diapipe.tasks.running import Ended, Outcome, RunSummary
from diapipe.tasks.running.outcome import reasons_of
from diapipe.tasks.running.reasons import no_work_reason
from diapipe.tasks.running.schedule import Schedule


def outcome(ended: Ended, reason: str = "", *, task: str = "characterize", seconds: float = 1.0) -> Outcome:
    return Outcome(quantum_id=uuid4(), task=task, data_id="visit=1", ended=ended, reason=reason, seconds=seconds)


@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=30), st.sets(st.integers(0, 11)))
def test_none_begins_before_what_it_waits_for(pairs, failing):
    """On any graph: each quantum begins once, after all it waits for is done, or is given up because one failed."""
    names = [UUID(int=n) for n in range(12)]
    edges = {(names[min(pair)], names[max(pair)]) for pair in pairs if pair[0] != pair[1]}
    schedule = Schedule(names, {name: [b for a, b in edges if a == name] for name in names})
    done, given_up = [], []
    while (quantum := schedule.next()) is not None:
        assert {a for a, b in edges if b == quantum} <= set(done)
        assert quantum not in given_up
        if quantum.int in failing:
            given_up += [quantum, *schedule.fail(quantum)]
        else:
            done.append(quantum)
            schedule.succeed(quantum)
    assert sorted(done + given_up) == names
    for quantum in set(given_up) - {names[n] for n in failing}:
        assert {a for a, b in edges if b == quantum} & set(given_up)


def test_the_time_to_go_is_that_of_what_is_left():
    """Eight of ten left at 2 s each on four workers: 4 s; before the first has ended nothing is said."""
    step = StepCounts("visits", {"characterize": 10}, 4)
    assert step.seconds_to_go() is None
    for _ in range(2):
        step.running["characterize"] += 1
        step.end(outcome(Ended.DONE, seconds=2.0))
    assert step.left("characterize") == 8
    assert step.seconds_to_go() == pytest.approx(4.0)


def test_the_table_on_a_terminal():
    """Each task with what is done, running, left, without work, failed and skipped."""
    watcher, seen = _OnTerminal(2), io.StringIO()
    watcher._console = Console(file=seen, width=100)
    with watcher:
        watcher.begin_step("visits", {"characterize": 5})
        for ended in (Ended.DONE, Ended.NO_WORK, Ended.FAILED):
            watcher.begin_quantum("characterize")
            watcher.end_quantum(outcome(ended))
        watcher.begin_quantum("characterize")
        watcher._console.print(watcher._table())
    (row,) = {line for line in seen.getvalue().splitlines() if line.startswith("characterize")}
    assert row.split() == ["characterize", "1", "1", "1", "1", "1", "0"]


def test_an_input_that_was_not_made_is_told_by_its_name():
    """Of a quantum that pipe_base does not begin it says the arguments of its exception, a whole connection."""
    connection = Input(name="template_warp", storageClass="DiaExposure", doc="Visits (of a patch), 'warped'.")
    error = NoWorkFound("assembleCoadd", "inputWarps", connection)
    message = f"Nothing to do for task 'assembleCoadd' on quantum 7; saving metadata and skipping: {error}"
    assert no_work_reason([SimpleNamespace(message=message)]) == "there is no template_warp for it"


def test_reasons_that_differ_in_numbers_are_one():
    """The most frequent first, with an example."""
    outcomes = [outcome(Ended.FAILED, f"only {n} stars") for n in (3, 4)] + [outcome(Ended.FAILED, "no PSF")]
    first, second = reasons_of(outcomes)
    assert first == "2 characterize: only 3 stars (such as visit=1)"
    assert second == "1 characterize: no PSF (visit=1)"


def test_the_end_is_said_in_a_sentence():
    """What failed, where to look, what to do; or that there was nothing to do."""
    summary = RunSummary("diapipe/default", outcomes=[outcome(Ended.DONE)] * 3, seconds=192.0)
    assert sentence(summary, repo="r") == "3 done in 3 min 12 s; results are in diapipe/default."
    summary.outcomes += [outcome(Ended.FAILED), outcome(Ended.SKIPPED)]
    assert sentence(summary, repo="r").startswith(
        "1 of 5 failed and 1 that need them were left (see diapipe status r --failed);"
    )
    assert sentence(RunSummary("diapipe/x"), repo="r") == "Nothing to do: all that was asked for is in diapipe/x."


@pytest.mark.parametrize(
    ("seconds", "said"), [(3.21, "3.2 s"), (59.2, "59 s"), (192, "3 min 12 s"), (7260, "2 h 1 min")]
)
def test_durations(seconds, said):
    """As one says them."""
    assert duration(seconds) == said
