"""One module per outside world: FITS, LSST afw files, CCDData, parquet."""
