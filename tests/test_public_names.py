"""The public vocabulary: there, documented, and free until it is used."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys

import pytest

import diapipe

NAMES = [name for name in diapipe.__all__ if not name.startswith("__")]


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_exists_and_says_what_it_is(name):
    found = getattr(diapipe, name)
    assert (inspect.getdoc(found) or "").strip()
    assert name in dir(diapipe)


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_comes_from_the_package_that_lists_it(name):
    """One home for each name: the object of the root is that of the module, not a copy."""
    home = importlib.import_module(diapipe._HOME_OF[name])
    assert getattr(home, name) is getattr(diapipe, name)
    if hasattr(home, "__all__"):
        assert name in home.__all__


def test_the_three_lists_of_names_agree():
    """What type checkers see, what ``*`` exports and what is imported lazily are the same names."""
    tree = ast.parse(inspect.getsource(diapipe))
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {(node.module, alias.name) for node in guarded.body for alias in node.names}
    assert seen == {(home, name) for name, home in diapipe._HOME_OF.items()}
    assert {name for _, name in seen} == set(NAMES)
    assert len(diapipe.__all__) == len(set(diapipe.__all__))


def test_the_vocabulary_is_small():
    """A newcomer can read it in a minute."""
    assert len(NAMES) <= 30


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'diapipe' has no attribute 'subtarct'"):
        _ = diapipe.subtarct


def test_importing_diapipe_imports_nothing_else():
    """``import diapipe`` loads neither NumPy nor any module of its own."""
    program = "import sys, diapipe; print([m for m in sys.modules if m == 'numpy' or m.startswith('diapipe.')])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
