"""filter: which DIA sources may make objects, and why the others may not."""

from diapipe.steps.filter.cuts import DiaSourceFilter
from diapipe.steps.filter.filtering import Filtered, columns_read, filter_dia_sources

__all__ = ["DiaSourceFilter", "Filtered", "columns_read", "filter_dia_sources"]
