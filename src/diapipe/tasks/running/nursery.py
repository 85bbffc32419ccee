"""The fork server of the workers, forked from the process that runs the survey: nothing is imported twice.

The fork server of Python is a new interpreter, which imports for seconds what the process that starts it has imported
already. A copy of that process has it at once. It can be had as long as the process has one thread and has opened
neither database nor lock; later, or where there is no fork, workers come from the server of Python as ever.
"""

from __future__ import annotations

import gc
import importlib
import os
import signal
import socket
import sys
import warnings
from contextlib import suppress
from multiprocessing import connection, forkserver, resource_tracker
from pathlib import Path
from typing import Any

from diapipe.tasks.running import pool

HARMLESS_THREADS = frozenset({"jemalloc_bg_thd"})
"""Threads that survive a fork of their process, or are not missed: that of pyarrow's allocator."""

SERVER_KNOWN = frozenset(
    {
        "_forkserver_address",
        "_forkserver_alive_fd",
        "_forkserver_pid",
        "_inherited_fds",
        "_lock",
        "_preload_modules",
    }
)
"""What Python's own fork server consists of where this one can stand in for it: Python 3.12 and 3.13. With later ones,
which ask for a key, workers come from theirs.
"""


def fork_here() -> bool:
    """Fork the server now, for the workers of all runs of this process; whether there is one of this kind."""
    server: Any = forkserver._forkserver
    if vars(server).keys() != SERVER_KNOWN or server._forkserver_pid is not None:
        return False
    for name in pool.PRELOADED:
        importlib.import_module(name)
    if not _is_alone():
        return False
    with server._lock, socket.socket(socket.AF_UNIX) as listener:
        resource_tracker.ensure_running()
        address = connection.arbitrary_address("AF_UNIX")  # type: ignore[attr-defined]
        listener.bind(address)
        Path(address).chmod(0o600)
        listener.listen()
        alive, ours = os.pipe()
        pid = _fork()
        if pid == 0:
            os.close(ours)
            _serve(listener.detach(), alive)
        os.close(alive)
        server._forkserver_address, server._forkserver_alive_fd, server._forkserver_pid = address, ours, pid
    return True


def _fork() -> int:
    """Fork, with nothing in buffers that both would write, and nothing that the child would look through for cycles."""
    sys.stdout.flush()
    sys.stderr.flush()
    gc.freeze()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that there are threads: they are harmless
        return os.fork()


def _serve(listener: int, alive: int) -> None:
    """Fork workers until nobody is left who could ask for one; it never returns."""
    status = 1
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        os.environ.update(dict.fromkeys(pool.ONE_THREAD, "1"))
        forkserver.main(listener, alive, [])
    except SystemExit:
        status = 0
    finally:
        os._exit(status)


def _is_alone() -> bool:
    """Whether this process has one thread that matters, as far as one can tell."""
    threads = Path("/proc/self/task")
    if not threads.is_dir():
        return False
    names = set[str]()
    for thread in threads.iterdir():
        if thread.name != str(os.getpid()):
            with suppress(OSError):  # it has ended meanwhile
                names.add((thread / "comm").read_text().strip())
    return names <= HARMLESS_THREADS
