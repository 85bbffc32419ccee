"""What breaks costs what it must and no more: nothing lost, nothing doubled, and the next run finishes the rest."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import sqlalchemy
from lsst.daf.butler import Butler, QuantumProvenanceData
from lsst.daf.butler._rubin.temporary_for_ingest import TemporaryForIngest
from lsst.resources import ResourcePath
from sqlalchemy.exc import OperationalError
from tests.filesystems import filled, small_filesystem
from toy_runs import N_DETECTORS, N_VISITS, PIPELINE, Heard, counts, ended, n_registered, request, run, strays, values

from diapipe.errors import UsageError, WriteError
from diapipe.tasks.running import run_survey
from diapipe.tasks.running.journal import Journal
from diapipe.tasks.running.ledger import digest_of

N = N_VISITS * N_DETECTORS
SLOWLY = "characterize:seconds=0.4"
KEPT = ("visit_image", "characterize_metadata", "characterize_log")


def command(repo: Path, *options: str) -> subprocess.Popen[str]:
    """`diapipe run` of the first step in a process of its own, slowly."""
    words = ["run", str(repo), "--pipeline", str(PIPELINE), "--steps", "visits", "--cores", "2", "-c", SLOWLY, *options]
    return subprocess.Popen(
        [sys.executable, "-m", "diapipe", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for_images(repo: Path, n: int, process: subprocess.Popen[str]) -> None:
    """Until so many images lie on disk, registered or not."""
    until = time.monotonic() + 120
    while len(list(repo.glob("diapipe/*/*/characterize_metadata/**/*.json"))) < n:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_run_killed_outright_loses_nothing(repo):
    """Kill -9 of the whole run: what was done is registered by the next run, the rest is done, once; of all it is known
    from which inputs it was made.
    """
    killed = command(repo)
    wait_for_images(repo, 2, killed)
    killed.kill()
    killed.communicate()
    n_done = len(list(repo.glob("diapipe/*/*/characterize_metadata/**/*.json")))
    heard = Heard()
    again = run_survey(request(repo, steps=("visits",), values=(SLOWLY,)), heard)
    assert any("an earlier run was killed" in sentence for sentence in heard.sentences)
    assert again.exit_status == 0
    assert counts(again) == {"done": N - n_done}
    assert {name: n_registered(repo, name) for name in KEPT} == dict.fromkeys(KEPT, N)
    assert len(values(repo, "visit_image")) == N
    assert not strays(repo)
    with Butler.from_config(repo) as butler:
        inputs = butler.query_datasets("post_isr_image", collections="*", find_first=False, limit=None)
    entries = Journal.of(str(repo), "diapipe/default").ledger().entries("characterize").values()
    assert {entry.inputs for entry in entries} == {digest_of([ref.id]) for ref in inputs}
    assert not run(repo, steps=("visits",), values=(SLOWLY,)).outcomes


def begun(path: Path) -> Path:
    """The name under which the butler writes a file before it is whole."""
    with TemporaryForIngest.make_path(ResourcePath(path)) as temporary:
        return Path(temporary.ospath)


def whole(repo: Path, dataset_type: str) -> list[Path]:
    """Files of a dataset type that were written to their end."""
    return [path for path in repo.glob(f"diapipe/*/*/{dataset_type}/**/*.json") if ".tmp" not in path.name]


def test_what_was_being_written_is_removed(repo):
    """A worker may die in the middle of a file: of a quantum that is done but for its log as of one that is not."""
    killed = command(repo)
    wait_for_images(repo, 3, killed)  # on two workers: one of them has its log
    killed.kill()
    killed.communicate()
    half = begun(whole(repo, "characterize_log")[0])
    whole(repo, "characterize_log")[0].replace(half)
    assert half in strays(repo)
    without_log = len(whole(repo, "characterize_metadata")) - len(whole(repo, "characterize_log"))
    assert without_log in {1, 2}  # the other worker may have been killed between the two
    again = run(repo, steps=("visits",), values=(SLOWLY,))
    assert again.exit_status == 0
    assert n_registered(repo, "characterize_log") == N - without_log
    assert n_registered(repo, "visit_image") == N
    assert not strays(repo)


@pytest.mark.parametrize(("sign", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_keeps_what_is_done(repo, sign, status):
    """Ctrl-C or the batch system's SIGTERM: a line, no traceback, nothing half-written, and the next run goes on."""
    process = command(repo)
    wait_for_images(repo, 2, process)
    os.kill(process.pid, sign)
    out, err = process.communicate(timeout=60)
    assert process.returncode == status
    assert "Traceback" not in err
    if sign == signal.SIGINT:
        assert "done and kept; run the same command again" in out
    n_done = n_registered(repo, "visit_image")
    assert 2 <= n_done < N
    assert not strays(repo)
    heard = Heard()
    again = run_survey(request(repo, steps=("visits",), values=(SLOWLY,)), heard)
    assert counts(again) == {"done": N - n_done}
    assert not any("killed" in sentence for sentence in heard.sentences)


def test_two_runs_at_once_never_double(repo):
    """The second run of an output is refused with who runs the first, or waits for it; either way each is done once."""
    first = command(repo)
    wait_for_images(repo, 1, first)
    with pytest.raises(UsageError) as error:
        run(repo, steps=("visits",), values=(SLOWLY,))
    assert f"another run writes this output (process {first.pid} on " in str(error.value)
    waited = run(repo, steps=("visits",), values=(SLOWLY,), wait=True)
    assert first.wait() == 0
    first.communicate()
    assert not waited.outcomes
    assert n_registered(repo, "visit_image") == N


def test_the_lock_of_a_dead_run_is_free(tmp_path):
    """While one has it another cannot; a process that dies with it leaves the file, but not the lock."""
    script = "import fcntl, os, sys; fcntl.flock(open(sys.argv[1], 'a'), fcntl.LOCK_EX | fcntl.LOCK_NB); os._exit(9)"
    lock = tmp_path / "lock"
    with Journal(tmp_path).locked():
        assert subprocess.run([sys.executable, "-c", script, lock], check=False, capture_output=True).returncode == 1
    assert subprocess.run([sys.executable, "-c", script, lock], check=False).returncode == 9
    with Journal(tmp_path).locked():
        assert lock.read_text().startswith(f"process {os.getpid()} ")


def test_a_quantum_over_the_time_limit_is_ended(repo):
    """A task that hangs is killed after the limit and told as such; the pool goes on with a new worker."""
    summary = run(repo, steps=("visits",), values=("characterize:hang=['1/1']",), limit_seconds=3.0)
    assert counts(summary) == {"done": N - 1, "failed": 1}
    assert [outcome.reason for outcome in ended(summary, "failed")] == ["took longer than the limit of 3 s"]


def test_a_file_too_large_for_the_disk_fails_its_quantum(repo):
    """The limit stands for a quota: the sentence of the system is the reason, and no piece of the file is left."""
    settings = ("characterize:nNumbers=5000", "characterize:fileLimit=15000")
    summary = run(repo, steps=("visits",), values=settings, n_workers=1)
    assert summary.exit_status == 1
    assert all("File too large" in outcome.reason for outcome in ended(summary, "failed"))
    assert n_registered(repo, "visit_image") == 0
    assert not strays(repo)


def test_a_full_disk_stops_the_run(repo):
    """ENOSPC: the first quantum that meets it stops the run with a sentence; with room again the rest is done."""
    full = repo.parent / "full"
    full.touch()
    settings = (f"characterize:diskFullWhile='{full}'",)
    summary = run(repo, steps=("visits", "scale"), values=settings, n_workers=1)
    assert (summary.stopped, summary.exit_status) == ("the disk is full", 1)
    assert counts(summary) == {"failed": 1}
    full.unlink()
    assert counts(run(repo, steps=("visits",), values=settings)) == {"done": N}
    assert not strays(repo)


@pytest.mark.parametrize("n_bytes_left", [0, 60_000, 400_000])
def test_a_disk_that_is_really_full(toy_survey, tmp_path, n_bytes_left):
    """Whatever does not fit, lock, database or images: a run that ends with a sentence, and with room again the rest
    is done, once. The images of this survey take 600 kB.
    """
    settings = ("characterize:nNumbers=5000",)
    with small_filesystem(tmp_path / "disk", n_bytes=8 << 20) as disk:
        repo = Path(shutil.copytree(toy_survey, disk / "repo"))
        with filled(disk, n_bytes_left=n_bytes_left):
            try:
                told = run(repo, steps=("visits",), values=settings).stopped
            except WriteError as error:
                told = str(error)
            assert "disk is full" in told or "No space left on device" in told
        again = run(repo, steps=("visits",), values=settings)
        assert again.exit_status == 0
        assert [n_registered(repo, name) for name in KEPT[:2]] == [N, N]
        assert not strays(repo)


def test_a_table_that_found_no_room_is_made_by_the_next_run(repo, monkeypatch):
    """The butler registers a dataset type though the disk was too full for its table: the run says so, and the next one
    makes the table, where every command failed from then on.
    """

    def full(*_: object, **__: object) -> None:
        raise OperationalError("CREATE TABLE", {}, Exception("database or disk is full"))

    with monkeypatch.context() as patch:
        patch.setattr(sqlalchemy.schema.Table, "create", full)
        with pytest.raises(WriteError, match=r"took no new tables, as where the disk is full; what was done is kept"):
            run(repo, steps=("visits",))
    heard = Heard()
    again = run_survey(request(repo, steps=("visits",)), heard)
    assert any("made in the database, which an earlier run had no room for" in said for said in heard.sentences)
    assert again.exit_status == 0
    assert n_registered(repo, "visit_image") == N
    assert not strays(repo)


def test_a_database_that_takes_no_more_loses_nothing(repo, monkeypatch):
    """The disk of the database is full: one sentence, and the next run registers what the workers had written."""

    def full(*_: object) -> None:
        raise OperationalError("INSERT", {}, Exception("database or disk is full"))

    with monkeypatch.context() as patch:
        patch.setattr(QuantumProvenanceData, "collect_and_transfer", full)
        with pytest.raises(WriteError, match=r"database or disk is full.*what was done is kept"):
            run(repo, steps=("visits",))
    assert n_registered(repo, "visit_image") == 0
    heard = Heard()
    again = run_survey(request(repo, steps=("visits",)), heard)
    assert any("finished quanta of it are registered now" in sentence for sentence in heard.sentences)
    assert len(again.outcomes) < N
    assert n_registered(repo, "visit_image") == N
    assert not strays(repo)


def test_a_truncated_input_fails_alone(repo):
    """A file cut in the middle costs its detector; its reason names the file or what is wrong with it."""
    with Butler.from_config(repo) as butler:
        path = Path(
            butler.getURI(
                "post_isr_image", instrument="ToyCam", exposure=2, detector=0, collections="ToyCam/raw"
            ).ospath
        )
    path.write_bytes(b"{value")
    summary = run(repo, steps=("visits",))
    assert counts(summary) == {"done": N - 1, "failed": 1}
    (failed,) = ended(summary, "failed")
    assert failed.data_id == "visit=2 detector=0"
    assert "post_isr_image" in failed.reason


def test_a_visit_beside_all_tracts_is_left_out(far_survey):
    """Without overlap with the skymap a visit has no template: it is not differenced, and nothing fails."""
    summary = run(far_survey)
    assert summary.exit_status == 0
    assert summary.counts()["characterize"]["done"] == 4
    assert {visit for _, _, visit in values(far_survey)} == {1}


def test_a_log_line_of_a_thread_harms_nothing(repo):
    """Two runs on outputs of their own, at the same time, in two threads of a program: both finish."""
    summaries = {}

    def one(name: str) -> None:
        summaries[name] = run(repo, steps=("visits",), output=name, n_workers=1)

    threads = [threading.Thread(target=one, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {name: counts(summary) for name, summary in summaries.items()} == {"a": {"done": N}, "b": {"done": N}}
