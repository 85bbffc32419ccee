"""`pipetask` whose processes are forked from one that has imported everything.

With ``-j N`` pipetask starts a process for each quantum. By default each is a new interpreter, which imports the
middleware and the task before it begins: more time than a small detector takes. Run instead::

    python -m diapipe.tasks.running.pipetask run -j 8 --start-method forkserver -b REPO -p PIPELINE ...

All options are those of `pipetask`; without ``--start-method forkserver`` nothing differs from it.
"""

from __future__ import annotations

from lsst.ctrl.mpexec.cli.pipetask import main

from diapipe.tasks.running import preload

if __name__ == "__main__":
    preload.install()
    main()
