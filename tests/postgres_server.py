"""A PostgreSQL server of its own for a test session, where its programs are found; nothing is installed."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_PROGRAMS = ("initdb", "pg_ctl", "postgres")
_PLACES = ("/usr/local/bin", *sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True))
_FAST = "-c listen_addresses= -c fsync=off -c full_page_writes=off -c synchronous_commit=off"
"""No port that another server may have, and no care for a power failure in the middle of a test."""


def _folder_of_programs() -> Path:
    """Where the server's programs are; skips the test where they are not."""
    found = shutil.which("initdb", path=os.pathsep.join([os.environ.get("PATH", ""), *_PLACES]))
    folder = Path(found).parent if found else None
    if folder is None or not all((folder / program).exists() for program in _PROGRAMS):
        pytest.skip("no PostgreSQL: initdb, pg_ctl and postgres are not found")
    return folder


def _user() -> list[str]:
    """What runs a program as another user, for the server refuses to be root's; skips the test where nothing does."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("no PostgreSQL: its server refuses to run as root, and there is no setpriv to become somebody else")
    nobody = pwd.getpwnam("nobody")
    return ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]


def _run(*words: str | Path) -> None:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"


@contextmanager
def postgres_server() -> Iterator[str]:
    """Address of the database ``postgres`` of a fresh server, which is stopped and removed at the end."""
    programs, user = _folder_of_programs(), _user()
    folder = Path(tempfile.mkdtemp(prefix="diapipe_pg_"))  # not below pytest's folder, which only its user may enter
    data = folder / "data"
    try:
        if user:
            shutil.chown(folder, "nobody")
        _run(*user, programs / "initdb", "-D", data, "-U", "diapipe", "--auth=trust", "--no-sync", "--encoding=UTF8")
        start = [*user, programs / "pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", f"{_FAST} -k {folder}"]
        _run(*start, "start")
        try:
            yield f"postgresql://diapipe@/postgres?host={folder}"
        finally:
            _run(*user, programs / "pg_ctl", "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
