"""One FITS file, open: HDUs by name, pixels as native arrays, every failure a `ReadError` that names the file."""

from __future__ import annotations

import lzma
import os
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from diapipe.errors import InputError, ReadError

type PathLike = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class FitsFile:
    """An open FITS file.

    Attributes
    ----------
    name
        What messages call it: the file's name.
    hdus
        Its header-data units.
    names
        What each HDU calls itself, in capitals: EXTNAME, or EXTTYPE as older LSST files have it, or "".
    size
        Bytes on disk; 0 where that says nothing about the end of the data (a gzipped file).
    """

    name: str
    hdus: fits.HDUList
    names: tuple[str, ...]
    size: int

    def find(self, *wanted: str) -> int | None:
        """Number of the first HDU that has one of the names, trying them in turn; None if there is none."""
        return next((self.names.index(name) for name in wanted if name in self.names), None)

    def find_beside(self, image: int, *wanted: str) -> int | None:
        """Number of the HDU that has one of the names and belongs to an image of the file; None if there is none.

        Where the image is one of several of its name, as in a file of many chips, EXTVER tells what belongs together;
        of several with one EXTVER it is the first behind the image.
        """
        if self.names.count(self.names[image]) < 2:
            return self.find(*wanted)
        for name in wanted:
            own = [
                n for n, found in enumerate(self.names) if found == name and self._version(n) == self._version(image)
            ]
            if own:
                return next((n for n in own if n > image), own[0])
        return None

    def _version(self, number: int) -> int:
        """EXTVER, which is 1 unless said."""
        return int(self.hdus[number].header.get("EXTVER", 1))

    @property
    def content(self) -> str:
        """In words, each HDU by number, name if it has one, and shape of its image."""
        return ", ".join(
            " ".join(filter(None, (str(number), name, self._shape_in_words(number))))
            for number, name in enumerate(self.names)
        )

    def _shape_in_words(self, number: int) -> str:
        return f"({' x '.join(map(str, self.hdus[number].shape))} px)" if self.is_image(number) else "(no image)"

    def header(self, number: int) -> fits.Header:
        """Header of an HDU."""
        return self.hdus[number].header

    def wcs_header(self, number: int) -> fits.Header:
        """The cards of an HDU that say where its pixels are, and perhaps others."""
        return self.header(number)

    def data(self, number: int) -> Any:
        """Data of an HDU as astropy gives them, None if it has none; ReadError if they are cut short or damaged."""
        self._check_length(number)
        try:
            return self.hdus[number].data
        except Exception as error:  # the decompressors raise classes of their own, some of them private
            raise ReadError(f"{self.name}: HDU {number} is damaged ({_one_line(error)})", path=self.name) from error

    def shape(self, number: int) -> tuple[int, int]:
        """Rows and columns of an image, axes of length 1 before them dropped; ReadError if it has not two others."""
        found = tuple(self.hdus[number].shape) if self.is_image(number) else ()
        while len(found) > 2 and found[0] == 1:
            found = found[1:]
        if not found:
            raise ReadError(f"{self.name}: HDU {number} has no pixels", path=self.name)
        if len(found) != 2:
            raise ReadError(
                f"{self.name}: HDU {number} has an image of shape {found}; one with two dimensions is needed",
                path=self.name,
            )
        return found[0], found[1]

    def part(
        self, number: int, rows: slice, columns: slice, dtype: type[np.generic] | None = None
    ) -> np.ndarray[Any, Any]:
        """Some pixels of an image of two dimensions, the rest of which is neither read nor decompressed.

        Parameters
        ----------
        number
            Which HDU.
        rows, columns
            Where they lie; inside the image.
        dtype
            Type to convert to; None keeps the file's.

        Raises
        ------
        ReadError
            If the data are cut short, missing or damaged.
        """
        self._check_length(number)
        hdu = self.hdus[number]
        try:
            if isinstance(hdu, fits.CompImageHDU):
                found = hdu.section[(0,) * (len(hdu.shape) - 2) + (rows, columns)]
            else:
                found = hdu.section[(0,) * (len(hdu.shape) - 2) + (rows, slice(None))][
                    :, columns
                ]  # whole rows are one read, parts of rows one for each
        except Exception as error:  # as in `data`
            raise ReadError(f"{self.name}: HDU {number} is damaged ({_one_line(error)})", path=self.name) from error
        return np.ascontiguousarray(found, dtype=found.dtype.newbyteorder("=") if dtype is None else dtype)

    def pixels(self, number: int, dtype: type[np.generic] | None = None) -> np.ndarray[Any, Any]:
        """Pixels of an HDU as a C-contiguous array of native byte order, axes of length 1 before the last two dropped.

        Parameters
        ----------
        number
            Which HDU.
        dtype
            Type to convert to; None keeps the file's.

        Raises
        ------
        ReadError
            If the data are cut short, missing or damaged, or the image does not have two dimensions.
        """
        data = self.data(number)
        if data is None:
            raise ReadError(f"{self.name}: HDU {number} has no pixels", path=self.name)
        while data.ndim > 2 and data.shape[0] == 1:
            data = data[0]
        if data.ndim != 2:
            raise ReadError(
                f"{self.name}: HDU {number} has an image of shape {data.shape}; one with two dimensions is needed",
                path=self.name,
            )
        kind = np.dtype(dtype) if dtype is not None else data.dtype.newbyteorder("=")
        if data.dtype == kind.newbyteorder() and data.flags.c_contiguous and data.flags.writeable:
            del self.hdus[number].data  # swapped in place: astropy must not hand out these bytes again
            return np.asarray(data.byteswap(inplace=True).view(kind))
        with np.errstate(over="ignore", invalid="ignore"):  # fill values beyond the type become infinite
            return np.ascontiguousarray(data, dtype=kind)

    def table(self, number: int) -> fits.FITS_rec:
        """Rows of a binary table; ReadError if it is none, or cut short."""
        data = self.data(number)
        if not isinstance(data, fits.FITS_rec):
            raise ReadError(f"{self.name}: HDU {number} is not a table", path=self.name)
        return data

    def is_image(self, number: int) -> bool:
        """Whether the HDU holds an image with pixels."""
        hdu = self.hdus[number]
        return bool(hdu.is_image) and int(hdu.header.get("NAXIS", 0)) > 0 and 0 not in hdu.shape

    def _check_length(self, number: int) -> None:
        place: dict[str, Any] = {}
        with suppress(AttributeError, TypeError):
            place = self.hdus[number].fileinfo() or {}
        span, start = place.get("datSpan") or 0, place.get("datLoc") or 0
        if self.size and start + span - _padding_of(self.hdus[number], span) > self.size:
            raise ReadError(
                f"{self.name} is truncated: it has {self.size} bytes, HDU {number} ends at {start + span}",
                path=self.name,
            )


def _padding_of(hdu: Any, span: int) -> int:
    """Bytes of the last block that no pixel uses: some writers leave them off."""
    with suppress(AttributeError, TypeError):
        return max(0, span - int(hdu.size))
    return 0


@contextmanager
def opened(path: PathLike) -> Iterator[FitsFile]:
    """Open a FITS file for reading, its cards' oddities ignored, and close it whatever happens.

    Raises
    ------
    ReadError
        If the file is missing, not readable, not FITS, cut short or damaged. The same holds inside the block.
    """
    place = Path(path)
    if not place.is_file():
        raise ReadError(f"cannot read {place}: " + ("it is a folder" if place.is_dir() else "there is no such file"))
    with read_errors(place), fits.open(place, memmap=False, lazy_load_hdus=True) as hdus:
        packed = place.suffix in {".gz", ".bz2", ".xz"}
        names = tuple(_name_of(hdu) for hdu in hdus)
        yield FitsFile(place.name, hdus, names, 0 if packed else place.stat().st_size)


@contextmanager
def read_errors(place: Path) -> Iterator[None]:
    """Make a `ReadError` that names the file of whatever goes wrong with its bytes; oddities of cards are ignored."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        try:
            yield
        except InputError:
            raise
        except fits.VerifyError as error:
            raise ReadError(f"cannot read {place.name}: its header is broken ({_one_line(error)})") from error
        except (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError, TypeError, IndexError, KeyError) as error:
            raise ReadError(f"cannot read {place.name} as FITS: {_one_line(error)}", path=str(place)) from error


def _name_of(hdu: Any) -> str:
    return str(hdu.header.get("EXTNAME") or hdu.header.get("EXTTYPE") or "").strip().upper()


def _one_line(error: BaseException) -> str:
    """First sentence of a message, without the advice that may follow."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text.split(". ")[0].rstrip(".")
