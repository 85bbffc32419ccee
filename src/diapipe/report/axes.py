"""Axes: a pair of scaled coordinates, their ticks, and the marks drawn on them, as SVG text.

Colours come from the style sheet of the page (by class), so that a plot follows light and dark mode.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np

from diapipe.numerics.arrays import BoolArray, FloatArray
from diapipe.report.symbols import path_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """One coordinate: the interval of values drawn, linear or logarithmic.

    Attributes
    ----------
    low, high
        Ends of the interval; ``low`` may be the larger one (magnitudes, brighter to the left, need no more).
    is_log
        Logarithmic: both ends positive.
    """

    low: float
    high: float
    is_log: bool = False

    def fraction(self, values: FloatArray | float) -> FloatArray:
        """Where values lie between the ends, 0 to 1, clipped a little outside so that nothing strays far."""
        v = np.asarray(values, dtype=np.float64)
        low, high = self.low, self.high
        if self.is_log:
            v, low, high = np.log10(np.maximum(v, 1e-300)), math.log10(low), math.log10(high)
        return np.clip((v - low) / (high - low), -0.02, 1.02)

    def ticks(self, at_most: int = 6) -> list[float]:
        """Round values within the interval."""
        low, high = min(self.low, self.high), max(self.low, self.high)
        return _log_ticks(low, high) if self.is_log else linear_ticks(low, high, at_most)


def linear_ticks(low: float, high: float, at_most: int) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / at_most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1.0, 2.0, 5.0, 10.0) if m * power >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [n * step for n in range(first, math.floor(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten; 1, 2, 5 of each where fewer than two decades are shown."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    wide = math.log10(high / low) >= 2.0
    step = max(1, math.ceil(math.log10(high / low) / 6)) if wide else 1
    values = [m * 10.0**d for d in decades for m in ((1,) if wide else (1, 2, 5)) if not wide or d % step == 0]
    return [v for v in values if low * (1 - 1e-9) <= v <= high * (1 + 1e-9)]


def label_of(value: float, is_log: bool = False) -> str:
    """A tick's text: as short as it can be without losing the number."""
    if value == 0:
        return "0"
    if is_log and (abs(value) >= 1e4 or abs(value) < 1e-2):
        return f"10<tspan dy='-4' font-size='8'>{math.log10(abs(value)):.0f}</tspan>"
    return f"{value:.6g}".replace("-", "\N{MINUS SIGN}")


@dataclass(slots=True, kw_only=True)
class Axes:
    """A plot under construction: draw on it, then `svg`.

    Attributes
    ----------
    x, y
        Scales.
    x_label, y_label
        What they show, with the unit.
    title
        What the picture shows in one sentence, for those who cannot see it.
    width, height
        Size of the drawing in its own units (the page scales it).
    top_px, left_px
        Room above the frame, and on its left for the ticks.
    """

    x: Scale
    y: Scale
    x_label: str
    y_label: str
    title: str
    width: int = 440
    height: int = 270
    top_px: float = 12.0
    left_px: float = 58.0
    _marks: list[str] = field(default_factory=list)
    _above: list[str] = field(default_factory=list)

    @property
    def _frame(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom of the area that is drawn on."""
        return self.left_px, self.top_px, self.width - 18.0, self.height - 44.0

    def _to_x(self, values: FloatArray | float) -> FloatArray:
        left, _, right, _ = self._frame
        return left + self.x.fraction(values) * (right - left)

    def _to_y(self, values: FloatArray | float) -> FloatArray:
        _, top, _, bottom = self._frame
        return bottom - self.y.fraction(values) * (bottom - top)

    def points(
        self, x: FloatArray, y: FloatArray, *, style: str, radius: float = 2.2, where: BoolArray | None = None
    ) -> None:
        """Dots of one class, as one path of round-capped strokes of no length: small, and fast to draw.

        Their width is a style of the path's own, since that of a class for lines would be stronger than an attribute.
        """
        good = np.isfinite(x) & np.isfinite(y)
        if where is not None:
            good &= where
        path = "".join(f"M{a:.1f} {b:.1f}h0" for a, b in zip(self._to_x(x[good]), self._to_y(y[good]), strict=True))
        if path:
            self._marks.append(
                f'<path class="{style}" d="{path}" fill="none" stroke-linecap="round" '
                f'style="stroke-width:{2 * radius}"/>'
            )

    def symbols(self, x: FloatArray, y: FloatArray, *, style: str, shape: str = "circle", radius: float = 3.0) -> None:
        """Symbols of one class that a style may leave hollow, as one path."""
        path = "".join(path_of(shape, a, b, radius) for a, b in self._places(x, y))
        if path:
            self._marks.append(f'<path class="symbol {style}" d="{path}"/>')

    def links(
        self,
        x: FloatArray,
        y: FloatArray,
        *,
        style: str,
        addresses: Sequence[str],
        titles: Sequence[str],
        shape: str = "circle",
        radius: float = 3.0,
    ) -> None:
        """Symbols that lead somewhere and say what they are; left out by the tab key, as a table has them, too."""
        good = np.flatnonzero(np.isfinite(x) & np.isfinite(y)).tolist()
        for i, (a, b) in zip(good, self._places(x, y), strict=True):
            mark = f'<path class="symbol {style}" d="{path_of(shape, a, b, radius)}"/>'
            title = f"<title>{escape(titles[i])}</title>"
            self._marks.append(f'<a href="{escape(addresses[i])}" tabindex="-1">{title}{mark}</a>')

    def error_bars(self, x: FloatArray, y: FloatArray, error: FloatArray, *, style: str) -> None:
        """Upright bars of one sigma to either side."""
        good = np.isfinite(x) & np.isfinite(y) & np.isfinite(error)
        ends = (self._to_x(x[good]), self._to_y(y[good] - error[good]), self._to_y(y[good] + error[good]))
        path = "".join(f"M{a:.1f} {low:.1f}V{high:.1f}" for a, low, high in zip(*ends, strict=True))
        if path:
            self._marks.append(f'<path class="{style}" d="{path}" fill="none"/>')

    def polygon(self, x: FloatArray, y: FloatArray, *, style: str, address: str = "", title: str = "") -> None:
        """A closed outline, filled as its style says; with an address it is a link."""
        corners = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(self._to_x(x), self._to_y(y), strict=True))
        mark = f'<polygon class="{style}" points="{corners}"/>'
        if address:
            mark = f'<a href="{escape(address)}" tabindex="-1"><title>{escape(title)}</title>{mark}</a>'
        self._marks.append(mark)

    def upright(self, fraction: float, *, style: str) -> None:
        """A line from bottom to top, at a fraction of the axis."""
        left, top, right, bottom = self._frame
        at = left + fraction * (right - left)
        self._marks.append(f'<path class="{style}" d="M{at:.1f} {top}V{bottom}"/>')

    def _places(self, x: FloatArray, y: FloatArray) -> list[tuple[float, float]]:
        """The finite points in the units of the drawing."""
        good = np.isfinite(x) & np.isfinite(y)
        return [(float(a), float(b)) for a, b in zip(self._to_x(x[good]), self._to_y(y[good]), strict=True)]

    def line(self, x: FloatArray, y: FloatArray, *, style: str) -> None:
        """A curve through the finite points."""
        good = np.isfinite(x) & np.isfinite(y)
        corners = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(self._to_x(x[good]), self._to_y(y[good]), strict=True))
        if corners:
            self._marks.append(f'<polyline class="{style}" points="{corners}" fill="none"/>')

    def bars(self, edges: FloatArray, heights: FloatArray, *, style: str) -> None:
        """A histogram, filled from the bottom."""
        _, _, _, bottom = self._frame
        left, tops = self._to_x(edges), np.minimum(self._to_y(heights), bottom)
        path = f"M{left[0]:.1f} {bottom:.1f}" + "".join(
            f"V{top:.1f}H{right:.1f}" for top, right in zip(tops, left[1:], strict=True)
        )
        self._marks.append(f'<path class="{style}" d="{path}V{bottom:.1f}Z"/>')

    def band(self, low: float, high: float, *, style: str) -> None:
        """A horizontal strip between two values of y."""
        left, _, right, _ = self._frame
        top, bottom = float(self._to_y(high)), float(self._to_y(low))
        self._marks.append(
            f'<rect class="{style}" x="{left}" y="{top:.1f}" width="{right - left}" height="{bottom - top:.1f}"/>'
        )

    def rule(self, y: float, *, style: str = "rule") -> None:
        """A horizontal line across the plot."""
        left, _, right, _ = self._frame
        at = float(self._to_y(y))
        self._marks.append(f'<path class="{style}" d="M{left} {at:.1f}H{right}"/>')

    def legend(self, entries: list[tuple[str, str]], *, is_dots: bool = False) -> None:
        """Names of what is drawn, (style, text), in the upper right corner, beside a dash or a dot."""
        _, top, right, _ = self._frame
        for n, (style, text) in enumerate(entries):
            at = top + 14 + 15 * n
            shape = (
                f'd="M{right - 20} {at - 4}h0" style="stroke-width:5"' if is_dots else f'd="M{right - 12} {at - 4}h-16"'
            )
            self._marks.append(
                f'<path class="{style}" {shape} fill="none" stroke-linecap="round"/>'
                f'<text class="legend" x="{right - 34}" y="{at}" text-anchor="end">{escape(text)}</text>'
            )

    def legend_above(self, entries: Sequence[tuple[str, str, str]]) -> None:
        """Symbols and what they are, (style, shape, text), in a row above the frame."""
        at, y = self._frame[0] + 8.0, self.top_px - 10.0
        for style, shape, text in entries:
            self._above.append(f'<path class="symbol {style}" d="{path_of(shape, at, y - 4, 4.0)}"/>')
            self._above.append(f'<text class="legend" x="{at + 9:.0f}" y="{y:.0f}">{escape(text)}</text>')
            at += 24.0 + 7.0 * len(text)

    def svg(self) -> str:
        """The finished plot."""
        left, top, right, bottom = self._frame
        clip = f"clip{zlib.crc32((self.title + self.y_label).encode()):x}"
        return (
            f'<svg viewBox="0 0 {self.width} {self.height}" role="img" aria-label="{escape(self.title)}">'
            f'<clipPath id="{clip}"><rect x="{left}" y="{top}" width="{right - left}" height="{bottom - top}"/>'
            f"</clipPath>"
            f'{"".join(self._above)}{self._ticks()}<g clip-path="url(#{clip})">{"".join(self._marks)}</g>'
            f'<path class="frame" d="M{left} {top}V{bottom}H{right}" fill="none"/>'
            f'<text class="axis" x="{(left + right) / 2}" y="{self.height - 8}" text-anchor="middle">'
            f"{escape(self.x_label)}</text>"
            f'<text class="axis" transform="translate(14 {(top + bottom) / 2}) rotate(-90)" text-anchor="middle">'
            f"{escape(self.y_label)}</text></svg>"
        )

    def _ticks(self) -> str:
        """Grid lines and their labels."""
        left, top, right, bottom = self._frame
        across = "".join(
            f'<path class="grid" d="M{at:.1f} {top}V{bottom}"/>'
            f'<text class="tick" x="{at:.1f}" y="{bottom + 15}" text-anchor="middle">'
            f"{label_of(v, self.x.is_log)}</text>"
            for v in self.x.ticks()
            for at in [float(self._to_x(v))]
        )
        up = "".join(
            f'<path class="grid" d="M{left} {at:.1f}H{right}"/>'
            f'<text class="tick" x="{left - 7}" y="{at + 3.5:.1f}" text-anchor="end">'
            f"{label_of(v, self.y.is_log)}</text>"
            for v in self.y.ticks(5)
            for at in [float(self._to_y(v))]
        )
        return across + up
