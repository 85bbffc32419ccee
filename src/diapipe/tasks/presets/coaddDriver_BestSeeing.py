"""coaddDriver.py -C coaddDriver_BestSeeing.py: the sharpest images of each patch."""
# ruff: noqa: F821, N999
# mypy: ignore-errors

from diapipe.tasks.assemble_coadd import CompareWarpAssembleCoaddTask
from diapipe.tasks.presets import preset_file

config.load(preset_file("dc2_best_seeing.py"))
config.assembleCoadd.retarget(CompareWarpAssembleCoaddTask)
config.doBackgroundReference = False
