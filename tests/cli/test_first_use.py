"""First use: what compiles, when, and what is said of it."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import pytest

import diapipe
from diapipe.cli import first_use
from diapipe.cli.first_use import NOTICE, compilation_announced, compiled_meanwhile, is_compiled
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


def test_a_compiled_kernel_is_known_from_its_file(tmp_path, monkeypatch):
    """Not before its first call, and then also by a process that has not called it."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "halving.py").write_text("from diapipe.numerics.jit import jit\n@jit\ndef half(x):\n    return x / 2\n")
    import halving

    assert not is_compiled(halving.half)
    halving.half(3.0)
    assert is_compiled(importlib.reload(halving).half)


@pytest.mark.parametrize(("cores", "compiled", "expected"), [(2, False, 1), (2, True, 0), (1, False, 0)])
def test_kernels_are_compiled_beside_other_work_where_they_are_not(cores, compiled, expected, monkeypatch):
    """By one process more, which has ended with the block; by none on one core, or where nothing is to compile."""
    started = []

    class Process(subprocess.Popen):
        def __init__(self, words, **options):
            assert words[1:] == ["-m", "diapipe", "warmup", "--quiet"]
            super().__init__([sys.executable, "-c", "import time; time.sleep(0.2)"], **options)
            started.append(self)

    monkeypatch.setattr(first_use, "is_compiled", lambda _kernel: compiled)
    monkeypatch.setattr(first_use.subprocess, "Popen", Process)
    with compiled_meanwhile(cores=cores):
        assert [process.poll() for process in started] == [None] * expected
    assert [process.returncode for process in started] == [0] * expected


def kernels_of_the_source() -> int:
    """Functions under ``@jit`` and ``@inlined`` in the whole package."""
    sources = Path(diapipe.__file__).parent.rglob("*.py")
    return sum(len(re.findall(r"^@(?:jit|inlined)$", source.read_text("utf-8"), re.MULTILINE)) for source in sources)


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
    """After ``diapipe warmup``, for which `.ci/run` has compiled already."""
    commands = Cold(tmp_path_factory.mktemp("kernels"))
    if compiled := os.environ.get("DIAPIPE_WARM_KERNELS"):
        shutil.copytree(compiled, commands.cache, dirs_exist_ok=True)
    else:
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
