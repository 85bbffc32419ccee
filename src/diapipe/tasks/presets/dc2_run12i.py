"""Image differences of DC2 Run 1.2i, as dia_pipe configured them over the defaults of LSST's stack of 2018.

It asks for stars that a reference catalogue has: put one into the repository as the dataset ``reference_catalog``.
"""
# ruff: noqa: F821
# mypy: ignore-errors

config.subtract.name = "al"
config.subtract["al"].kernel.name = "AL"
config.subtract["al"].kernel["AL"].spatialKernelOrder = 1
config.subtract["al"].kernel["AL"].spatialBgOrder = 0
config.convolveTemplate = True
config.doAddCalexpBackground = True
config.doSelectSources = True
config.kernelSourcesFromRef = True
config.doDecorrelation = False
config.detection.thresholdValue = 5.5
config.detection.thresholdType = "pixel_stdev"
config.detection.thresholdPolarity = "both"
config.doMerge = True
config.growFootprint = 2
config.doDipoleFitting = True
config.doForcedMeasurement = True
