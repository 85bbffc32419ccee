"""Runs through `pipetask`, for tests that compare them with others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def pipetask(repo: Path, *options: str) -> None:
    """`pipetask run -j 2`, its processes forked from one that has imported everything."""
    words = ["run", "-b", str(repo), "-j", "2", "--start-method", "forkserver", "--register-dataset-types", *options]
    module = [sys.executable, "-m", "diapipe.tasks.running.pipetask"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([*module, *words], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
