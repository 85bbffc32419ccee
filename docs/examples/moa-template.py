"""The template of the MOA field: the sharpest images of the nights 2456480 to 2456483."""

# ruff: noqa: F821
config.select.name = "time_best_seeing"
config.select["time_best_seeing"].minMJD = 56479.5
config.select["time_best_seeing"].maxMJD = 56483.5
config.select["time_best_seeing"].nImagesMax = 5
