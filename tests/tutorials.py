"""Run a tutorial as a reader would type it: its blocks of shell and of Python, in their order, in one folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PAGES = Path(__file__).resolve().parents[1] / "docs" / "tutorials"
_BLOCKS = re.compile(r"^```(bash|py)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Read:
    """What the Python of a page holds at its end, what its commands said, and where."""

    names: Mapping[str, Any]
    said: str
    folder: Path


def read_through(page: str, folder: Path, **environment: str) -> Read:
    """Run every block of a page of the tutorials that is marked ``bash`` or ``py``."""
    names: dict[str, Any] = {}
    said = []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for language, block in _BLOCKS.findall((PAGES / page).read_text()):
            if language == "bash":
                said.append(_run_shell(block, folder, environment))
            else:
                exec(compile(block, page, "exec"), names)
    return Read(names, "".join(said), folder)


def _run_shell(block: str, folder: Path, more: Mapping[str, str]) -> str:
    """A block of shell, which stops at the first command that fails."""
    diapipe = f'diapipe() {{ "{sys.executable}" -m diapipe "$@"; }}\n'
    scripts = Path(sys.executable).parent
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"} | more
    environment["PATH"] = f"{scripts}{os.pathsep}{environment['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", diapipe + block], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
