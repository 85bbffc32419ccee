"""The outside world: FITS exposures of every kind, diapipe's own files, tables, PSF files."""

from diapipe.io.atomic import replacing, write_text
from diapipe.io.difference_layout import write_difference, write_exposure
from diapipe.io.exposures import ReadOptions, read_difference, read_exposure
from diapipe.io.given_tables import read_table
from diapipe.io.plain_image import write_plain_image
from diapipe.io.psfex_file import read_psfex
from diapipe.io.stored import stored_difference, stored_exposure, stored_part
from diapipe.io.tables import read_parquet, write_parquet

__all__ = [
    "ReadOptions",
    "read_difference",
    "read_exposure",
    "read_parquet",
    "read_psfex",
    "read_table",
    "replacing",
    "stored_difference",
    "stored_exposure",
    "stored_part",
    "write_difference",
    "write_exposure",
    "write_parquet",
    "write_plain_image",
    "write_text",
]
