"""coaddDriver.py -C coaddDriver_TimeBestSeeing.py: the sharpest images of each patch between two dates."""
# ruff: noqa: F821, N999
# mypy: ignore-errors

from diapipe.tasks.presets import preset_file
from diapipe.tasks.visit_selectors import NullSelectImagesTask

config.load(preset_file("dc2_time_best_seeing.py"))
config.assembleCoadd.select.retarget(NullSelectImagesTask)
