"""The report of a survey: every page is there, leads only to what is there, and says what the results say."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from astropy.table import Table
from tests.small_survey import DETECTORS, FAILED, ODD, PEAK_NJY, PLACES, SIDE, VISITS, SmallSurvey

from diapipe.catalogs.survey_units import Unit
from diapipe.errors import InputError
from diapipe.report.survey import object_page
from diapipe.report.survey.beside import beside_catalogue
from diapipe.report.survey.content import Beside, BesideTable, content_of_unit
from diapipe.report.survey.objects import SurveyObjects
from diapipe.report.survey.places import Places
from diapipe.report.survey.sky_map import Link, SurveyField, sky_map
from diapipe.report.survey.trends import MAX_POINTS, TRENDS, standing_out, trend_plot
from diapipe.report.survey.writing import write_object_alone, write_survey_report, write_unit_alone

N_DONE = len(VISITS) * len(DETECTORS) - 1


class Links(HTMLParser):
    """Addresses of a page, and what it marks up."""

    def __init__(self, text):
        super().__init__()
        self.addresses, self.headings, self.current = [], 0, 0
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.addresses += [given[name] for name in ("href", "src") if given.get(name)]
        self.headings += tag == "h1"
        self.current += given.get("aria-current") == "page"


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A survey's report, with a catalogue beside that knows one object."""
    folder = tmp_path_factory.mktemp("survey")
    beside = Beside(
        name="truth",
        of_object={101: "transient"},
        lines=lambda curve: {"r": (np.array([61301.0, 61306.0]), np.array([5000.0, 5000.0]))},
        sections=[
            BesideTable(title="How good it is", headings=["", "r"], rows=[["found", "3 of 4"]]),
            BesideTable(
                title="The grade",
                headings=["", "met"],
                rows=[["a", "yes"], ["b", "no"], ["c", "not known"]],
                is_met=[True, False, None],
            ),
        ],
        dots={"found": np.array([[150.001, 2.001]])},
    )
    write_survey_report(
        folder, SmallSurvey(), title="A <survey>", beside=beside, steps=[("diapipe status x", "what ran")]
    )
    return folder


def test_all_links_lead_to_files_of_the_report(report):
    """No page is lost and none needs a network: every address is relative, and its file is there."""
    pages = sorted(report.rglob("*.html"))
    assert len(pages) == 3 + N_DONE + len(PLACES)
    for page in pages:
        found = Links(page.read_text())
        assert found.headings == 1
        for address in found.addresses:
            assert "://" not in address
            assert address.startswith("#") or (page.parent / address.partition("#")[0]).exists(), (
                f"{page.name}: {address}"
            )
    for page in ("index", "visits", "objects"):
        assert Links((report / f"{page}.html").read_text()).current == 1
    for data in report.glob("data/*.js"):
        root = report / "objects" if data.stem.startswith("object-") and data.stem != "object-list" else report
        for address in re.findall(r'"((?:\.\./)?(?:objects|visits)/[^"]+html)"', data.read_text()):
            assert (root / address).exists() or (report / "visits" / address).exists(), f"{data.name}: {address}"


def test_the_first_page_tells_what_matters(report):
    """What failed and why, what stands out and how far, the truth, the run; text from outside is escaped."""
    page = (report / "index.html").read_text()
    assert "A &lt;survey&gt;" in page
    assert "&lt;too few&gt; stars" in page
    assert "11 of 12" in page
    odd = re.search(r'id="odd".*?<a href="([^"]+)">', page, re.DOTALL)
    assert odd is not None
    assert odd[1] == Places().unit_page(ODD)
    assert "How good it is" in page
    assert "diapipe status x" in page
    assert "transient in the truth" in page
    assert "nothing in the truth" in page
    assert page.count("symbol object") == len(PLACES) + 1  # and the legend
    grade = re.findall(r"<td>(.*?)</td>", page[page.index("<h2>The grade") :], re.DOTALL)[:3]
    assert ["state fine" in cell for cell in grade] == [True, False, False]
    assert ["state missed" in cell for cell in grade] == [False, True, False]


def test_each_visit_is_read_once_for_all_pages(tmp_path):
    """Pages of visits and cut-outs of objects come from one reading of the images."""
    survey = SmallSurvey()
    write_survey_report(tmp_path, survey, title="t")
    assert survey.n_reads == N_DONE


def test_an_object_has_every_epoch_in_order_of_time(report):
    """Six rows with cut-outs, detected from the fourth on; the curve on both scales, its points lead to visits."""
    page = (report / "objects" / "101.html").read_text()
    rows = re.findall(r"<tr.*?</tr>", page[page.index("<tbody>") :], re.DOTALL)[:6]
    assert [f">{visit}-" in row for visit, row in zip(VISITS, rows, strict=True)] == [True] * 6
    assert ["detected" in row for row in rows] == [False] * 3 + [True] * 3
    assert page.count("<svg") == 2
    assert "../visits/visit0004-detector0.html#visit0004-detector0/101004" in page
    assert 'class="beside band-r"' in page
    assert (report / "cutouts" / "object-101-0.png").exists()
    assert "diaObjectId" in page


def test_a_source_leads_to_its_object(report):
    data = (report / "data" / "visit0004-detector0.js").read_text()
    assert '"../objects/101.html"' in data


def test_a_visit_counts_in_whole_numbers(report):
    """Also those that passed, which its own page is the first to count."""
    page = (report / "visits" / "visit0004-detector0.html").read_text()
    cells = dict(re.findall(r'<th scope="row">(\w+)</th><td class="n">([^<]*)<', page))
    passed = re.search(r"<b>(\d+)</b><span>sources that passed", page)
    assert passed is not None
    assert (cells["nSources"], cells["nGood"]) == ("4", passed[1])


def test_images_of_a_visit_are_in_one_unit():
    """A difference in counts of 2 nJy and a science image in nJy: the template is 100 nJy, as its counts say."""
    content = content_of_unit(SmallSurvey(), Unit("SimCam", 4, 0))
    assert content.matched_template is not None
    assert np.all(content.matched_template == 100.0)
    difference = content.difference.exposure.masked_image.image
    np.testing.assert_allclose(content.science - 100.0, difference, atol=1e-3)
    x, y = PLACES[101]
    core = difference[int(y) - 8 : int(y) + 9, int(x) - 8 : int(x) + 9]
    assert core.sum() == pytest.approx(PEAK_NJY[101], abs=5 * 10.0 * 17)


def test_a_survey_before_its_objects_has_a_report(tmp_path):
    """Without tables of objects there are visits, and lists that say that they are empty."""
    write_survey_report(tmp_path, SmallSurvey(with_objects=False), title="young")
    assert "There are no objects to list" in (tmp_path / "objects.html").read_text()
    assert len(list(tmp_path.glob("visits/*.html"))) == N_DONE
    assert not (tmp_path / "objects").exists()


def test_one_page_alone_is_that_of_the_whole_report(report, tmp_path):
    """The same cut-outs and numbers, and only the images that are needed are read."""
    survey = SmallSurvey()
    page = write_unit_alone(tmp_path, survey, Unit("SimCam", 4, 0))
    assert survey.n_reads == 1
    name = "visit0004-detector0-0.png"
    assert (tmp_path / "cutouts" / name).read_bytes() == (report / "cutouts" / name).read_bytes()
    assert page == tmp_path / "visits" / "visit0004-detector0.html"
    page = write_object_alone(tmp_path, survey, 303)
    assert survey.n_reads == 1 + len(VISITS)
    name = "object-303-0.png"
    assert (tmp_path / "cutouts" / name).read_bytes() == (report / "cutouts" / name).read_bytes()
    assert "../visits/visit0004-detector0.html" in page.read_text()
    for made in tmp_path.rglob("*.html"):
        for address in Links(made.read_text()).addresses:
            assert address.startswith("#") or (made.parent / address.partition("#")[0]).exists(), address


def test_a_page_made_again_fits_into_its_report(tmp_path):
    """It is byte for byte that of the whole report: the same neighbours, the same way back."""
    write_survey_report(tmp_path, SmallSurvey(), title="t")
    pages = [tmp_path / "visits" / "visit0004-detector0.html", tmp_path / "objects" / "202.html"]
    before = [page.read_text() for page in pages]
    for page in pages:
        page.write_text("")
    assert write_unit_alone(tmp_path, SmallSurvey(), Unit("SimCam", 4, 0)) == pages[0]
    assert write_object_alone(tmp_path, SmallSurvey(), 202) == pages[1]
    assert [page.read_text() for page in pages] == before


def test_what_has_no_page_is_told(tmp_path):
    with pytest.raises(InputError, match="no difference of visit 6, detector 1: failed: characterize: too few stars"):
        write_unit_alone(tmp_path, SmallSurvey(), FAILED)
    with pytest.raises(InputError, match="has no object 5"):
        write_object_alone(tmp_path, SmallSurvey(), 5)


def test_only_the_most_significant_objects_have_pages(tmp_path):
    """Asked for one page there is one, of the brightest; the list has all three and says how to get the others."""
    write_survey_report(tmp_path, SmallSurvey(), title="t", n_objects=1)
    assert [page.name for page in tmp_path.glob("objects/*.html")] == ["101.html"]
    listed = (tmp_path / "objects.html").read_text()
    assert all(str(number) in listed for number in PLACES)
    assert "The first 1 have pages" in listed


def test_objects_are_ordered_by_significance():
    objects = SurveyObjects.of(SmallSurvey().tables, frozenset({1, 2}))
    assert objects.ids == [101, 202, 303]
    assert np.all(np.diff(objects.best_snr) < 0)
    assert objects.n_epochs.tolist() == [6, 6, 6]
    assert objects.detections[303] == {4: 303_004}
    assert objects.reliability.tolist() == [0.9, 0.9, 0.1]
    assert objects.row_of(202) == 1
    assert objects.row_of(9) == -1


def test_of_many_epochs_the_most_significant_are_shown(tmp_path, monkeypatch):
    """Of six epochs with room for two these are the brightest, in order of time; the page says how many there are."""
    monkeypatch.setattr(object_page, "MAX_EPOCHS", 2)
    objects = SurveyObjects.of(SmallSurvey().tables, frozenset())
    snr = np.abs(np.asarray(objects.forced_sources["psfFlux"] / objects.forced_sources["psfFluxErr"]))
    own = np.flatnonzero(objects.forced_sources["diaObjectId"] == 202)
    wanted = own[np.argsort(-snr[own])][:2]
    assert object_page.epochs_to_show(objects, [202]) == {202: frozenset(wanted.tolist())}
    page = write_object_alone(tmp_path, SmallSurvey(), 202).read_text()
    assert "The 2 most significant of 6 epochs." in page
    visits = sorted(np.asarray(objects.forced_sources["visit"])[wanted].tolist())
    assert re.findall(r"<small>.*?(\d+)-0", page) == [str(visit) for visit in visits]


def test_a_catalogue_beside_is_matched_within_one_and_a_half_arcsec():
    """1.4 arcsec is a match, 1.6 is none; of two the nearer counts. Without the column name it is told."""
    objects = SmallSurvey().tables.dia_objects
    ra, dec = (np.asarray(objects[name])[:2] for name in ("ra", "dec"))
    shift = np.array([1.4, 1.6]) / 3600.0
    catalogue = Table({"ra": [*ra, ra[0]], "dec": [*(dec + shift), dec[0] + 1.0 / 3600.0], "name": ["a", "b", "c"]})
    beside = beside_catalogue(objects, catalogue, name="mine")
    assert beside.of_object == {int(objects["diaObjectId"][0]): "c (1.00″)"}
    with pytest.raises(InputError, match="name"):
        beside_catalogue(objects, catalogue["ra", "dec"], name="mine")


def test_what_stands_out_is_told_with_its_reason():
    """The unit of twice the noise, and no other: the others' noise drifts within their scatter."""
    found = standing_out(SmallSurvey().units)
    assert [one.unit for one in found] == [ODD]
    assert found[0].trend.column == "noiseRatio"
    assert found[0].value == 2.0
    assert found[0].sigma > 50


def test_what_the_machine_did_meanwhile_is_no_reason_to_stand_out():
    """A unit that took a minute, since functions were compiled, is drawn and not named."""
    units = SmallSurvey().units
    units["seconds"] = 3.0
    units["seconds"][1] = 60.0
    assert [one.unit for one in standing_out(units)] == [ODD]


def test_few_or_equal_visits_do_not_stand_out():
    units = SmallSurvey().units
    assert standing_out(units[:3]) == []
    units["noiseRatio"] = 1.0
    assert standing_out(units) == []


def test_a_trend_of_many_visits_keeps_its_ends():
    """Of 100 visits of 40 detectors each has three points, and the worst of all is among them."""
    small = SmallSurvey().units[:1]
    rows = Table(np.repeat(np.asarray(small.as_array()), 4000))
    rows["visit"], rows["detector"] = np.arange(4000) // 40 + 1, np.arange(4000) % 40
    rows["mjd"] = 61000.0 + np.asarray(rows["visit"])
    rows["noiseRatio"] = 1.0 + 1e-5 * np.arange(4000)
    rows["noiseRatio"][777] = 3.0
    assert len(rows) > MAX_POINTS
    trend = next(trend for trend in TRENDS if trend.column == "noiseRatio")
    svg = trend_plot(rows, trend, Places())
    assert svg.count("<a ") == 300
    assert Places().unit_page(Unit("SimCam", 777 // 40 + 1, 777 % 40)) in svg


def test_the_map_draws_the_field():
    """Every outline is a polygon, every change a dot, every object a link; equal scales along both axes."""
    square = np.array([[150.0, 2.0], [150.2, 2.0], [150.2, 2.1], [150.0, 2.1]])
    svg = sky_map(
        SurveyField(
            tracts=[square],
            patches=[],
            detectors=[square, square + 0.001],
            detector_links=[Link(address="visits/a.html", title="visit 1 & 2")],
            places={"found": square[:2]},
            objects=square[:1],
            object_links=[Link(address="objects/1.html", title="object 1")],
        )
    )
    assert svg.count('<polygon class="detector"') == 2
    assert svg.count('<polygon class="tract"') == 1
    assert svg.count("<a ") == 2
    assert "visit 1 &amp; 2" in svg
    x, y = _drawn(svg, "tract")
    assert np.ptp(x) / np.ptp(y) == pytest.approx(2.0, rel=0.01)
    assert sky_map(SurveyField(tracts=[], patches=[], detectors=[])) == ""


def test_a_map_may_hold_a_pole_and_half_of_the_sky():
    """Around a pole all right ascensions are near each other; angles from the middle are kept, in degrees if wide."""
    around = np.array([[ra, 89.9] for ra in (0.0, 90.0, 180.0, 270.0)])
    x, y = _drawn(sky_map(SurveyField(tracts=[around], patches=[], detectors=[])), "tract")
    assert np.ptp(x) == pytest.approx(np.ptp(y), rel=0.01)
    wide = np.array([[10.0, 0.0], [100.0, 0.0], [190.0, 0.0], [100.0, 60.0]])
    svg = sky_map(SurveyField(tracts=[wide], patches=[], detectors=[]))
    assert "degrees east" in svg
    assert np.isfinite(_drawn(svg, "tract")).all()


def _drawn(svg, style):
    """Corners of a polygon as it is drawn."""
    corners = re.search(rf'class="{style}" points="([^"]+)"', svg)
    assert corners is not None
    return np.array([[float(value) for value in pair.split(",")] for pair in corners[1].split()]).T


def test_names_tell_instruments_apart_where_there_are_several():
    units = [Unit("A", 1, 0), Unit("B", 1, 0)]
    assert Places.of(units[:1]).unit_page(units[0]) == "visits/visit0001-detector0.html"
    pages = {Places.of(units).unit_page(unit) for unit in units}
    assert len(pages) == 2


def test_the_scene_is_what_the_tests_say():
    """The image is large enough for its objects."""
    assert all(0 < x < SIDE and 0 < y < SIDE for x, y in PLACES.values())
