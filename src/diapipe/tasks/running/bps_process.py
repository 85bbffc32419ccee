"""``bps submit`` as a process that can be stopped: what it took of a machine or a cluster it gives back.

``bps`` itself, when it is interrupted, leaves the pilots of Parsl where they are, waiting for work.
"""

from __future__ import annotations

import signal
import sys
from types import FrameType

from lsst.ctrl.bps.cli.bps import cli
from parsl.dataflow.dflow import DataFlowKernelLoader
from parsl.errors import NoDataFlowKernelError


def main(submit_file: str) -> None:
    """Submit a file, wait for the end of its jobs, and exit with the status of bps."""
    signal.signal(signal.SIGTERM, _stop)
    try:
        cli(["submit", submit_file])
    finally:
        _give_back()


def _give_back() -> None:
    """End the executors that still run."""
    try:
        kernel = DataFlowKernelLoader.dfk()
    except NoDataFlowKernelError:
        return
    kernel.cleanup()


def _stop(_signal: int, _frame: FrameType | None) -> None:
    """End through the same clean-up as by an interrupt."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    main(sys.argv[1])
