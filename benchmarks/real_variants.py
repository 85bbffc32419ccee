"""One crowded pair in many guises: units, grids, borders, defects and cuts that should change little of what is found.

python -m benchmarks.real_variants [NAME ...]

Frame 0100 of MOA 2013-BLG-475 against 0029. One line a guise: χ² at stars, detections, those after dp_bad, σ of the
score, constant stars and sky over their claims.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray

import diapipe
from benchmarks.moa_field import MOA
from benchmarks.real_grading import grade

SCIENCE, TEMPLATE = "0100", "0029"
BORDER = 40
"""Rows that some guises lack."""

type Image = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Frame:
    """Pixels and header of one file."""

    image: Image
    header: fits.Header

    def with_cards(self, **cards: float) -> Frame:
        """Other values of header cards."""
        header = self.header.copy()
        header.update(cards)
        return replace(self, header=header)

    def bare(self) -> Frame:
        """Nothing but the WCS tells of it."""
        return replace(self, header=WCS(self.header).to_header())

    def times(self, factor: float) -> Frame:
        """In another unit."""
        return replace(self.bare(), image=(self.image * factor).astype(np.float32))

    def plus(self, level: Image | float) -> Frame:
        """With light added."""
        return replace(self, image=(self.image + level).astype(np.float32))

    def mirrored(self) -> Frame:
        """The x axis turned round."""
        h, n = self.header, self.image.shape[1]
        turned = self.with_cards(CRPIX1=n + 1 - h["CRPIX1"], CD1_1=-h["CD1_1"], CD2_1=-h["CD2_1"])
        return replace(turned, image=self.image[:, ::-1].copy())

    def transposed(self) -> Frame:
        """Rows and columns exchanged."""
        h = self.header
        turned = self.with_cards(
            CRPIX1=h["CRPIX2"], CRPIX2=h["CRPIX1"],
            CD1_1=h["CD1_2"], CD1_2=h["CD1_1"], CD2_1=h["CD2_2"], CD2_2=h["CD2_1"],
        )  # fmt: skip
        return replace(turned, image=self.image.T.copy())

    def cut(self, rows: slice, columns: slice) -> Frame:
        """A part of it."""
        at = self.shifted(-float(columns.start), -float(rows.start))
        return replace(at, image=self.image[rows, columns].copy())

    def shifted(self, x: float, y: float) -> Frame:
        """A WCS that is off by so many pixels."""
        return self.with_cards(CRPIX1=self.header["CRPIX1"] + x, CRPIX2=self.header["CRPIX2"] + y)

    def binned(self) -> Frame:
        """Means of 2 x 2 pixels, with the header's gain, which then is another: as stacks are often given."""
        h = self.header
        at = self.with_cards(
            CRPIX1=(h["CRPIX1"] - 0.5) / 2 + 0.5, CRPIX2=(h["CRPIX2"] - 0.5) / 2 + 0.5,
            **{card: 2.0 * h[card] for card in ("CD1_1", "CD1_2", "CD2_1", "CD2_2")},
        )  # fmt: skip
        rows, columns = (n // 2 for n in self.image.shape)
        return replace(at, image=self.image.reshape(rows, 2, columns, 2).mean((1, 3)).astype(np.float32))

    def border_of(self, value: float) -> Frame:
        """Rows that hold one value."""
        image = self.image.copy()
        image[:BORDER] = value
        return replace(self, image=image)

    def hot(self) -> Frame:
        """Single pixels of 60,000 counts, one in 400."""
        image = self.image.copy()
        image.ravel()[np.random.default_rng(0).integers(0, image.size, image.size // 400)] = 60_000.0
        return replace(self, image=image)

    def written(self, path: Path) -> Path:
        """As a file."""
        header = self.header.copy()
        for card in ("BZERO", "BSCALE", "CHECKSUM", "DATASUM"):
            header.remove(card, ignore_missing=True)
        fits.PrimaryHDU(self.image, header).writeto(path, overwrite=True, output_verify="silentfix")
        return path


def frame(number: str) -> Frame:
    """A frame of the field."""
    (path,) = MOA.rglob(f"*_{number}.fits.fz")
    with fits.open(path) as file:
        return Frame(file[1].data.astype(np.float32), file[1].header.copy())


GUISES: dict[str, Callable[[Frame, Frame], tuple[Frame, Frame]]] = {
    "as it is": lambda s, t: (s, t),
    "no header but the WCS": lambda s, t: (s.bare(), t.bare()),
    "in units of 1e8": lambda s, t: (s.times(1e-8), t.times(1e-8)),
    "science in units of 1e-6": lambda s, t: (s.times(1e6), t.bare()),
    "sky subtracted": lambda s, t: (s.plus(-np.median(s.image)).bare(), t.plus(-np.median(t.image)).bare()),
    "science mirrored": lambda s, t: (s.mirrored(), t),
    "template transposed": lambda s, t: (s, t.transposed()),
    "border of NaN": lambda s, t: (s.border_of(np.nan), t),
    "border of 0": lambda s, t: (s.border_of(0.0), t),
    "border of -9999": lambda s, t: (s.border_of(-9999.0), t),
    "sloping sky": lambda s, t: (s.plus(np.linspace(0.0, 800.0, s.image.shape[1], dtype=np.float32)), t),
    "hot pixels": lambda s, t: (s.hot(), t),
    "WCS off by 3.6 px": lambda s, t: (s.shifted(3.0, -2.0), t),
    "WCS off by 15 px": lambda s, t: (s.shifted(12.0, -9.0), t),
    "part of 200 x 200": lambda s, t: (s.cut(np.s_[150:350], np.s_[150:350]), t),
    "part of 100 x 500": lambda s, t: (s.cut(np.s_[200:300], np.s_[6:506]), t),
    "template of 300 x 300": lambda s, t: (s, t.cut(np.s_[0:300], np.s_[0:300])),
    "template binned": lambda s, t: (s, t.binned()),
    "science binned": lambda s, t: (s.binned(), t),
    "exchanged": lambda s, t: (t, s),
}
"""What is made of science image and template."""

COLUMNS = ("χ² stars", "detections", "good", "score σ", "constant", "sky")


def lines(names: list[str]) -> Iterator[str]:
    """A line for each guise, the heading first."""
    science, template = frame(SCIENCE), frame(TEMPLATE)
    yield f"{'':26s}" + " ".join(f"{name:>10s}" for name in COLUMNS)
    with tempfile.TemporaryDirectory() as folder:
        for name in names or GUISES:
            pair = GUISES[name](science, template)
            paths = [one.written(Path(folder) / f"{k}.fits") for one, k in zip(pair, ("s", "t"), strict=True)]
            try:
                result = diapipe.difference_pair(*(diapipe.read_exposure(path) for path in paths))
            except diapipe.DiapipeError as error:
                yield f"{name:26s} {error}"
                continue
            found, bad = grade(result), np.asarray(result.dia_sources["dp_bad"])
            values = (found.chi2_stars, len(bad), np.sum(~bad), found.score_sigma, found.constant_stars, found.sky)
            yield f"{name:26s}" + " ".join(f"{value:10.3g}" for value in values)


if __name__ == "__main__":
    for line in lines(sys.argv[1:]):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
