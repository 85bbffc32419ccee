"""The five sharpest images of each patch; their widths were meant in pixels of 0.2 arcsec, 0.7 arcsec at most."""
# ruff: noqa: F821
# mypy: ignore-errors

from diapipe.tasks.visit_selectors import BestSeeingWcsSelectImagesTask

config.select.retarget(BestSeeingWcsSelectImagesTask)
config.select.psfFwhmUnit = "pixel"
config.select.nImagesMax = 5
config.select.maxPsfFwhm = 3.5
config.select.minPsfFwhm = 0.0
