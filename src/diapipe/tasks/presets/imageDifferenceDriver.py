"""imageDifferenceDriver.py -C imageDifferenceDriver.py: DC2 Run 1.2i."""
# ruff: noqa: F821, N999
# mypy: ignore-errors

from diapipe.tasks.presets import preset_file

config.imageDifference.load(preset_file("dc2_run12i.py"))
config.ccdKey = "detector"
