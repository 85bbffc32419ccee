"""The ten sharpest images of each patch between two dates; widths in pixels."""
# ruff: noqa: F821
# mypy: ignore-errors

from diapipe.tasks.visit_selectors import TimeBestSeeingWcsSelectImagesTask

config.select.retarget(TimeBestSeeingWcsSelectImagesTask)
config.select.minMJD = 59580.0
config.select.maxMJD = 60310.0
config.select.minPsfFwhm = 2.5
config.select.maxPsfFwhm = 3.5
config.select.nImagesMax = 10
