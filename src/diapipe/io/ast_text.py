"""The text that the AST library writes of a FrameSet, read into a mapping from pixels to the sky.

Only what LSST's SkyWcs is made of is understood. The meaning of each item is that of Starlink's SUN/211; two rules
matter: a CmpMap or FrameSet says with ``InvA``, ``InvB`` or ``Inv<n>`` which way its parts are used, whatever their own
``Invert`` says, and angles are in radians.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from diapipe.errors import ReadError
from diapipe.numerics.arrays import FloatArray

type Mapping2D = Callable[[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]
type Points = FloatArray
"""Coordinates of points, shape (n_axes, n_points)."""


@dataclass(slots=True)
class AstObject:
    """One ``Begin ... End`` block: its class, its scalars by name (as text) and the objects in it by name."""

    kind: str
    scalars: dict[str, str] = field(default_factory=dict)
    objects: dict[str, AstObject] = field(default_factory=dict)

    def integer(self, name: str, default: int) -> int:
        """An integer item."""
        return int(self.scalars.get(name, default))

    def number(self, name: str, default: float) -> float:
        """A floating-point item."""
        return float(self.scalars.get(name, default))

    def numbers(self, prefix: str, indices: range, default: float) -> FloatArray:
        """Items ``<prefix><i>`` for every index."""
        return np.array([self.number(f"{prefix}{i}", default) for i in indices])


def parse(text: str) -> AstObject:
    """The object that a text describes; what stands before its first ``Begin`` is skipped.

    Raises
    ------
    ReadError
        If there is no object, or it does not end.
    """
    start = text.find("Begin ")
    if start < 0:
        raise ReadError("the text of an AST object has no 'Begin'")
    lines = iter(text[start:].splitlines())
    return _block(next(lines).split()[1], lines)


def _block(kind: str, lines: Iterator[str]) -> AstObject:
    block, name = AstObject(kind), ""
    for raw in lines:
        line = raw.strip()
        if line.startswith("End "):
            return block
        if line.startswith("Begin "):
            block.objects[name] = _block(line.split()[1], lines)
        elif "=" in line and not line.startswith("#"):
            name, value = (part.strip() for part in line.split("=", 1))
            if value:
                block.scalars[name] = value.strip('"')
    raise ReadError(f"the text of an AST {kind} does not end")


def pixel_to_sky(text: str) -> Mapping2D:
    """Mapping from the base frame of a FrameSet (0-based pixels) to right ascension and declination in degrees (ICRS).

    Raises
    ------
    ReadError
        If the text is no FrameSet that ends in an ICRS SkyFrame, or has a mapping that is not understood.
    """
    frames = parse(text)
    if frames.kind != "FrameSet":
        raise ReadError(f"the AST object is a {frames.kind}; a FrameSet is needed")
    current = frames.integer("Currnt", frames.integer("Nframe", 1))
    sky = frames.objects[f"Frm{current}"]
    if sky.kind != "SkyFrame" or sky.scalars.get("System", "ICRS") != "ICRS":
        raise ReadError(
            f"the AST FrameSet ends in a {sky.kind} of system {sky.scalars.get('System')}; an ICRS SkyFrame is needed"
        )
    steps = _path(frames, frames.integer("Base", 1), current)
    _rehearse(steps)

    def mapping(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        points = np.stack([np.ravel(x), np.ravel(y)]).astype(np.float64)
        for part, inverted in steps:
            points = transform(part, points, inverted=inverted)
        ra, dec = np.degrees(points)
        return np.reshape(ra % 360.0, np.shape(x)), np.reshape(dec, np.shape(x))

    return mapping


def _path(frames: AstObject, base: int, current: int) -> list[tuple[AstObject, bool]]:
    """Mappings, with their directions, that lead from one frame to another through the tree of nodes."""
    down = _to_root(frames, frames.integer(f"Nod{current}", current))
    up = _to_root(frames, frames.integer(f"Nod{base}", base))
    while up and down and up[-1] == down[-1]:
        up.pop()
        down.pop()
    return [_link(frames, node, backwards=True) for node in up] + [
        _link(frames, node, backwards=False) for node in reversed(down)
    ]


def _to_root(frames: AstObject, node: int) -> list[int]:
    nodes = []
    while f"Lnk{node}" in frames.scalars:
        nodes.append(node)
        node = frames.integer(f"Lnk{node}", 0)
    return nodes


def _link(frames: AstObject, node: int, *, backwards: bool) -> tuple[AstObject, bool]:
    part = frames.objects.get(f"Map{node}", AstObject("UnitMap"))
    return part, (frames.integer(f"Inv{node}", 0) != 0) != backwards


def _rehearse(steps: list[tuple[AstObject, bool]]) -> None:
    """Run one point through, so that what is not understood is refused when the file is read."""
    points = np.zeros((2, 1))
    for part, inverted in steps:
        points = transform(part, points, inverted=inverted)


def transform(part: AstObject, points: Points, *, inverted: bool) -> Points:
    """Apply a mapping to points, shape (n_in, n), forwards or inverted; ReadError if its class is not understood."""
    apply = _MAPPINGS.get(part.kind)
    if apply is None:
        raise ReadError(f"the AST mapping {part.kind} is not understood; known are {', '.join(_MAPPINGS)}")
    return apply(part, points, inverted)


def _unit(part: AstObject, points: Points, inverted: bool) -> Points:
    return points


def _zoom(part: AstObject, points: Points, inverted: bool) -> Points:
    factor = part.number("Zoom", 1.0)
    return points / factor if inverted else points * factor


def _window(part: AstObject, points: Points, inverted: bool) -> Points:
    """ShiftMap and WinMap: out = scale · in + shift, axis by axis."""
    axes = range(1, len(points) + 1)
    shift, scale = part.numbers("Sft", axes, 0.0)[:, None], part.numbers("Scl", axes, 1.0)[:, None]
    return (points - shift) / scale if inverted else points * scale + shift


def _matrix(part: AstObject, points: Points, inverted: bool) -> Points:
    n_in = part.integer("Nin", 2)
    n_out = part.integer("Nout", n_in)
    form = part.scalars.get("Form", "Full").lower()
    if form.startswith("unit"):
        matrix = np.eye(n_out, n_in)
    elif form.startswith("diag"):
        matrix = np.zeros((n_out, n_in))
        np.fill_diagonal(matrix, part.numbers("M", range(min(n_out, n_in)), 0.0))
    else:
        matrix = part.numbers("M", range(n_in * n_out), 0.0).reshape(n_out, n_in)
    return np.asarray((np.linalg.inv(matrix) if inverted else matrix) @ points)


def _polynomial(part: AstObject, points: Points, inverted: bool) -> Points:
    """PolyMap: each output a sum of coefficients times powers of the inputs; the inverse has its own coefficients."""
    letter = "I" if inverted else "F"
    n_in, n_out = len(points), part.integer("Nout", part.integer("Nin", 2)) if not inverted else part.integer("Nin", 2)
    if f"NC{letter}1" not in part.scalars:
        raise ReadError(f"an AST PolyMap has no {'inverse' if inverted else 'forward'} coefficients")
    result, k = np.zeros((n_out, points.shape[1])), 0
    for output in range(n_out):
        for _ in range(part.integer(f"NC{letter}{output + 1}", 0)):
            powers = [part.integer(f"P{letter}{k * n_in + axis + 1}", 0) for axis in range(n_in)]
            term = np.prod([points[axis] ** power for axis, power in enumerate(powers)], axis=0)
            result[output] += part.number(f"C{letter}{k + 1}", 0.0) * term
            k += 1
    return result


def _sphere(part: AstObject, points: Points, inverted: bool) -> Points:
    """SphMap: Cartesian vectors to longitude and latitude; at a pole the longitude is PlrLg."""
    if inverted:
        lon, lat = points
        return np.stack([np.cos(lon) * np.cos(lat), np.sin(lon) * np.cos(lat), np.sin(lat)])
    x, y, z = points
    across = np.hypot(x, y)
    lon = np.where(across > 0, np.arctan2(y, x), part.number("PlrLg", 0.0))
    return np.stack([lon, np.arctan2(z, across)])


def _projection(part: AstObject, points: Points, inverted: bool) -> Points:
    """WcsMap: native longitude and latitude to the projection plane (Calabretta & Greisen 2002, 5.1), in radians."""
    kind = part.scalars.get("Type", "TAN").upper()
    if kind not in _RADIUS_OF_LATITUDE or any(re.match(r"PV\d_\d", name) for name in part.scalars):
        raise ReadError(f"the AST projection {kind} is not understood; known are {', '.join(_RADIUS_OF_LATITUDE)}")
    if inverted:
        x, y = points
        radius = np.hypot(x, y)
        return np.stack([np.where(radius > 0, np.arctan2(x, -y), 0.0), _LATITUDE_OF_RADIUS[kind](radius)])
    lon, lat = points
    radius = _RADIUS_OF_LATITUDE[kind](lat)
    return np.stack([radius * np.sin(lon), -radius * np.cos(lon)])


_RADIUS_OF_LATITUDE: dict[str, Callable[[FloatArray], FloatArray]] = {
    "TAN": lambda lat: 1.0 / np.tan(lat),
    "STG": lambda lat: 2.0 * np.tan(0.25 * np.pi - 0.5 * lat),
    "SIN": np.cos,
    "ARC": lambda lat: 0.5 * np.pi - lat,
    "ZEA": lambda lat: 2.0 * np.sin(0.25 * np.pi - 0.5 * lat),
}
_LATITUDE_OF_RADIUS: dict[str, Callable[[FloatArray], FloatArray]] = {
    "TAN": lambda radius: np.arctan2(1.0, radius),
    "STG": lambda radius: 0.5 * np.pi - 2.0 * np.arctan(0.5 * radius),
    "SIN": lambda radius: np.arccos(np.clip(radius, 0.0, 1.0)),
    "ARC": lambda radius: 0.5 * np.pi - radius,
    "ZEA": lambda radius: 0.5 * np.pi - 2.0 * np.arcsin(np.clip(0.5 * radius, 0.0, 1.0)),
}


def _compound(part: AstObject, points: Points, inverted: bool) -> Points:
    """CmpMap: A then B, or (``Series = 0``) A on the first axes and B on the rest."""
    first, second = part.objects["MapA"], part.objects["MapB"]
    a_inverted, b_inverted = part.integer("InvA", 0) != 0, part.integer("InvB", 0) != 0
    if part.integer("Series", 1) == 0:
        n_first = _inputs(first, a_inverted != inverted)
        return np.concatenate(
            [
                transform(first, points[:n_first], inverted=a_inverted != inverted),
                transform(second, points[n_first:], inverted=b_inverted != inverted),
            ]
        )
    if inverted:
        return transform(first, transform(second, points, inverted=not b_inverted), inverted=not a_inverted)
    return transform(second, transform(first, points, inverted=a_inverted), inverted=b_inverted)


def _inputs(part: AstObject, inverted: bool) -> int:
    n_in = part.integer("Nin", 2)
    return part.integer("Nout", n_in) if inverted else n_in


def _two_way(part: AstObject, points: Points, inverted: bool) -> Points:
    """TranMap: forwards as A, inverted as B."""
    name, flag = ("MapB", "InvB") if inverted else ("MapA", "InvA")
    return transform(part.objects[name], points, inverted=(part.integer(flag, 0) != 0) != inverted)


_MAPPINGS: dict[str, Callable[[AstObject, Points, bool], Points]] = {
    "UnitMap": _unit,
    "ZoomMap": _zoom,
    "ShiftMap": _window,
    "WinMap": _window,
    "MatrixMap": _matrix,
    "PolyMap": _polynomial,
    "SphMap": _sphere,
    "WcsMap": _projection,
    "CmpMap": _compound,
    "TranMap": _two_way,
}
