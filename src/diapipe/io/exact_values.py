"""Values that no FITS card holds exactly: long floats, NaN, letters beyond ASCII, lists. They are kept as JSON."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import numpy as np
from astropy.io import fits

from diapipe.errors import ReadError
from diapipe.io.fits_file import FitsFile

_SHORT_KEY = re.compile(r"[A-Z][A-Z0-9_-]{0,7}|HIERARCH [A-Z]{3,8} [A-Z][A-Z0-9_-]{0,15}")
_SHORT_TEXT = re.compile(r"[A-Za-z0-9_.:;,+*()\[\] -]{0,29}[A-Za-z0-9_.:;,+*()\[\]-]")


def card_holds(key: str, value: Any) -> bool:
    """Whether a card of that name gives the value back as it was, also its type."""
    known = plain(value)
    if not isinstance(known, bool | int | float | str):
        return False
    if _SHORT_KEY.fullmatch(key) and _is_short(known):
        return True
    try:
        header = fits.Header([fits.Card(key, known)])
        [(name, found)] = fits.Header.fromstring(header.tostring()).items()
    except (ValueError, TypeError):  # VerifyError is a ValueError
        return False
    return name == key.removeprefix("HIERARCH ") and type(found) is type(known) and found == known


def _is_short(value: bool | int | float | str) -> bool:
    """Whether any card holds it for certain: astropy takes a millisecond to try, and a header has hundreds."""
    if isinstance(value, bool):
        return True
    if isinstance(value, str):
        return _SHORT_TEXT.fullmatch(value) is not None
    return math.isfinite(value) and len(str(value)) <= 20


def text_hdu(name: str, value: Any) -> fits.ImageHDU:
    """An HDU whose bytes spell a value as JSON; what JSON cannot say is written as text."""
    text = json.dumps(value, default=_sayable)
    return fits.ImageHDU(data=np.frombuffer(text.encode(), np.uint8).copy(), name=name)


def read_text(file: FitsFile, name: str) -> Any:
    """The value of a `text_hdu`; None if the file has none.

    Raises
    ------
    ReadError
        If it is damaged.
    """
    number = file.find(name)
    if number is None:
        return None
    try:
        return json.loads(np.asarray(file.data(number), np.uint8).tobytes())
    except ValueError as error:
        raise ReadError(f"{file.name}: the text of its HDU {name} is damaged ({error})") from error


def plain(value: Any) -> Any:
    """A NumPy scalar as Python has it."""
    return value.item() if isinstance(value, np.generic) else value


def _sayable(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else str(value)
