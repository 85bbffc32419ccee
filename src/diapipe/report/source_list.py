"""A list of sources on a page: rows to page through, sort, filter and label, with cut-outs that blink.

The page itself has the first rows as plain HTML (macro `source_list` of `source_list.html.jinja`); the rest is a script
file of data, since a page that is opened from a folder may fetch nothing else.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from diapipe.errors import InputError
from diapipe.numerics.arrays import FloatArray
from diapipe.report.cutouts import DrawnCutouts
from diapipe.report.numbers import MISSING, fixed
from diapipe.report.page import asset
from diapipe.report.triplet_sheets import write_sheets

PAGE_ROWS = 50
"""Rows at a time."""
MOST_CHOICES = 60
"""Different words of a column, at most, that a reader may choose from to filter."""
ASSETS = ("page.css", "theme.js", "sources.js")
"""Files beside the pages of a report."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NumberColumn:
    """Numbers, shown with so many decimals and sorted as such.

    Attributes
    ----------
    name
        Without blanks: for the data file.
    label
        Head of the column.
    values
        Shape (n,); NaN where there is none.
    errors
        Shown beside them, if given.
    unit
        Beside the label.
    decimals
        Digits after the point.
    limits
        Which limits a reader may set to filter: "" for none, "least", "most" or "least most".
    is_signed
        Whether order and limits go by the value; by its size if not, as for a signal-to-noise ratio.
    is_detail
        Shown beside the enlarged cut-out only, not in the table.
    note
        What it means, in a sentence.
    """

    style: ClassVar[str] = "n"
    name: str
    label: str
    values: FloatArray
    errors: FloatArray | None = None
    unit: str = ""
    decimals: int = 2
    limits: str = ""
    is_signed: bool = True
    is_detail: bool = False
    note: str = ""

    def text(self, row: int) -> str:
        """What a cell says."""
        value = fixed(float(self.values[row]), self.decimals)
        if self.errors is None or not np.isfinite(self.errors[row]) or value == MISSING:
            return value
        return f"{value} ± {fixed(float(self.errors[row]), self.decimals)}"

    def plain(self) -> dict[str, Any]:
        """For the data file."""
        numbers = {"values": self.values} | ({} if self.errors is None else {"errors": self.errors})
        return {
            "kind": "number",
            "decimals": self.decimals,
            "limits": self.limits,
            "size": not self.is_signed,
            **{key: _rounded(array, self.decimals) for key, array in numbers.items()},
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WordColumn:
    """One of a few words in each row, which a reader may filter by; ``addresses`` make links of them."""

    style: ClassVar[str] = ""
    name: str
    label: str
    values: Sequence[str]
    addresses: Sequence[str] = ()
    unit: str = ""
    is_filter: bool = True
    is_detail: bool = False
    note: str = ""

    def text(self, row: int) -> str:
        """What a cell says."""
        return self.values[row]

    def plain(self) -> dict[str, Any]:
        """For the data file."""
        words = sorted(set(self.values))
        code = {word: k for k, word in enumerate(words)}
        links = {"addresses": list(self.addresses)} if self.addresses else {}
        values = [code[word] for word in self.values]
        is_filter = self.is_filter and len(words) <= MOST_CHOICES
        return {"kind": "word", "words": words, "values": values, "filter": is_filter, **links}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FlagColumn:
    """Any of a few words in each row; a reader may ask for rows with one of them, or without."""

    style: ClassVar[str] = "words"
    name: str
    label: str
    values: Sequence[Sequence[str]]
    unit: str = ""
    is_detail: bool = False
    note: str = ""

    def text(self, row: int) -> str:
        """What a cell says."""
        return ", ".join(self.values[row])

    def plain(self) -> dict[str, Any]:
        """For the data file."""
        words = sorted({word for said in self.values for word in said})
        code = {word: k for k, word in enumerate(words)}
        return {"kind": "flags", "words": words, "values": [[code[word] for word in said] for said in self.values]}


type ListColumn = NumberColumn | WordColumn | FlagColumn


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Listing:
    """What is listed, in the order in which it is first shown.

    Attributes
    ----------
    caption
        What the list is, for its heading and for screen readers.
    what
        What a row is, in the plural: "sources", "objects".
    order
        By what the rows are ordered, in a few words: "the most significant first".
    id_name, ids
        Name of the identifier in an exported table, and that of each row.
    columns
        What is told of them.
    cutouts
        Science, template, difference of each row, or None.
    addresses
        The page of each row, to which its identifier leads ("" for none).
    is_labelled
        Whether a reader may label rows as real, bogus or unsure.
    figures
        Address of a picture of each row, shown enlarged ("" for none), and no cut-outs needed: a light curve.
    """

    caption: str
    what: str = "sources"
    order: str
    id_name: str = "diaSourceId"
    ids: Sequence[str]
    columns: Sequence[ListColumn]
    cutouts: DrawnCutouts | None = None
    addresses: Sequence[str] = ()
    is_labelled: bool = True
    figures: Sequence[str] = ()

    def __post_init__(self) -> None:
        lengths = {column.name: len(column.values) for column in self.columns}
        if self.cutouts is not None:
            lengths["cutouts"] = len(self.cutouts)
        given = {"figures": self.figures, "addresses": self.addresses}
        lengths |= {name: len(values) for name, values in given.items() if values}
        wrong = {name: n for name, n in lengths.items() if n != len(self.ids)}
        if wrong:
            raise InputError(f"a list of {len(self.ids)} {self.what} has columns of other lengths: {wrong}")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def shown(self) -> list[ListColumn]:
        """The columns of the table."""
        return [column for column in self.columns if not column.is_detail]

    @property
    def first_rows(self) -> range:
        """Those that the page has as HTML."""
        return range(min(PAGE_ROWS, len(self)))

    @property
    def key(self) -> str:
        """Under which a browser keeps labels: the same for the same rows, however often the page is made."""
        told = "\n".join([self.id_name, *sorted(f"{i} {self._place(k)}" for k, i in enumerate(self.ids))])
        return hashlib.sha256(told.encode()).hexdigest()[:16]

    def _place(self, row: int) -> str:
        """Where a row lies: identifiers of another run may be the same."""
        return " ".join(column.text(row) for column in self.columns if column.name in ("x", "y", "ra", "dec"))


def write_source_list(folder: Path, name: str, source_list: Listing) -> None:
    """Write the data and the cut-outs of a list into the folder of a report, and the assets that its page needs.

    Raises
    ------
    InputError
        If the name is no word of letters, digits, ``_``, ``.`` and ``-``.
    """
    if not re.fullmatch(r"[\w.-]+", name, re.ASCII):
        raise InputError(f"the list's name {name!r} is to name files: letters, digits, '_', '.' and '-' only")
    write_assets(folder)
    sheets = None if source_list.cutouts is None else write_sheets(folder, name, source_list.cutouts)
    (folder / "data").mkdir(parents=True, exist_ok=True)
    data = json.dumps(_plain(source_list, sheets), separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    text = f"diapipe.add({json.dumps(name)},{data});\n"
    (folder / "data" / f"{name}.js").write_text(text, encoding="utf-8")


def write_assets(folder: Path, names: Sequence[str] = ASSETS) -> None:
    """Write style and scripts into the folder of a report, once for all of its pages."""
    (folder / "assets").mkdir(parents=True, exist_ok=True)
    for file in names:
        (folder / "assets" / file).write_text(asset(file), encoding="utf-8")


def _plain(source_list: Listing, sheets: dict[str, Any] | None) -> dict[str, Any]:
    """The content of a data file."""
    return {
        "key": source_list.key,
        "what": source_list.what,
        "order": source_list.order,
        "page_rows": PAGE_ROWS,
        "labelled": source_list.is_labelled,
        "id_name": source_list.id_name,
        "ids": [str(i) for i in source_list.ids],
        "columns": [
            {name: getattr(column, name) for name in ("name", "label", "unit", "is_detail", "note", "style")}
            | column.plain()
            for column in source_list.columns
        ],
        "triplets": sheets,
        "figures": list(source_list.figures),
        "addresses": list(source_list.addresses),
    }


def _rounded(values: FloatArray, decimals: int) -> list[float | None]:
    """Numbers as the page shows them; null where there is none."""
    rounded = np.round(np.asarray(values, dtype=np.float64), decimals).tolist()
    return [value if np.isfinite(value) else None for value in rounded]
