# ruff: noqa: F821
# Image differences of DC2 Run 1.2i, as the configuration of dia_pipe and the defaults of LSST's stack of 2018 made them.
# It asks for stars that a reference catalogue has: put one into the repository as the dataset reference_catalog.
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
