"""Cut-outs: each source in the middle, at a stretch of its own, on the sheet and in the row where a page looks."""

from dataclasses import replace

import numpy as np
import pytest

from diapipe.errors import InputError
from diapipe.images import UNUSABLE_DIFFERENCE
from diapipe.numerics.stats import median
from diapipe.report import PageContent
from diapipe.report.cutouts import DrawnCutouts, cutout_sheet, draw_cutouts
from diapipe.report.stretch import AsinhStretch
from diapipe.report.triplet_sheets import PER_SHEET, write_sheets
from png_files import decoded
from toy_difference import toy_parts

SIDE = 31


@pytest.fixture(scope="module")
def content():
    parts = toy_parts(np.random.default_rng(5))
    return PageContent(
        summary={},
        dia_sources=parts["dia_sources"],
        difference=parts["difference"],
        science=parts["science"].exposure.masked_image.image,
        matched_template=parts["difference"].matched_template.image,
    )


def slow_cutouts(content, x, y):
    """The same for one source, pixel by pixel."""
    masked, half = content.difference.exposure.masked_image, SIDE // 2
    column, row = int(np.floor(x + 0.5)), int(np.floor(y + 0.5))
    unusable = int(UNUSABLE_DIFFERENCE)
    planes = [content.science - median(content.science), content.matched_template - median(content.matched_template)]
    noise = np.sqrt(masked.variance[np.clip(row, 0, masked.shape[0] - 1), np.clip(column, 0, masked.shape[1] - 1)])
    stamps = np.full((SIDE, 3 * SIDE), np.nan, np.float32)
    for k, plane in enumerate([*planes, masked.image]):
        for j in range(SIDE):
            for i in range(SIDE):
                v, u = row + j - half, column + i - half
                if (
                    0 <= v < masked.shape[0]
                    and 0 <= u < masked.shape[1]
                    and not (k == 2 and masked.mask[v, u] & unusable)
                ):
                    stamps[j, k * SIDE + i] = plane[v, u]
    core = [abs(stamps[half - 5 : half + 6, k * SIDE + half - 5 : k * SIDE + half + 6]) for k in range(3)]
    top = np.nanmax(core) / noise if np.isfinite(core).any() else 0.0
    return AsinhStretch(
        sigma=noise, low_sigma=-max(4.0, 0.15 * top), high_sigma=max(8.0, 1.1 * top), soft_sigma=4.0
    ).indices(stamps)


PLACES = [(200.0, 150.0), (0.4, 399.2), (431.5, 3.49), (-30.0, 200.0), (np.nan, 5.0)]


@pytest.mark.parametrize(("x", "y"), PLACES)
def test_cutouts_are_those_cut_pixel_by_pixel(content, x, y):
    """Inside, at a corner, off the image; what is unusable or beyond the image is no data."""
    drawn = draw_cutouts(content, x=np.array([x]), y=np.array([y]), side=SIDE)
    assert drawn.planes == ("science", "template", "difference")
    place = (x, y) if np.isfinite(x) else (-1e5, y)
    np.testing.assert_array_equal(drawn.entries[0], slow_cutouts(content, *place))


def test_a_source_is_drawn_alike_alone_and_among_many(content, rng):
    """The stretch is its own."""
    x, y = rng.uniform(0, 400, (2, 230))
    drawn = draw_cutouts(content, x=x, y=y, side=SIDE)
    alone = draw_cutouts(content, x=x[117:118], y=y[117:118], side=SIDE)
    np.testing.assert_array_equal(drawn.entries[117], alone.entries[0])


def test_positions_count_from_the_parents_origin(content):
    """An image that begins elsewhere shows the same pixels at its own positions."""
    exposure = content.difference.exposure
    moved = replace(exposure.masked_image, box=exposure.box.shifted(x=1000, y=-70))
    elsewhere = replace(content, difference=replace(content.difference, exposure=replace(exposure, masked_image=moved)))
    here = draw_cutouts(content, x=np.array([91.0]), y=np.array([60.0]), side=SIDE)
    there = draw_cutouts(elsewhere, x=np.array([1091.0]), y=np.array([-10.0]), side=SIDE)
    np.testing.assert_array_equal(here.entries, there.entries)


def test_without_the_science_image_the_difference_stands_alone(content):
    alone = replace(content, science=None, matched_template=None)
    drawn = draw_cutouts(alone, x=np.array([200.0]), y=np.array([150.0]), side=SIDE)
    assert drawn.planes == ("difference",)
    assert drawn.entries.shape == (1, SIDE, SIDE)


def test_a_sheet_has_a_row_for_each_source_the_first_on_top(tmp_path, content, rng):
    """Source i is in row i modulo 50 of sheet i // 50, upright, in coarser greys; no data stays no data."""
    n = PER_SHEET + 7
    drawn = draw_cutouts(content, x=rng.uniform(0, 440, n), y=rng.uniform(0, 400, n), side=SIDE)
    about = write_sheets(tmp_path, "toy", drawn)
    assert about == {"planes": ["science", "template", "difference"], "side": SIDE, "per_sheet": PER_SHEET, "n": n}
    assert sorted(path.name for path in (tmp_path / "cutouts").iterdir()) == ["toy-0.png", "toy-1.png"]
    for i in (0, 1, PER_SHEET - 1, PER_SHEET, n - 1):
        pixels, _ = decoded((tmp_path / "cutouts" / f"toy-{i // PER_SHEET}.png").read_bytes())
        row = (i % PER_SHEET) * SIDE
        shown = pixels[row : row + SIDE][::-1].astype(int)
        assert ((shown == 0) == (drawn.entries[i] == 0)).all()
        assert abs(shown - drawn.entries[i].astype(int)).max() <= 3
    assert len(np.unique(pixels)) <= 65


def test_cutouts_of_several_images_are_joined_if_they_are_alike(content):
    one = draw_cutouts(content, x=np.array([50.0, 60.0]), y=np.array([50.0, 60.0]), side=SIDE)
    both = DrawnCutouts.joined([one, one])
    assert len(both) == 4
    np.testing.assert_array_equal(both.ordered(np.array([3, 0])).entries, one.entries[[1, 0]])
    wider = draw_cutouts(content, x=np.array([50.0]), y=np.array([50.0]), side=SIDE + 2)
    with pytest.raises(InputError, match="same planes and side"):
        DrawnCutouts.joined([one, wider])


def test_a_page_without_sources_has_an_empty_sheet(content):
    nowhere = np.zeros(0)
    assert cutout_sheet(content, x=nowhere, y=nowhere, side=SIDE).rows == 0
