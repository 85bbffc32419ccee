# ruff: noqa: F821
# The widths were meant in pixels of 0.2 arcsec: 0.7 arcsec.
from diapipe.tasks.visit_selectors import BestSeeingWcsSelectImagesTask

config.select.retarget(BestSeeingWcsSelectImagesTask)
config.select.psfFwhmUnit = "pixel"
config.select.nImagesMax = 5
config.select.maxPsfFwhm = 0.7 / 0.2
config.select.minPsfFwhm = 0.0
