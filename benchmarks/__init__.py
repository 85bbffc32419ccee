"""Programs that measure how fast and how good diapipe is; see README.md beside."""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):  # as `diapipe` does
    os.environ.setdefault(name, "1")
