"""A PostgreSQL server of its own for a test session, where its programs are found; nothing is installed."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_PROGRAMS = ("initdb", "postgres")
_PLACES = ("/usr/local/bin", *sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True))
_FAST = ["-c", "listen_addresses=", "-c", "fsync=off", "-c", "full_page_writes=off", "-c", "synchronous_commit=off"]
"""No port that another server may have, and no care for a power failure in the middle of a test."""


def _folder_of_programs() -> Path:
    """Where the server's programs are; skips the test where they are not."""
    found = shutil.which("initdb", path=os.pathsep.join([os.environ.get("PATH", ""), *_PLACES]))
    folder = Path(found).parent if found else None
    if folder is None or not all((folder / program).exists() for program in _PROGRAMS):
        pytest.skip("no PostgreSQL: initdb and postgres are not found")
    return folder


def _prefix() -> list[str]:
    """What runs a program as another user, for the server refuses to be root's; skips the test where nothing does.

    A program so run ends when this process does, even by a kill that leaves it no time.
    """
    is_root, setpriv = os.geteuid() == 0, shutil.which("setpriv")
    if setpriv is None:
        if is_root:
            pytest.skip("no PostgreSQL: its server refuses to run as root, and no setpriv is here to be somebody else")
        return []
    nobody = pwd.getpwnam("nobody")
    other = [f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"] if is_root else []
    return [setpriv, *other, "--pdeathsig=INT"]


def _run(*words: str | Path) -> None:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"


@contextmanager
def postgres_server() -> Iterator[str]:
    """Address of the database ``postgres`` of a fresh server, which is stopped and removed at the end."""
    programs, prefix = _folder_of_programs(), _prefix()
    folder = Path(tempfile.mkdtemp(prefix="diapipe_pg_"))  # not below pytest's folder, which only its user may enter
    data, address = folder / "data", f"postgresql://diapipe@/postgres?host={folder}"
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "nobody")
        _run(*prefix, programs / "initdb", "-D", data, "-U", "diapipe", "--auth=trust", "--no-sync", "--encoding=UTF8")
        with (folder / "log").open("wb") as log:
            words = [*prefix, programs / "postgres", "-D", data, *_FAST, "-k", folder]
            server = subprocess.Popen([str(word) for word in words], stdout=log, stderr=log)
        try:
            _wait_for(address, server)
            yield address
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(60)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(address: str, server: subprocess.Popen[bytes]) -> None:
    """Until the server answers; fails if it ended, or takes more than a minute."""
    import psycopg

    until = time.monotonic() + 60
    while True:
        try:
            psycopg.connect(address).close()
            return
        except psycopg.OperationalError:
            assert server.poll() is None, f"the PostgreSQL server ended with {server.returncode}"
            assert time.monotonic() < until, "the PostgreSQL server does not answer"
            time.sleep(0.1)
