"""Camera descriptions: what a rule finds, and what a wrong description is told."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path

import pytest
from astropy.time import Time

from diapipe.errors import InputError, UsageError
from diapipe.images import MaskPlane
from diapipe.tasks.repository.camera_description import KEYS, load_camera, parse_camera, shipped_cameras
from diapipe.tasks.repository.camera_rules import Source

MOA = Path(__file__).parents[3] / "docs" / "examples" / "moa.yaml"


def source(path: str = "/night/a_0007.fits", begin: datetime | None = None, **cards: object) -> Source:
    return Source({name.replace("_", "-"): value for name, value in cards.items()}, path, begin)


def camera(text: str):
    return parse_camera(f"name: Test\n{text}", name="test.yaml")


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("EXPNUM", 41),
        ("[VISIT, EXPNUM]", 41),
        ("{card: FRAME, match: 'A(\\d+)-(\\d+)'}", 1207),
        ("{filename: '_(\\d+)'}", 7),
        ("{path: '/run(\\d+)/'}", 12),
        ("{text: '{NIGHT}{RUN:03d}'}", 15005),
        ("{compute: '({CCD} - 1) * 4 + {QUAD} - 1'}", 6),
        ("{card: SHIFTED, plus: -5, times: 2}", 15),
        ("{card: NAME, map: {first: 1, second: 2}}", 2),
        ("{time: '%y%m%d%H%M%S'}", 260110043012),
        ("{time: '%y%j%H%M%S%f', match: '^.{12}'}", 260100430127),
        ("{time: '%y%j%H%M%S{CCD}'}", 260100430122),
        ("{value: 3}", 3),
        ("[{card: FRAME, match: 'B(\\d+)'}, {filename: '_(\\d+)'}]", 7),
    ],
)
def test_a_visit_can_come_from_anywhere(rule: str, expected: int):
    """Cards, parts of cards, file and folder names, arithmetic, texts, tables and the time each give the number."""
    cards = {"EXPNUM": 41, "FRAME": "A12-07", "NIGHT": "15", "RUN": 5, "CCD": 2, "QUAD": 3, "SHIFTED": "10"}
    begin = datetime(2026, 1, 10, 4, 30, 12, 750_000, tzinfo=UTC)
    where = Source({**cards, "NAME": "second"}, "/data/run12/a_0007.fits", begin)
    assert camera(f"visit: {rule}").visit_of(where) == expected


@pytest.mark.parametrize(
    ("cards", "expected"),
    [
        ({}, "no visit number: there is no card N"),
        ({"N": "x7"}, r"its visit is 'x7' \(card N\); a whole number is needed"),
        ({"N": 1.5}, "its visit is 1.5"),
        ({"N": -1}, "it must be from 0 to 2199023255551"),
        ({"N": 1 << 41}, "it must be from 0 to 2199023255551"),
    ],
)
def test_no_good_number_says_where_it_was_looked_for(cards: dict[str, object], expected: str):
    """A missing, broken, negative or too large number is refused with the place and the value."""
    with pytest.raises(InputError, match=expected):
        camera("visit: N").visit_of(source(**cards))


@pytest.mark.parametrize(
    ("rule", "cards"),
    [
        ("{start: MJD_OBS}", {"MJD_OBS": 61050.2}),
        ("{start: MJD_OBS, scale: utc}", {"MJD_OBS": "61050.2", "TIMESYS": "TAI"}),
        ("{start: JD}", {"JD": 61050.2 + 2400000.5}),
        ("{start: DATE-OBS}", {"DATE-OBS": "2026-01-10T04:48:00"}),
        ("{start: DATE-OBS}", {"DATE-OBS": "2026/01/10 04:48:00.0"}),
        ("{start: {text: '{DATE-OBS}T{UT}'}}", {"DATE-OBS": "2026-01-10", "UT": "4:48:00"}),
        ("{start: [DATE-OBS, {text: '{DATE-OBS}T{UT}'}]}", {"DATE-OBS": "2026-01-10", "UT": "04:48:00"}),
        ("{middle: MID}", {"MID": 61050.2 + 30 / 86400}),
        ("{end: LAST}", {"LAST": 61050.2 + 60 / 86400}),
        ("{start: SECONDS, format: unix}", {"SECONDS": (61050.2 - 40587) * 86400}),
        ("{start: T, scale: tai}", {"T": 61050.2 + 37 / 86400}),
        ("{start: T}", {"T": 61050.2 + (37 + 32.184) / 86400, "TIMESYS": "TT"}),
    ],
)
def test_every_way_to_say_the_time_gives_the_same_span(rule: str, cards: dict[str, object]):
    """One exposure of 60 s from MJD 61050.2 (UTC), told in twelve ways; astropy tells the TAI. Doubles give 0.1 ms."""
    begin = Time(61050.2, format="mjd", scale="utc").tai.mjd
    span = camera(f"visit: N\ntime: {rule}").time.span(Source(cards, "a.fits"), 60.0)
    assert abs(span.begin - begin) * 86400 < 1e-3
    assert abs((span.end - span.begin) * 86400 - 60) < 1e-3
    assert span.begin_utc == datetime(2026, 1, 10, 4, 48, tzinfo=UTC)


def test_a_date_without_a_time_is_no_time():
    """All exposures of a night would seem simultaneous."""
    assert camera("visit: N\ntime: {start: DATE-OBS}").time.span(source(DATE_OBS="2026-01-10"), 60.0) is None


def test_detectors_go_by_name_and_by_number():
    """A rule may find either; what the camera does not have is refused."""
    two = camera("visit: N\ndetector: CHIP\ndetectors: {3: north, 4: south}")
    assert two.detector_of(source(CHIP="south")) == 4
    assert two.detector_of(source(CHIP=3)) == 3
    with pytest.raises(InputError, match=r"it has detector 5; the camera Test has 3 to 4"):
        two.detector_of(source(CHIP=5))


def test_filters_have_bands():
    """Patterns match the whole name; without a list the name itself tells; a filter out of the list is refused."""
    named = camera("visit: N\nfilter: F\nbands: {g.*: g, 'Bessell R': R}")
    assert [named.band_of(name) for name in ("g DECam c0001", "g", "Bessell R")] == ["g", "g", "R"]
    with pytest.raises(InputError, match=r"filter 'Bessell Rx' is none of the bands of the camera Test"):
        named.band_of("Bessell Rx")
    assert camera("visit: N").band_of("HSC-i") == "i"
    with pytest.raises(InputError, match="no filter: there is none of the cards BAND, FILTER"):
        camera("visit: N").filter_of(source(FILTER="CLEAR"))


def test_files_of_another_camera_are_refused():
    """A card that is there must match; one that is missing proves nothing."""
    checked = camera("visit: N\ncheck: {INSTRUME: '(?i)testcam'}")
    checked.refuse_others(source(INSTRUME="TestCam 2"))
    checked.refuse_others(source())
    with pytest.raises(InputError, match=r"its card INSTRUME is 'WFC3'; the camera Test needs '\(\?i\)testcam'"):
        checked.refuse_others(source(INSTRUME="WFC3"))


def test_a_table_numbers_files_and_is_kept(tmp_path: Path):
    """A CSV beside the description gives values by file name; the repository's copy of the description holds them."""
    (tmp_path / "log.csv").write_text("file,run\na_0007.fits,71\nb.fits,72\n")
    text = "name: T\nvisit: {filename: '.*', map: {csv: log.csv, key: file, column: run}}\n"
    found = parse_camera(text, name="t.yaml", folder=tmp_path)
    assert found.visit_of(source()) == 71
    assert found.source["visit"]["map"] == {"a_0007.fits": "71", "b.fits": "72"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("vist: A", "test.yaml: unknown key 'vist'; did you mean 'visit'?"),
        ("colour: A", "test.yaml: unknown key 'colour'; there are name, title, check"),
        ("gain: 2", "test.yaml: visit is missing"),
        ("visit: {cards: A}", "test.yaml: visit has unknown key 'cards'; did you mean 'card'?"),
        ("visit: {match: A}", "test.yaml: visit needs one of card, filename, .*, and has none"),
        ("visit: {card: A, filename: B}", "and has card and filename"),
        ("visit: {filename: '('}", "which is no regular expression"),
        ("visit: {compute: '__import__(1)'}", "visit cannot be computed"),
        ("visit: N\nvisit: M", "the key 'visit' is there twice in line 3"),
        ("visit: yes", "visit is True; a card, a number, a list"),
        ("visit: N\ntime: MJD", "time is 'MJD'; a mapping such as"),
        ("visit: N\ntime: {begin: MJD}", "time has unknown key 'begin'"),
        ("visit: N\ntime: {start: MJD, scale: UT1}", "the scale 'UT1'; there are UTC, TAI, TT"),
        ("visit: N\ndetectors: {300: x}", "the number 300; it must be from 0 to 255"),
        ("visit: N\ndetectors: [a, a]", "the name 'a' twice"),
        ("visit: N\nmask: {bits: {1: HOTT}}", "the plane 'HOTT' for 1; there are BAD, SAT"),
        ("visit: N\nmask: {bits: {1: BAD}, codes: {1: BAD}}", "bits and codes"),
        ("visit: N\nvariance: {kind: sigma}", "the kind 'sigma'; there are variance, error, inverse"),
        ("visit: N\nmask: {file: x}", "mapping {replace: ..., by: ...} is needed"),
        ("visit: N\nimage: -1", "the HDU -1; a name or a number from 0"),
        ("visit: N\nnew_night_at_utc_hour: 25", "is 25; an hour from 0 to 24"),
        ("visit: [", "test.yaml is no YAML"),
    ],
)
def test_every_mistake_names_file_and_key(text: str, expected: str):
    """One sentence each, with what was found and what is needed."""
    with pytest.raises(UsageError) as told:
        camera(text)
    import re

    assert re.search(expected.replace("?", r"\?").replace("{replace", r"\{replace"), str(told.value))
    assert "test.yaml" in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("name", ["Test cam", "9cam", "x" * 28, "a.b", ""])
def test_an_instruments_name_fits_a_class_path(name: str):
    """The path of the instrument's class holds the name, in 64 characters."""
    with pytest.raises(UsageError, match="a name of at most 27 letters"):
        parse_camera(f"name: '{name}'\nvisit: N", name="test.yaml")


def test_masks_know_synonyms():
    """Plane names of other programs are understood."""
    found = camera("visit: N\nmask: {hdu: DQ, bits: {0: bad, 4: saturated, 12: cosmic_ray}}")
    assert found.mask.bits == {0: MaskPlane.BAD, 4: MaskPlane.SAT, 12: MaskPlane.CR}


def test_the_cameras_that_come_with_diapipe():
    """Every one loads; the numbers of detectors are the instruments'."""
    assert set(shipped_cameras()) == {"decam", "fits", "lsstcam-dc2", "simulator", "ztf"}
    counts = {name: len(load_camera(name).detectors) for name in shipped_cameras()}
    assert counts == {"decam": 62, "fits": 1, "lsstcam-dc2": 189, "simulator": 0, "ztf": 64}
    assert load_camera("lsstcam-dc2").detectors[94] == "R22_S11"
    assert load_camera("decam").detectors[28] == "S4"


def test_an_unknown_camera_names_those_there_are():
    with pytest.raises(UsageError, match="there is no camera 'hsc': it is none of decam, fits, lsstcam-dc2"):
        load_camera("hsc")


def test_every_key_is_documented():
    """The page on cameras has a row for every key."""
    page = (MOA.parents[1] / "howto" / "cameras.md").read_text()
    assert [key for key in KEYS if f"| `{key}` |" not in page] == []


@pytest.mark.realdata
def test_the_season_of_moa(shared_data: Path):
    """The tutorial's description reads the first epoch as its table has it: MJD 56470.969236 at the middle (UTC)."""
    from diapipe.io.fits_layout import layout

    path = shared_data / "moa2013blg475" / "epochs" / "moa475_I_0001.fits.fz"
    found, where = load_camera(MOA), Source(layout(path)[1].cards, str(path))
    span = found.span(where, found.exposure_time_s(where))
    assert (found.visit_of(where), found.detector_of(where), found.band_of(found.filter_of(where))) == (1, 0, "I")
    assert math.isclose(span.middle, 56470.969236 + 35 / 86400, abs_tol=1e-5)
