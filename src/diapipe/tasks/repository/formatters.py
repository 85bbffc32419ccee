"""How a repository reads and writes exposures and differences, FITS files of diapipe's own layout, and tables.

Repositories hold the paths of these classes with every file: they never move.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar

from astropy.table import Table
from lsst.daf.butler import DatasetProvenance, FormatterV2, Location
from lsst.daf.butler.formatters.parquet import ParquetFormatter
from lsst.resources import ResourcePath

from diapipe.errors import WriteError
from diapipe.images.box import Box
from diapipe.io import stored_difference, stored_exposure, stored_part, write_difference, write_exposure
from diapipe.tasks.repository.arrow_tables import read_plainly
from diapipe.tasks.repository.camera_files import ImageFile
from diapipe.tasks.repository.file_stamps import check_same, check_size
from diapipe.tasks.repository.stored_cameras import camera_for, stamp_in

MOST_INPUTS = 100
"""Datasets that a header names; of more, only their number."""


class ExposureFormatter(FormatterV2):
    """`Exposure` as a FITS file; a component or a box is read without the rest of the pixels."""

    can_read_from_local_file = True
    default_extension = ".fits"
    supported_write_parameters: ClassVar[frozenset[str]] = frozenset({"compress"})
    _making: Mapping[str, Any] = MappingProxyType({})

    def read_from_local_file(self, path: str, component: str | None = None, expected_size: int = -1) -> Any:
        """The exposure, its part in the parameter ``bbox``, or a component."""
        if component is not None:
            return stored_part(path, component, box=self.box)
        return self.read_whole(path)

    def read_whole(self, path: str) -> Any:
        """The object of the file, or its part in the parameter ``bbox``."""
        return stored_exposure(path, box=self.box)

    def add_provenance(self, in_memory_dataset: Any, /, *, provenance: DatasetProvenance | None = None) -> Any:
        """Note which dataset it is, what made it and from which inputs, for the file's primary header."""
        said = (provenance or DatasetProvenance()).to_flat_dict(
            self.dataset_ref, sep=" ", use_upper=True, simple_types=True, max_inputs=MOST_INPUTS
        )
        self._making = {key.replace(" ", "-"): value for key, value in said.items()}
        return in_memory_dataset

    def write_local_file(self, in_memory_dataset: Any, uri: ResourcePath) -> None:
        """Write the exposure."""
        write_exposure(in_memory_dataset, uri.ospath, compress=self.is_compressed, provenance=self._making)

    @property
    def box(self) -> Box | None:
        """What part of the pixels is asked for."""
        return (self.file_descriptor.parameters or {}).get("bbox")

    @property
    def is_compressed(self) -> bool:
        """Whether the repository's configuration asks for compressed pixels."""
        return bool(self.write_parameters.get("compress", False))


class DifferenceFormatter(ExposureFormatter):
    """`Difference` as a FITS file, with its kernels, its background and the template that was subtracted."""

    def read_whole(self, path: str) -> Any:
        """The object of the file, or its part in the parameter ``bbox``."""
        return stored_difference(path, box=self.box)

    def write_local_file(self, in_memory_dataset: Any, uri: ResourcePath) -> None:
        """Write the difference with everything that it holds."""
        write_difference(
            in_memory_dataset, uri.ospath, compress=self.is_compressed, with_template=True, provenance=self._making
        )


class CameraFileFormatter(FormatterV2):
    """A file of any camera as an `Exposure`, by the camera's description; what `diapipe ingest` registers."""

    can_read_from_local_file = True
    default_extension = ".fits"

    def read_from_local_file(self, path: str, component: str | None = None, expected_size: int = -1) -> Any:
        """The exposure, its part in the parameter ``bbox``, or a component; ReadError of a file that was changed."""
        check_same(path, stamp_in(self.file_descriptor.location.uri))
        image = self.image_file(path)
        return image.exposure(self.box) if component is None else image.part(component, self.box)

    def _check_resource_size(self, uri: ResourcePath, recorded_size: int, resource_size: int) -> None:
        """Refuse a file of another size in a sentence that says what to do: the datastore's own does not."""
        check_size(uri.unquoted_path, found_bytes=resource_size, recorded_bytes=recorded_size)

    @classmethod
    def validate_extension(cls, location: Location) -> None:
        """Take any: files keep the endings of their names, and their content says what they are."""

    def image_file(self, path: str) -> ImageFile:
        """The detector's image in the file."""
        found = self.data_id
        return ImageFile(
            path,
            camera=camera_for(self.file_descriptor.location, str(found["instrument"])),
            visit=int(found["exposure"] if "exposure" in found else found["visit"]),
            detector=int(found["detector"]),
        )

    @property
    def box(self) -> Box | None:
        """What part of the pixels is asked for."""
        return (self.file_descriptor.parameters or {}).get("bbox")

    def write_local_file(self, in_memory_dataset: Any, uri: ResourcePath) -> None:
        """Refuse: a camera's files are only ingested."""
        raise WriteError(f"files of a camera are ingested, not written: {uri}")


class TableFormatter(ParquetFormatter):
    """astropy tables as parquet files, as the Butler writes and reads them, in a fifth of the time for 150 columns."""

    can_read_from_uri = False  # that way goes past ours

    def read_from_local_file(self, path: str, component: str | None = None, expected_size: int = -1) -> Any:
        """The table, or columns of it by their names; any other part, and other kinds, as the Butler reads them."""
        wanted = dict(self.file_descriptor.parameters or {})
        columns = wanted.pop("columns", None)
        if component is None and not wanted and self.file_descriptor.readStorageClass.name == "ArrowAstropy":
            found = read_plainly(path, columns)
            if found is not None:
                return found
        return super().read_from_local_file(path, component, expected_size)

    def write_local_file(self, in_memory_dataset: Any, uri: ResourcePath) -> None:
        """Write the table."""
        if isinstance(in_memory_dataset, Table):
            in_memory_dataset = _KnownTypes(in_memory_dataset, copy=False)
        super().write_local_file(in_memory_dataset, uri)


class _KnownTypes(Table):  # type: ignore[misc, unused-ignore]
    """A table whose column types are put together once: the Butler asks for all of them again for each column."""

    @cached_property
    def dtype(self) -> Any:
        """Types of all columns."""
        return super().dtype
