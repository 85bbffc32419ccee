"""The tutorial of a season, block by block as a reader would type it, on thirteen real frames."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.table import Table
from benchmarks.moa_field import MOA, epochs, magnitudes
from benchmarks.moa_season import WIDE_PX, against_aperture, constant_stars, in_circle, steadiness, variable
from benchmarks.moa_season import season as results
from tests.tutorials import PAGES, read_through

from diapipe.tasks.repository import open_repository

ROOT = Path(__file__).resolve().parents[1]
PAGE = (PAGES / "season.md").read_text()
EXAMPLES = ROOT / "docs" / "examples"

BINARIES = (
    (273.88071, -25.28746),
    (273.86643, -25.29681),
    (273.87569, -25.29828),
    (273.87814, -25.27639),
    (273.89151, -25.28979),
)
"""Eclipsing and contact binaries, which follow their periods all season."""

pytestmark = [
    pytest.mark.realdata,
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.skipif(not MOA.is_dir(), reason="no real data beside the checkout (../shared/data)"),
]


@pytest.fixture(scope="module")
def season(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the Python of the page holds at its end, and what its commands said."""
    read = read_through("season.md", tmp_path_factory.mktemp("season"), MOA=str(MOA), EXAMPLES=str(EXAMPLES))
    return {**read.names, "said": read.said, "folder": read.folder}


def test_the_commands_say_what_the_page_says(season):
    """The lines of the page's block of output, in their order, with its own numbers."""
    told = re.search(r"which comes next:\n\n```\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert told is not None
    assert told[1] in season["said"]


def test_the_shown_configuration_is_that_of_the_file():
    """The settings of the page are those of the example."""
    lines = (EXAMPLES / "moa-template.py").read_text().splitlines()
    assert "\n".join(line for line in lines if line.startswith("config.")) in PAGE


def test_nothing_failed(season):
    """Thirteen differences, and no failure."""
    assert re.search(r"imageDifference +13 +0 +0", season["said"])
    assert not re.search(r"^\S+ +\d+ +\d+ +[1-9]\d*$", season["said"], re.MULTILINE)


def test_the_scale_is_relative_and_tight(season):
    """One reference, nominal; the stars of the median frame scatter by less than 0.01 mag. The template agrees, through
    kernels that were fitted to pixels, to 1%, its five frames being of one scale with the others by the same stars; to
    4% in the frame of the worst seeing. The differences have its scale, to a tenth of what the stars are off.
    """
    scale = season["scale"]
    assert scale["isReference"].sum() == 1
    assert not scale["isAbsolute"].any()
    assert np.median(scale["scatter"]) < 0.01
    found = []
    with open_repository(season["folder"] / "season") as repository:
        butler = repository.clone(collections="diapipe/default")
        for visit in map(int, scale["visit"]):
            where = {"instrument": "SAAO1m", "visit": visit, "detector": 0}
            told = butler.get("imageDifference_metadata", where)["imageDifference:subtract"]
            calib = butler.get("difference_image.photo_calib", where)
            assert calib.mean == told["nJyPerCount"]
            found.append([np.log(told[f"nJyPerCount{by}"] / told["nJyPerCountByKernel"]) for by in ("ByStars", "")])
    stars, used = np.abs(found).T
    assert np.median(stars) < 0.01
    assert stars.max() < 0.04
    assert (used < 0.1 * stars).all()


def test_the_template_is_of_the_sharpest_frames_of_its_nights(season):
    """Five of six; the outburst and all other nights are out."""
    table = season["template_visits"]
    assert list(table["visit"][table["selected"]]) == [17, 21, 23, 27, 29]
    assert tuple(season["template"].inputs) == (17, 21, 23, 27, 29)
    assert season["template"].unit == "nJy"


def test_the_variable_follows_its_light_curve(season):
    """Differences rise with the aperture photometry's flux along one line: to 0.2 of the low state's flux, the
    circle's own error where the seeing is below 6.5 px (docs/real-data.md).
    """
    curve = season["curve"]
    frames = {int(frame.number): (frame, magnitude) for frame, magnitude in zip(epochs(), magnitudes(), strict=True)}
    rows = [row for row in curve if frames[int(row["visit"])][0].fwhm_px < 6.5]
    truth = np.array([10.0 ** (-0.4 * frames[int(row["visit"])][1]) for row in rows])
    flux = np.array([row["psfFlux"] for row in rows])
    slope, zero = np.polyfit(truth, flux, 1)
    assert {91, 110, 150, 172} <= {int(row["visit"]) for row in rows}
    assert slope > 0.0
    assert np.abs((flux - zero) / slope - truth).max() < 0.2


def test_template_and_difference_are_the_light_in_the_circle(season):
    """The matched template within 6 px and the flux on the difference make what the circle finds on each frame, to
    0.05 mag, neighbours and all: with a template clipped around the variable it was up to 0.2. Below 6.6 px they make
    the published curve, too, which leans on comparison stars: both maxima's flanks, the trough, the last night's drop.
    """
    with results(str(season["folder"] / "season")) as butler:
        found, width = in_circle(butler, variable(butler)), against_aperture(variable(butler)).fwhm_px
    assert len(found.visit) > 10
    assert np.abs(found.off_ours).max() < 0.05
    assert np.abs(found.off_published[width < WIDE_PX]).max() < 0.05


def test_magnitudes_are_drawn_and_exported(season):
    """The star's own amplitude, without the light beside it, from the outburst to the night after: the circle sees
    1.40 mag. A picture, and tables. No flux is flagged, as the page says: no frame has a bad pixel or a satellite
    there, so that none may be lost.
    """
    curve = season["variable"]
    magnitude, _ = curve.magnitudes()
    at = {int(visit): value for visit, value in zip(curve.visit, magnitude, strict=True)}
    assert at[172] - at[91] > 1.4
    assert re.search(r"variable.png: object \d+, 13 good of 13 fluxes in I", season["said"])
    assert not curve.flag.any()
    assert (season["folder"] / "variable.png").stat().st_size > 10_000
    assert len(Table.read(season["folder"] / "tables" / "dia_object.csv")) == len(season["objects"])


def test_what_varies_is_found(season):
    """The variable and, of the five binaries whose periods the whole season tells (docs/real-data.md), four: found on
    31, 27, 18, 14 and 15 of its 87 frames, they have two sources on thirteen with the binomials' 0.97, 0.95, 0.78, 0.64
    and 0.68, which is 4.0 of them.

    A constant object passes the page's χ² > 5 on twelve degrees of freedom twice in 10^8; what passes is there on all
    frames. On all 87 it were 14, real and false, and on thirteen of them no more are expected, to one error of
    counting.
    """
    varying = season["varying"]
    assert season["number"] in set(varying["diaObjectId"])
    assert len(varying) <= min(14 + np.sqrt(14), 0.25 * len(season["objects"]))
    found = 0
    for ra, dec in BINARIES:
        off = np.hypot((varying["ra"] - ra) * np.cos(np.radians(dec)), varying["dec"] - dec)
        found += int(off.min() < 0.7 / 3600.0)
    assert found >= 4


def test_constant_stars_are_constant(season):
    """What the stars of a frame share, scale and match, is drawn once a frame: were it all of their errors, the width
    of thirteen draws would be known to 1/sqrt(2 * 13) = 0.2, which is the bound for all stars together.

    Below an S/N of 40 noise is most of it, and the width is 1 to three of its errors, which are those of the jackknife,
    each frame left out in turn. Fluxes follow the seeing by less than 2% of the light for each px.
    """
    with results(str(season["folder"] / "season")) as butler:
        stars = constant_stars(butler)
    told, n = steadiness(stars), len(np.unique(stars["visit"]))
    without = np.array([steadiness(stars[stars["visit"] != visit]).faint for visit in np.unique(stars["visit"])])
    error = np.sqrt((n - 1) / n * np.sum((without - without.mean()) ** 2))
    assert told.n_stars > 50
    assert 0.8 < told.about_zero < 1.2
    assert abs(told.faint - 1.0) < min(3.0 * error, 0.2)
    assert told.slope_per_px < 0.02


def test_most_frames_have_few_trusted_detections(season):
    """7 arcmin²: the median frame has less than 3 in an arcmin² after ``dp_bad``, against 10 wanted."""
    assert np.median(season["curve"]["good"]) < 21
