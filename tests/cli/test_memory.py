"""Memory of freed arrays: it stays with the process, so that the next array costs no page faults."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

SCRIPT = """
import resource
import numpy as np
from diapipe.cli.memory import keep_freed_memory

keep_freed_memory()

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

first = faults()
plane = np.ones((2048, 2048), np.float32)
one = faults() - first
del plane
plane = np.ones((2048, 2048), np.float32)
print(one, faults() - first - one)
"""


def has_mallopt() -> bool:
    return sys.platform == "linux" and hasattr(ctypes.CDLL(None), "mallopt")


@pytest.mark.skipif(not has_mallopt(), reason="only glibc can be told to keep freed memory")
def test_the_second_array_takes_the_place_of_the_first() -> None:
    """A fresh array of 16 MB is 8 large pages or 4096 small ones; the second one asks for next to none of them."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    fresh, again = (int(word) for word in done.stdout.split())
    assert again <= fresh // 4
