"""The text of AST objects."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.errors import ReadError
from diapipe.io.ast_text import parse, pixel_to_sky, transform


def points() -> np.ndarray:
    return np.random.default_rng(4).uniform(0.1, 1.0, (2, 6))


ZOOM = "Begin ZoomMap\nNin = 2\nIsA Mapping\nZoom = 2.5\nEnd ZoomMap"
SHIFT = "Begin WinMap\nNin = 2\nIsA Mapping\nSft1 = -3\nSft2 = 0.5\nScl1 = 4\nEnd WinMap"
MATRIX = 'Begin MatrixMap\nNin = 2\nIsA Mapping\nM0 = 1\nM1 = 2\nM2 = -0.5\nM3 = 3\nForm = "Full"\nEnd MatrixMap'
DIAGONAL = 'Begin MatrixMap\nNin = 2\nIsA Mapping\nM0 = 2\nM1 = 5\nForm = "Diagonal"\nEnd MatrixMap'
UNIT = "Begin UnitMap\nNin = 2\nIsA Mapping\nEnd UnitMap"
TAN = 'Begin WcsMap\nNin = 2\nIsA Mapping\nType = "TAN"\nEnd WcsMap'


def compound(a: str, b: str, *items: str) -> str:
    return "\n".join(["Begin CmpMap", "Nin = 2", "IsA Mapping", *items, "MapA =", a, "MapB =", b, "End CmpMap"])


@pytest.mark.parametrize(
    "text",
    [
        ZOOM,
        SHIFT,
        MATRIX,
        DIAGONAL,
        UNIT,
        TAN,
        *(TAN.replace("TAN", kind) for kind in ("STG", "SIN", "ARC", "ZEA")),
        compound(SHIFT, MATRIX),
        compound(SHIFT, MATRIX, "InvA = 1"),
        compound(MATRIX, compound(ZOOM, SHIFT, "InvB = 1"), "InvA = 1", "InvB = 1"),
    ],
)
def test_inverse_undoes(text: str) -> None:
    """Every mapping followed by its inverse gives the points back."""
    part = parse(text)
    there = transform(part, points(), inverted=False)
    np.testing.assert_allclose(transform(part, there, inverted=True), points(), rtol=1e-12)


def test_series_and_parallel() -> None:
    """In series the second acts on what the first gives; in parallel each acts on axes of its own."""
    x = points()
    series = transform(parse(compound(ZOOM, SHIFT)), x, inverted=False)
    np.testing.assert_allclose(series, [[4 * 2.5 * a - 3 for a in x[0]], 2.5 * x[1] + 0.5])
    one = [text.replace("Nin = 2", "Nin = 1") for text in (ZOOM, SHIFT)]
    parallel = transform(parse(compound(*one, "Series = 0")), x, inverted=False)
    np.testing.assert_allclose(parallel, [2.5 * x[0], 4 * x[1] - 3])


def test_own_invert_flag_is_overruled() -> None:
    """Inside a CmpMap only InvA and InvB count."""
    flagged = ZOOM.replace("Nin = 2", "Nin = 2\nInvert = 1")
    np.testing.assert_array_equal(
        transform(parse(compound(flagged, UNIT)), points(), inverted=False),
        transform(parse(compound(ZOOM, UNIT)), points(), inverted=False),
    )


def test_two_way_mapping() -> None:
    """A TranMap goes forward by its first part and back by its second."""
    text = compound(ZOOM, SHIFT).replace("CmpMap", "TranMap")
    np.testing.assert_allclose(transform(parse(text), points(), inverted=False), 2.5 * points())
    np.testing.assert_allclose(transform(parse(text), points(), inverted=True)[1], points()[1] - 0.5)


def test_polynomial() -> None:
    """Coefficients and powers run through the outputs in turn; powers left out are 0."""
    text = "Begin PolyMap\nNin = 2\nIsA Mapping\nNCF1 = 2\nNCF2 = 1\nCF1 = 3\nCF2 = 0.5\nCF3 = -2\n"
    text += "PF1 = 1\nPF4 = 2\nPF5 = 1\nPF6 = 1\nEnd PolyMap"
    x, y = points()
    np.testing.assert_allclose(transform(parse(text), points(), inverted=False), [3 * x + 0.5 * y**2, -2 * x * y])
    with pytest.raises(ReadError, match="no inverse coefficients"):
        transform(parse(text), points(), inverted=True)


def test_refusals() -> None:
    """What is not understood is refused by name."""
    with pytest.raises(ReadError, match="mapping LutMap is not understood"):
        transform(parse("Begin LutMap\nEnd LutMap"), points(), inverted=False)
    with pytest.raises(ReadError, match="projection AIT is not understood"):
        transform(parse(TAN.replace("TAN", "AIT")), points(), inverted=False)
    with pytest.raises(ReadError, match="no 'Begin'"):
        parse("hello")
    with pytest.raises(ReadError, match="FrameSet does not end"):
        parse("Begin FrameSet\nNframe = 2")
    with pytest.raises(ReadError, match="is a ZoomMap; a FrameSet is needed"):
        pixel_to_sky(ZOOM)


def frameset(system: str = "ICRS") -> str:
    frames = ["Frm1 =", "Begin Frame", "End Frame", "Frm2 =", "Begin SkyFrame", f'System = "{system}"', "End SkyFrame"]
    link = ["Lnk2 = 1", "Map2 =", SHIFT]
    return "\n".join(["1 SkyWcs 0  Begin FrameSet", "Nframe = 2", "Currnt = 2", *link, *frames, "End FrameSet"])


def test_frameset_without_a_wcs() -> None:
    """The last frame must be the sky in ICRS; then its coordinates are degrees."""
    with pytest.raises(ReadError, match="of system FK4; an ICRS SkyFrame is needed"):
        pixel_to_sky(frameset("FK4"))
    ra, dec = pixel_to_sky(frameset())(np.array([1.0]), np.array([0.25]))
    np.testing.assert_allclose([ra, dec], np.degrees([[1.0], [0.75]]))
