"""Figures for notebooks: what a page shows, as values that show themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from diapipe.io import write_text
from diapipe.io.atomic import replacing
from diapipe.report.curve_svg import standalone


@dataclass(frozen=True, slots=True)
class SvgFigure:
    """A plot.

    Attributes
    ----------
    svg
        As it stands in a page.
    """

    svg: str

    def _repr_svg_(self) -> str:
        return standalone(self.svg)

    def save(self, path: str | Path) -> None:
        """Write it as an SVG file.

        Raises
        ------
        WriteError
            If the file cannot be written.
        """
        write_text(Path(path), standalone(self.svg))


@dataclass(frozen=True, slots=True)
class PngFigure:
    """Cut-outs side by side, ``width`` pixels of a page wide; the pixels stay squares.

    Attributes
    ----------
    png
        The file.
    address
        The same as a data address.
    alt
        What it shows.
    width
        On the page.
    """

    png: bytes
    address: str
    alt: str
    width: int

    def _repr_html_(self) -> str:
        look = f'width="{self.width}" style="image-rendering:pixelated"'
        return f'<img src="{self.address}" alt="{escape(self.alt)}" {look}>'

    def save(self, path: str | Path) -> None:
        """Write it as a PNG file, one pixel for each of the image.

        Raises
        ------
        WriteError
            If the file cannot be written.
        """
        with replacing(path) as aside:
            aside.write_bytes(self.png)


@dataclass(frozen=True, slots=True)
class WordTable:
    """A table of words, such as the grade.

    Attributes
    ----------
    caption, headings, rows
        What it says.
    """

    caption: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]

    def _repr_html_(self) -> str:
        head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in self.headings)
        body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in self.rows)
        caption = f"<caption>{escape(self.caption)}</caption>"
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def framed(page: str, *, title: str, height: int) -> str:
    """A whole page as part of a notebook, which keeps its styles to itself."""
    look = f"width:100%;height:{height}px;border:0"
    return f'<iframe srcdoc="{escape(page)}" title="{escape(title)}" style="{look}"></iframe>'
