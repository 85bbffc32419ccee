"""The rules of the house that tools do not check by themselves."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "diapipe"
MODULES = sorted(SOURCE.rglob("*.py"))
EXECUTABLES = Path(sys.executable).parent

VAGUE = {"utils", "util", "helpers", "helper", "common", "core", "misc"}
ADDRESSES = [
    re.compile(r"(?<![\w.])/(?:work|home|root|opt|Users|mnt|scratch)/\w"),
    re.compile(r"\bpypi\.|pythonhosted|--(?:extra-)?index-url|anaconda\.org", re.IGNORECASE),
]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def functions(tree: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of the body without the docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def tracked_files() -> list[Path]:
    """Files under version control; in an unpacked source archive, all that came with it."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    return [path for path in ROOT.rglob("*") if path.is_file() and ".venv" not in path.parts]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_is_short_named_and_documented(path):
    """A name that says what is inside, a docstring, at most 500 lines and 60 in a function's body, no print."""
    tree = tree_of(path)
    assert not VAGUE & {path.stem, *path.relative_to(SOURCE).parts[:-1]}
    assert ast.get_docstring(tree), f"{name_of(path)} has no docstring"
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 500
    long = {f.name: body_lines(f) for f in functions(tree) if body_lines(f) > 60}
    assert not long, f"{name_of(path)}: {long}"
    calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    assert not any(isinstance(call, ast.Name) and call.id == "print" for call in calls)


@pytest.mark.parametrize("path", [path for path in MODULES if "\n__all__ = " in path.read_text()], ids=name_of)
def test_what_a_package_exports_exists_and_is_documented(path):
    """Every name in an ``__all__`` is there; classes and functions say what they are."""
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    found = importlib.import_module(module)
    for name in found.__all__:
        value = getattr(found, name)
        assert not callable(value) or inspect.getdoc(value), f"{module}.{name} has no docstring"


def test_test_files_have_names_of_their_own():
    """Pytest imports test files by their bare name: no two may share one."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert len(names) == len(set(names))


def test_no_file_names_a_machine_or_a_package_index():
    """What is checked in works anywhere: no path of one machine, no address of a registry."""
    found = []
    for path in tracked_files():
        if path == Path(__file__):
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [
            f"{name_of(path)}:{n}: {line.strip()[:80]}"
            for n, line in enumerate(text.splitlines(), 1)
            if any(pattern.search(line) for pattern in ADDRESSES)
        ]
    assert not found, "\n".join(found)


def test_the_layers_hold():
    """The import contracts of pyproject.toml; `lint-imports` comes with the test extra."""
    done = subprocess.run([EXECUTABLES / "lint-imports"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


def test_readme_and_ci_run_the_same_tests():
    """The README's two commands are what CI does."""
    readme, ci = (ROOT / "README.md").read_text(), (ROOT / ".ci" / "run").read_text()
    assert "python -m pip install '.[pipeline]' && python -m diapipe demo" in readme
    assert "python -m pip install '.[pipeline,test]' && python -m pytest" in readme
    assert "'.[pipeline,test]'" in ci
    assert "python -m pytest" in ci
