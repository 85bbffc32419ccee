"""The site builds from a clean checkout: every link leads somewhere, every script of the gallery runs."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
@pytest.mark.e2e
def test_the_site_builds_without_a_warning(tmp_path):
    """As `make docs` does it, beside the checkout: the pages that the index lists, and a picture of each script."""
    pages = tmp_path / "docs"
    shutil.copytree(ROOT / "docs", pages, ignore=shutil.ignore_patterns("_build", "_gallery"))
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        shutil.copy(ROOT / name, tmp_path)
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-W",
        "--keep-going",
        "-q",
        "-b",
        "html",
        str(pages),
        str(tmp_path / "site"),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for page in (ROOT / "docs").rglob("*.md"):
        if "_gallery" not in page.parts:
            assert (tmp_path / "site" / page.relative_to(ROOT / "docs")).with_suffix(".html").is_file()
    for script in (ROOT / "docs" / "gallery").glob("*.py"):
        assert (tmp_path / "site" / "_images" / f"sphx_glr_{script.stem}_001.png").stat().st_size > 5_000
