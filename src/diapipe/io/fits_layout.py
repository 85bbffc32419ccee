"""Where each HDU of a FITS file begins and ends and what its cards say, without reading a pixel.

A hundred times cheaper than opening the file with astropy: ingesting a season reads many headers and no image.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from astropy.io import fits

from diapipe.errors import ReadError
from diapipe.io.fits_file import PathLike

_BLOCK, _CARD = 2880, 80
_FIRST_READ = 10 * _BLOCK
_LONGEST_HEADER = 5000 * _BLOCK
_END = b"END" + b" " * (_CARD - 3)
_STRING = re.compile(r"\s*'((?:[^']|'')*)'?")
_OF_WCS = re.compile(
    r"(WCS|CTYPE|CRVAL|CRPIX|CUNIT|CDELT|CROTA|CD\d|PC\d|P[VS]\d|LONPOLE|LATPOLE|AP?_|BP?_|LT[VM]|WAT\d|RADE|EQUINOX|EPOCH"
    r"|CPDIS|CPERR|CQDIS|DP\d|DQ\d|D2IM|AXISCORR)"
)
"""Beginnings of the keywords of a WCS, alternates and distortions included."""
_PACKERS: tuple[tuple[bytes, Any], ...] = ((b"\x1f\x8b", gzip), (b"BZh", bz2), (b"\xfd7zXZ", lzma))


class Cards(Mapping[str, Any]):
    """The cards of a header by keyword; a value is parsed when it is asked for, one that breaks the standard is None.

    Parameters
    ----------
    text
        The header as the file has it: whole cards of 80 bytes.
    keeps_case
        Long keywords (HIERARCH) are as they are written; else in capitals, as short ones.
    """

    __slots__ = ("_cards", "_continued")

    def __init__(self, text: bytes, *, keeps_case: bool = False) -> None:
        self._cards: dict[str, str] = {}
        self._continued: dict[str, list[str]] = {}
        whole, last = text.decode("latin-1"), ""
        for start in range(0, len(whole), _CARD):
            card = whole[start : start + _CARD]
            key, value = card[:8].rstrip(), card[8:]
            if key == "HIERARCH":
                key, _, rest = value.partition("=")
                key, value = key.strip() if keeps_case else key.strip().upper(), "= " + rest
            if value[:1] == "=":
                self._cards.setdefault(key, value[1:])
                last = key
            elif key == "CONTINUE" and last:
                self._continued.setdefault(last, []).append(value)

    def __getitem__(self, key: str) -> Any:
        value = _value_of(self._cards[key])
        for more in self._continued.get(key, ()):
            if not (isinstance(value, str) and value.endswith("&")):
                break
            value = value[:-1] + str(_value_of(more) or "")
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._cards)

    def __len__(self) -> int:
        return len(self._cards)

    def number(self, key: str, default: int = 0) -> int:
        """A whole number of the structure, ``default`` where there is none."""
        value = self.get(key)
        return value if isinstance(value, int) else default


def _value_of(text: str) -> Any:
    """Value of a card from what follows the equals sign; None if it has none or it cannot be read."""
    found = _STRING.match(text)
    if found:
        return found.group(1).replace("''", "'").rstrip()
    word = text.partition("/")[0].strip()
    if word in {"T", "F"}:
        return word == "T"
    try:
        return int(word)
    except ValueError:
        pass
    try:
        number = float(word.upper().replace("D", "E"))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


@dataclass(frozen=True, slots=True)
class HduLayout:
    """One HDU: its number and name, its cards, and where its bytes lie.

    Attributes
    ----------
    number
        From 0.
    name
        EXTNAME (or EXTTYPE, as older LSST files have it) in capitals, or "".
    cards
        What its header says.
    header_span
        First byte of the header and of what follows it.
    end
        First byte behind the data, without the padding of the last block.
    """

    number: int
    name: str
    cards: Cards
    header_span: tuple[int, int]
    end: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns of the image, also if it is tile-compressed, axes of length 1 dropped; () if there is none.

        An image of more axes has them all.
        """
        kind = str(self.cards.get("XTENSION") or "IMAGE").strip()
        prefix = "Z" if kind == "BINTABLE" and self.cards.get("ZIMAGE") is True else ""
        if kind != "IMAGE" and not prefix:
            return ()
        axes = [self.cards.number(f"{prefix}NAXIS{n}") for n in range(1, self.cards.number(f"{prefix}NAXIS") + 1)]
        while len(axes) > 2 and axes[-1] == 1:
            axes.pop()
        return tuple(reversed(axes)) if axes and 0 not in axes else ()


def layout(path: PathLike, *, keeps_case: bool = False) -> tuple[HduLayout, ...]:
    """The HDUs of a FITS file, packed by gzip, bzip2 or xz or not, with `Cards` that keep their case or do not.

    Raises
    ------
    ReadError
        If the file is missing, empty, not FITS, or ends before its headers say.
    """
    place = Path(path)
    with _content(place) as (file, size):
        return _layout(file, place.name, size, keeps_case=keeps_case)


def wcs_header_of(path: PathLike, hdu: HduLayout) -> fits.Header:
    """Cards of an HDU that say where its pixels are, for astropy, to which each other card would cost time."""
    begin, end = hdu.header_span
    with _content(Path(path)) as (file, _):
        file.seek(begin)
        text = file.read(end - begin).decode("latin-1")
    whole = (text[start : start + _CARD] for start in range(0, len(text), _CARD))
    return fits.Header.fromstring("".join(card for card in whole if _OF_WCS.match(card)))


@contextmanager
def _content(place: Path) -> Iterator[tuple[IO[bytes], int | None]]:
    """What a file holds, unpacked, and how much that is where it can be told."""
    try:
        with place.open("rb") as file:
            magic = file.read(_CARD)
            size = file.seek(0, 2)
            if not size:
                raise ReadError(f"{place.name} is empty: it has 0 bytes")
            file.seek(0)
            packer = next((module for start, module in _PACKERS if magic.startswith(start)), None)
            if packer is None:
                yield file, size
                return
            with _unpacked(file, packer, place.name) as stream:
                yield stream, None
    except OSError as error:
        reason = error.strerror or str(error)
        raise ReadError(f"cannot read {place}: {reason[:1].lower()}{reason[1:]}", path=str(place)) from error


@contextmanager
def _unpacked(file: IO[bytes], packer: Any, name: str) -> Iterator[IO[bytes]]:
    try:
        with packer.open(file) as stream:
            yield stream
    except (EOFError, lzma.LZMAError, gzip.zlib.error) as error:  # type: ignore[attr-defined]
        raise ReadError(f"{name} is truncated or damaged: its {packer.__name__} stream ends early ({error})") from error


def _layout(file: IO[bytes], name: str, size: int | None, *, keeps_case: bool) -> tuple[HduLayout, ...]:
    """Walk from header to header; without a known size every byte is looked at."""
    found: list[HduLayout] = []
    start = 0
    while True:
        text = _header_at(file, start, name, n_found=len(found))
        if text is None:
            return tuple(found)
        cards = Cards(text, keeps_case=keeps_case)
        data = start + -(-len(text) // _BLOCK) * _BLOCK
        end = data + _data_bytes(cards)
        reached = size if size is not None else _reached(file, end)
        if end > reached:
            raise ReadError(f"{name} is truncated: it has {reached} bytes, HDU {len(found)} ends at {end}", path=name)
        title = str(cards.get("EXTNAME") or cards.get("EXTTYPE") or "").strip().upper()
        found.append(HduLayout(len(found), title, cards, (start, data), end))
        start = -(-end // _BLOCK) * _BLOCK


def _reached(file: IO[bytes], end: int) -> int:
    """How far an unpacked stream goes, at most to ``end``."""
    return file.seek(end)


def _header_at(file: IO[bytes], start: int, name: str, *, n_found: int) -> bytes | None:
    """The header that begins at a byte; None where the file ends or holds only padding."""
    file.seek(start)
    text = file.read(_FIRST_READ)
    begins = b"SIMPLE  =" if n_found == 0 else b"XTENSION="
    if not text.startswith(begins):
        if n_found == 0:
            raise ReadError(f"{name} is no FITS file: it begins with {text[:9]!r}, not with {begins.decode()!r}")
        return None
    while True:
        stop = _end_of(text)
        if stop is not None:
            return text[: stop + _CARD]
        more = file.read(len(text))
        if not more or len(text) > _LONGEST_HEADER:
            raise ReadError(f"{name} is truncated: the header of HDU {n_found} has no END", path=name)
        text += more


def _end_of(text: bytes) -> int | None:
    """Where the END card begins, which stands at a multiple of 80 bytes."""
    stop = text.find(_END)
    while stop >= 0 and stop % _CARD:
        stop = text.find(_END, stop + 1)
    return stop if stop >= 0 else None


def _data_bytes(cards: Cards) -> int:
    """Size of the data that a header announces (FITS standard 4.0, equations 1 and 2)."""
    axes = [cards.number(f"NAXIS{n}") for n in range(1, cards.number("NAXIS") + 1)]
    if not axes:
        return 0
    if cards.get("GROUPS") is True and axes[0] == 0:
        axes = axes[1:]
    return abs(cards.number("BITPIX")) // 8 * cards.number("GCOUNT", 1) * (cards.number("PCOUNT") + math.prod(axes))
