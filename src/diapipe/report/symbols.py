"""Symbols of plots: one shape a band, so that no reader needs the colours."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

SHAPE_OF_BAND = {"u": "circle", "g": "up", "r": "down", "i": "square", "z": "star", "y": "diamond"}
OTHER_SHAPES = ("diamond", "circle", "up", "square", "down", "star")
MARKERS = {"circle": "o", "up": "^", "down": "v", "square": "s", "star": "*", "diamond": "D"}
"""What matplotlib calls them."""
N_OTHER_COLOURS = 6
"""Classes ``band-other0`` and on, of the style sheet."""


def style_of_band(band: str, bands: Sequence[str]) -> tuple[str, str]:
    """Class and shape of a band; those that are none of Rubin's take the next free ones, in the order of ``bands``."""
    if band in SHAPE_OF_BAND:
        return f"band-{band}", SHAPE_OF_BAND[band]
    others = [other for other in bands if other not in SHAPE_OF_BAND]
    number = others.index(band) % N_OTHER_COLOURS
    return f"band-other{number}", OTHER_SHAPES[number]


@cache
def colours() -> dict[str, str]:
    """Colours on a light ground by class of a band, as the style sheet of the pages has them."""
    sheet = files("diapipe.report").joinpath("assets", "page.css").read_text(encoding="utf-8")
    return dict(re.findall(r"svg \.(band-\w+) \{ --b: light-dark\((#\w+),", sheet))


def path_of(shape: str, x: float, y: float, radius: float) -> str:
    """The outline of a symbol, as data of an SVG path."""
    if shape == "circle":
        r = radius
        return f"M{x - r:.1f} {y:.1f}a{r:g} {r:g} 0 1 0 {2 * r:g} 0a{r:g} {r:g} 0 1 0 {-2 * r:g} 0Z"
    corners = [(x + dx * radius, y + dy * radius) for dx, dy in _CORNERS[shape]]
    return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in corners) + "Z"


def _star(n: int, inner: float) -> list[tuple[float, float]]:
    """Corners of a star of n points."""
    radii = [1.25 if k % 2 == 0 else inner for k in range(2 * n)]
    return [(r * math.sin(math.pi * k / n), -r * math.cos(math.pi * k / n)) for k, r in enumerate(radii)]


_CORNERS = {
    "up": [(-1.1, 0.85), (1.1, 0.85), (0.0, -1.15)],
    "down": [(-1.1, -0.85), (1.1, -0.85), (0.0, 1.15)],
    "square": [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
    "diamond": [(0.0, -1.25), (1.0, 0.0), (0.0, 1.25), (-1.0, 0.0)],
    "star": _star(5, 0.55),
}
"""Of a symbol of unit radius; y downwards."""
