"""First use: what compiles, when, and what is said of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numba
import pytest

import diapipe
from diapipe.cli.first_use import NOTICE, compilation_announced
from diapipe.cli.truth import bare, simulated
from diapipe.io import write_exposure


def test_compilation_is_announced_once_and_only_when_it_happens(capsys):
    """Two types compile, one sentence is said; what is compiled already is silent, and so is what is to be quiet."""
    twice = numba.njit(lambda value: 2.0 * value)
    with compilation_announced(quiet=True):
        twice(1)
    with compilation_announced(quiet=False):
        twice(1)
        assert capsys.readouterr().err == ""
        assert twice(1.5) == 3.0
        twice(True)
    assert capsys.readouterr().err == NOTICE + "\n"


def kernels_of_the_source() -> int:
    """Functions under ``@jit`` in the whole package."""
    sources = Path(diapipe.__file__).parent.rglob("*.py")
    return sum(source.read_text(encoding="utf-8").count("\n@jit\n") for source in sources)


class Cold:
    """Commands with a folder of compiled kernels of their own, empty at first."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.environment = os.environ | {"NUMBA_CACHE_DIR": str(cache)}

    def run(self, *words: object) -> str:
        """What the command says on stderr."""
        command = [sys.executable, "-m", "diapipe", *map(str, words)]
        return subprocess.run(command, env=self.environment, check=True, capture_output=True, text=True).stderr

    def kernels(self) -> set[str]:
        """Compiled kernels, one a name and type."""
        return {path.name for path in self.cache.rglob("*.nbc")}


@pytest.fixture(scope="module")
def cold(tmp_path_factory):
    """After ``diapipe warmup``."""
    commands = Cold(tmp_path_factory.mktemp("kernels"))
    commands.run("warmup", "--quiet")
    return commands


@pytest.mark.slow
@pytest.mark.e2e
def test_after_warmup_nothing_compiles(cold, tmp_path):
    """Every kernel has been compiled for one type, and no run afterwards needs another: planes or none, threads."""
    compiled = cold.kernels()
    assert len(compiled) == kernels_of_the_source()
    pair = simulated(size=400, seed=6)
    for name in ("science", "template"):
        write_exposure(getattr(pair, name), tmp_path / f"{name}.fits")
        write_exposure(bare(getattr(pair, name)), tmp_path / f"bare_{name}.fits")
    said = cold.run("subtract", tmp_path / "science.fits", tmp_path / "template.fits", "--out", tmp_path / "a")
    said += cold.run(
        "subtract", tmp_path / "bare_science.fits", tmp_path / "bare_template.fits", "--out", tmp_path / "b",
        "--threads", 2, "--write", "score", "--write", "matched_template",
    )  # fmt: skip
    said += cold.run("demo", "--pair", "--out", tmp_path / "demo", "--size", 256)
    assert cold.kernels() == compiled
    assert NOTICE not in said


@pytest.mark.slow
@pytest.mark.e2e
@pytest.mark.realdata
@pytest.mark.parametrize(
    ("science", "template"),
    [
        ("moa2013blg475/epochs/moa475_I_0007.fits.fz", "moa2013blg475/epochs/moa475_I_0019.fits.fz"),
        ("sfft_decam/input_data/DEC-OBS18a.mini.fits", "sfft_decam/input_data/DEC-OBS18b.mini.fits"),
    ],
)
def test_after_warmup_nothing_compiles_on_real_data(cold, shared_data, tmp_path, science, template):
    """Crowded and sparse, single images as a telescope wrote them."""
    compiled = cold.kernels()
    said = cold.run("subtract", shared_data / science, shared_data / template, "--out", tmp_path / "out")
    assert cold.kernels() == compiled
    assert NOTICE not in said
