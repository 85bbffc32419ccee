"""A FITS file of which each HDU is opened when it is asked for: one chip of sixty costs a sixtieth."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from astropy.io import fits

from diapipe.io.fits_file import FitsFile, PathLike, opened, read_errors
from diapipe.io.fits_layout import HduLayout, layout

_BLOCK = 2880
_FEW = 3
"""Up to so many HDUs astropy is as quick itself."""
_UNPACKED = b"SIMPLE"
_TABLES = frozenset({"CPDIS1", "CPERR1", "D2IMDIS1"})
"""Cards of a WCS that needs the tables in other HDUs: astropy wants the whole file for them."""
_FRONT = fits.PrimaryHDU().header.tostring().encode()
"""A primary header, so that an extension alone is a file."""


@contextmanager
def opened_one_by_one(path: PathLike) -> Iterator[FitsFile]:
    """Open a FITS file like `opened`, without looking into HDUs that nobody asks for.

    Raises
    ------
    ReadError
        As of `opened`, and if the file ends before any of its headers says.
    """
    place = Path(path)
    hdus = layout(place)
    with place.open("rb") as file:
        is_packed = file.read(len(_UNPACKED)) != _UNPACKED
        if is_packed or len(hdus) <= _FEW or any(not _TABLES.isdisjoint(hdu.cards) for hdu in hdus):
            with opened(path) as plain:
                yield plain
            return
        with read_errors(place):
            yield FitsFile(place.name, _Hdus(file, hdus), tuple(hdu.name for hdu in hdus), 0)


class _Hdus(Sequence[Any]):
    """The HDUs of a file by number, each made of its own bytes."""

    def __init__(self, file: IO[bytes], hdus: tuple[HduLayout, ...]) -> None:
        self._file, self._hdus = file, hdus
        self._made: dict[int, Any] = {}

    def __len__(self) -> int:
        return len(self._hdus)

    def __getitem__(self, number: Any) -> Any:
        if number not in self._made:
            hdu = self._hdus[number]
            end = -(-hdu.end // _BLOCK) * _BLOCK
            window = _Window(self._file, hdu.header_span[0], end, front=b"" if hdu.number == 0 else _FRONT)
            self._made[number] = fits.open(window, memmap=False, lazy_load_hdus=True)[0 if hdu.number == 0 else 1]
        return self._made[number]


class _Window(io.RawIOBase):
    """Some bytes of a file as a file of their own, others in front of them."""

    def __init__(self, file: IO[bytes], begin: int, end: int, *, front: bytes) -> None:
        super().__init__()
        self._file, self._begin, self._front = file, begin, front
        self._size = len(front) + end - begin
        self._at = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place."""
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        """Where it is."""
        return self._at

    def read(self, size: int = -1) -> bytes:
        """The next bytes, at most ``size``."""
        stop = self._size if size is None or size < 0 else min(self._size, self._at + size)
        front = self._front[self._at : stop]
        start = self._at + len(front)
        self._at = max(stop, self._at)
        if start >= stop:
            return front
        self._file.seek(self._begin + start - len(self._front))
        return front + self._file.read(stop - start)

    def readinto(self, buffer: Any) -> int:
        """The next bytes into a buffer; how many they are."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
