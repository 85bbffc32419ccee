"""The fork server that is a copy of the run's process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import multiprocessing, os, signal, sys
import benchmarks  # one thread in each library
from diapipe.tasks.running.nursery import fork_here

known = "only this process knows"

def tell(pipe):
    pipe.send((sys.modules["__main__"].known, os.environ["OPENBLAS_NUM_THREADS"], os.getppid(), os.getpid()))

def ask():
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("forkserver").Process(target=tell, args=(theirs,), daemon=True)
    process.start()
    told = ours.recv()
    process.join()
    return told

known = "and this was found while it ran"
assert fork_here() and not fork_here()
first, second = ask(), ask()
assert first[:3] == second[:3] == (known, "1", first[2]) and first[3] != second[3] != os.getpid() != first[2]
print(first[2], flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""

needs_proc = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="the threads of a process are not told")


@needs_proc
def test_workers_have_what_the_process_has_and_vanish_with_it():
    """Nothing is imported again, not even the script; the server of a killed process ends by itself."""
    told = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False, timeout=120)
    assert told.returncode == -9, told.stderr
    assert int(told.stdout) > 0  # its end was reached, so that nobody who could write to it is left


@needs_proc
def test_a_process_with_threads_is_not_forked():
    """A lock that another thread holds would be held in the copy for ever."""
    script = """
import threading, benchmarks
from diapipe.tasks.running.nursery import fork_here
threading.Thread(target=threading.Event().wait, daemon=True).start()
assert not fork_here()
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


@needs_proc
def test_a_python_that_is_not_known_keeps_its_own_server():
    """What a later Python adds to its fork server, a key for instance, would be missing in ours."""
    script = """
import benchmarks
from multiprocessing import forkserver
from diapipe.tasks.running.nursery import fork_here
forkserver._forkserver._forkserver_authkey = b"key"
assert not fork_here()
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


@needs_proc
def test_threads_may_end_while_they_are_counted():
    """Of 3,000 looks at a process whose threads come and go, thirty met one that was listed and gone."""
    script = """
import threading, benchmarks
from diapipe.tasks.running.nursery import _is_alone
looked = threading.Event()
def come_and_go():
    while not looked.is_set():
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()
threading.Thread(target=come_and_go).start()
try:
    for _ in range(2000):
        _is_alone()
finally:
    looked.set()
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


def test_what_every_run_imports_is_what_it_needs():
    """Each of these takes from a third of a second to one and a half, in every process that begins."""
    slow = ("scipy.signal", "scipy.stats", "scipy.interpolate", "scipy.optimize", "pandas", "matplotlib")
    words = (
        f"import sys, diapipe.tasks.running.preload; sys.exit(str([m for m in {slow} if m in sys.modules] or '') or 0)"
    )
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
