"""The code that runs does not depend on what a process compiled, loaded or did before."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import diapipe

PACKAGE = Path(diapipe.__file__).parent
STACKS = """
import numpy as np
from diapipe.numerics import shifting
rng = np.random.default_rng(1)
images, (dx, dy), out = rng.normal(size=(9, 1, 31, 31)), rng.uniform(-0.5, 0.5, (2, 9)), np.empty((9, 1, 31, 31))
{before}
shifting.shift_stacks(images, np.arange(9), dx, dy, out)
print(out.tobytes().hex())
"""
ALONE = "shifting.shift_stack(images[0], 0.1, 0.2, np.empty((2, 10)), np.empty((31, 31)), out[0])"


def decorated(tree: ast.Module, *names: str) -> dict[str, ast.FunctionDef]:
    """Functions of a module with one of some decorators."""
    return {
        node.name: node
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        and any(isinstance(one, ast.Name) and one.id in names for one in node.decorator_list)
    }


def test_what_compiled_functions_call_is_inlined() -> None:
    """A compiled function that another one calls is `inlined`, in whatever module it stands."""
    trees = {
        ".".join(("diapipe", *path.relative_to(PACKAGE).with_suffix("").parts)): ast.parse(path.read_text("utf-8"))
        for path in PACKAGE.rglob("*.py")
    }
    outside = {(module, name) for module, tree in trees.items() for name in decorated(tree, "jit")}
    assert len(outside) > 40
    wrong = []
    for module, tree in trees.items():
        imported = {
            alias.asname or alias.name: (node.module, alias.name)
            for node in tree.body
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        for name, function in decorated(tree, "jit", "inlined").items():
            for call in (node.func for node in ast.walk(function) if isinstance(node, ast.Call)):
                if isinstance(call, ast.Name):
                    called = imported.get(call.id, (module, call.id))
                elif isinstance(call, ast.Attribute) and isinstance(call.value, ast.Name):
                    called = (".".join(map(str, imported.get(call.value.id, ("", "")))), call.attr)
                else:
                    continue
                if called in outside:
                    wrong.append(f"{module}.{name} calls {called[1]}")
    assert not wrong


def test_a_process_that_compiles_gives_the_bits_of_one_that_loads(tmp_path: Path) -> None:
    """Compiled here; loaded from the cache; loaded after the part that it calls was loaded alone: the same bits."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(PACKAGE.parent)}
    told = [
        subprocess.run(
            [sys.executable, "-c", STACKS.format(before=before)],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for before in ("", "", ALONE, ALONE)
    ]
    assert len(set(told)) == 1
