"""The older drivers of association, forced photometry and light curves: what they ask for, and that they run."""

from __future__ import annotations

import re
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.table import Table
from lsst.daf.butler import CollectionType
from lsst.pipe.base import NoWorkFound, Pipeline
from tests.tasks.border_survey import ACROSS, AGAIN, BOX, INSTRUMENT, stars, wcs_of
from tests.tasks.test_associate_task import image, two_tracts

from diapipe.catalogs.dia_objects import dia_forced_source_table
from diapipe.cli.old_drivers import drive
from diapipe.cli.run import survey_pipeline
from diapipe.errors import InputError, UsageError
from diapipe.images.sky import are_on
from diapipe.tasks.associate import AssociateTask
from diapipe.tasks.combine_dia_forced import CombineDiaForcedTask
from diapipe.tasks.drive import DRIVERS, Asked, configured, request_for
from diapipe.tasks.repository import open_repository
from diapipe.tasks.running import DataSelection
from diapipe.tasks.running.graph import check_there_is, only

RETARGETED = {
    "ForcedPhotCcdTemplateDiaTask": ["measureTemplate", "forcedPhotCcdTemplateDia"],
    "ForcedPhotCoaddDiaSrcTask": ["forcedPhotCoaddDiaSrc"],
    "ForcedPhotCcdDiaTask": ["forcedPhotCcdDia"],
}
"""Steps that a task stands for in forcedPhotCcdDiaDriver.py."""


def asked(survey, **more):
    return Asked(repo=str(survey.root), pipeline=survey_pipeline(), **({"ids": [[]]} | more))


def tasks_of(request):
    """The configurations that a request ends with, by label."""
    pipeline = Pipeline.from_uri(request.pipeline)
    request.settings.put_on(pipeline)
    return {label: node.config for label, node in pipeline.to_graph().tasks.items()}


def lines_of(name):
    """Lines of dia_pipe's documentation, for one of its tasks."""
    module = name[0].lower() + name[1:].removesuffix("Task")
    return f"from lsst.dia.pipe.{module} import {name}\nconfig.forced.retarget({name})\n"


@pytest.mark.parametrize("name", RETARGETED)
def test_forced_is_retargeted_as_documented(name, border_survey, tmp_path):
    """The two lines of the documentation choose the task, which keeps what else is said of it."""
    path = tmp_path / "forced.py"
    path.write_text(lines_of(name) + "config.forced.psfStampSize = 1.5\n")
    with request_for("forcedPhotCcdDiaDriver", asked(border_survey, files=[str(path)])) as request:
        assert list(request.steps) == RETARGETED[name]
        assert tasks_of(request)[RETARGETED[name][-1]].psfStampSize == 1.5
        assert tasks_of(request)[RETARGETED[name][-1]].coaddName == "template"  # which are the repository's names


def test_forced_is_no_task_of_patches():
    """Measuring patches has a driver of its own."""
    config = DRIVERS["forcedPhotCcdDiaDriver"].config()
    config.loadFromString(lines_of("ForcedPhotCoaddDiaTask"))
    with pytest.raises(UsageError, match=r"forced can be .*, and not ForcedPhotCoaddDiaTask"):
        config.validate()


def test_association_takes_the_visits_of_the_coadd_by_default(border_survey):
    """And the associator is the simple one, both as documented; --selectId takes others."""
    with request_for("associationDriver", asked(border_survey, ids=[["tract=0"]])) as request:
        config = tasks_of(request)["associate"]
    assert (config.visits, config.associator.name, list(config.onlyVisits)) == ("coaddInputs", "simple", [])
    assert request.data.where == "tract IN (0)"
    chosen = asked(border_survey, ids=[["tract=0"]], selectIds=[["visit=5..7", "ccd=1"], ["visit=9", "ccd=1"]])
    with request_for("associationDriver", chosen) as request:
        config = tasks_of(request)["associate"]
    assert (config.visits, list(config.onlyVisits), list(config.onlyDetectors)) == ("all", [5, 6, 7, 9], [1])


@pytest.mark.parametrize("name", ["associationDriver", "combineDiaForced"])
def test_filters_choose_what_is_gathered(name, border_survey):
    """They are no condition on patches, which have all bands together."""
    label = DRIVERS[name].gathers
    ids = [["tract=0", "patch=1,0", "filter=u^g"], ["tract=1", "filter=u^g"]]
    with request_for(name, asked(border_survey, ids=ids)) as request:
        assert list(tasks_of(request)[label].onlyBands) == ["u", "g"]
        assert "band" not in request.data.where
    for wrong, sentence in (
        ([["tract=0", "filter=u"], ["tract=1"]], "the same filters in each"),
        ([["tract=0", "visit=3"]], "no visit"),
    ):
        with pytest.raises(UsageError, match=sentence), request_for(name, asked(border_survey, ids=wrong)):
            pass


@pytest.mark.parametrize("asked_for", [{"where": "tract IN (1)"}, {"tracts": "1"}, {"tracts": "0", "patches": "0..3"}])
def test_data_are_found_by_tract(border_survey, asked_for):
    """Though it is visits that are looked for, which have no tract; a tract that there is not has none."""
    with open_repository(border_survey.root) as butler:
        check_there_is(butler, DataSelection(**asked_for))
        with pytest.raises(UsageError, match="no data with"):
            check_there_is(butler, DataSelection(tracts="7"))


def test_one_of_several_instruments_is_chosen(border_survey):
    """Where --id names one it is taken; else the sentence says of what there are several, and the options."""
    for ids, instrument in (
        ([["visit=1", "instrument=BorderCam"]], "BorderCam"),
        ([["visit=1", "instrument=BorderCam"], ["visit=2"]], ""),
        ([["visit=1"]], ""),
    ):
        with request_for("forcedPhotCcdDia", asked(border_survey, ids=ids)) as request:
            assert request.data.instrument == instrument
    records = [SimpleNamespace(name=name) for name in ("Simulator", "FITS")]
    butler = SimpleNamespace(query_dimension_records=lambda dimension, explain: records)
    told = (
        r"several instruments: FITS, Simulator; choose one by --instrument, or by --id instrument=\.\.\. of a driver$"
    )
    with pytest.raises(UsageError, match=told):
        only(butler, "instrument")


def test_others_have_no_visits_to_select(border_survey):
    with (
        pytest.raises(UsageError, match="forcedPhotCoaddDia has no visits to be selected"),
        request_for("forcedPhotCoaddDia", asked(border_survey, selectIds=[["visit=1"]])),
    ):
        pass


def test_older_fields_are_taken(border_survey):
    """Those that have no effect any more, and lines about an associator by its older path."""
    values = ["maxFootprintArea=100", "defaultFootprintRadius=10", "associator.tolerance=0.7", "ccdKey=ccd"]
    with request_for("associationDriver", asked(border_survey, values=values)) as request:
        assert tasks_of(request)["associate"].associator["simple"].tolerance == 0.7
    with request_for("associationDriver", asked(border_survey, values=["associator=bipartite"])) as request:
        assert tasks_of(request)["associate"].associator.name == "bipartite"
    config = configured(DRIVERS["associationDriver"], asked(border_survey))
    config.loadFromString(
        "from lsst.dia.pipe.multimatch_association import MultiMatchAssociationTask\n"
        "config.associator.retarget(MultiMatchAssociationTask)\n"
        "config.select.retarget(MultiMatchAssociationTask)\n"
    )
    assert config.associator.name == "multimatch"
    values = ["storage=csv", "ccdKey=ccd"]
    with request_for("combineDiaForced", asked(border_survey, values=values)) as request:
        assert list(request.steps) == ["combineDiaForced"]


class Given:
    """What a quantum reads, by what stands for its references."""

    def __init__(self, sky_map, images, template_visits):
        self.quantum = SimpleNamespace(dataId={"tract": 0, "patch": 0})
        refs = []
        for (run, visit, detector, band), table in images.items():
            key = {"instrument": "I", "visit": visit, "detector": detector, "band": band}
            dataId = type("DataId", (dict,), {"hasRecords": lambda self: False})(key)
            refs.append(SimpleNamespace(run=run, dataId=dataId, table=table))
        self.refs = SimpleNamespace(diaSources=refs, templateVisits=template_visits, skyMap=sky_map)
        self.made = None

    def get(self, ref):
        if not isinstance(ref, SimpleNamespace):
            return ref

        def read(component=None, parameters=None):
            return ref.table.colnames if component else ref.table[(parameters or {}).get("columns", ref.table.colnames)]

        return SimpleNamespace(ref=ref, dataId=ref.dataId, get=read)

    def put(self, found, _):
        self.made = found


def selected(*visits):
    """Which visits a template is made of, in one band; another one was not taken."""
    n = len(visits) + 1
    return Table({"instrument": ["I"] * n, "visit": [*visits, 99], "selected": [*[True] * len(visits), False]})


def associated(template_visits, **settings):
    """Visits of the sources that a patch associates of four visits in two bands."""
    sky_map = two_tracts(10.0, -20.0)
    tract = sky_map.tract(0)
    inner = tract.patch(0).inner
    ra, dec = (value.tolist() for value in tract.wcs.all_pix2world([inner.x_center], [inner.y_center], 0))
    images = {
        ("run", visit, detector, band): image(ra, dec, visit=visit, detector=detector, band=band)
        for visit, detector, band in ((1, 0, "r"), (2, 1, "r"), (3, 0, "u"), (99, 0, "r"))
    }
    config = AssociateTask.ConfigClass()
    for name, value in settings.items():
        setattr(config, name, value)
    given = Given(sky_map, images, template_visits)
    AssociateTask(config=config).runQuantum(given, given.refs, None)
    return sorted(np.asarray(given.made.associatedDiaSources["visit"]).tolist())


def test_the_template_tells_its_visits_band_by_band():
    """A band without a template loses none of the others; of the original all bands were lost with the first (A.2)."""
    assert associated([selected(1, 2), selected(3)], visits="coaddInputs") == [1, 2, 3]
    assert associated([selected(3)], visits="coaddInputs") == [3]
    assert associated([selected(1, 2)], visits="coaddInputs", onlyBands=["r"]) == [1, 2]
    with pytest.raises(NoWorkFound, match=r"of the template's visits \(none\); there are those of visit 1, 2, 3, 99,"):
        associated([selected()], visits="coaddInputs")
    with pytest.raises(InputError, match=r"no template_visits tells .* --selectId visit="):
        associated([], visits="coaddInputs")


def test_visits_that_were_not_in_the_template_are_associated_when_asked_for():
    """All by default of the task, and any: the original took the template's alone (A.2)."""
    assert associated([]) == [1, 2, 3, 99]
    assert associated([], onlyVisits=[3, 99]) == [3, 99]
    assert associated([], onlyDetectors=[1]) == [2]
    assert associated([], onlyBands=["u"]) == [3]


@pytest.mark.parametrize(
    ("settings", "asked_for"),
    [
        ({"onlyBands": ["z"]}, "band z"),
        ({"onlyVisits": [7], "onlyDetectors": [0]}, "visit 7, detector 0"),
        ({"onlyVisits": [*range(4, 24)]}, r"visit 4, 5, 6, 7, 8, 9, 10, 11 \.\.\. \(20 in all\)"),
    ],
)
def test_a_selection_that_holds_nothing_is_told(settings, asked_for):
    """It is no work, with what was asked for and what there is: empty tables were written and called done."""
    there = r"there are those of visit 1, 2, 3, 99, detector 0, 1, band r, u$"
    with pytest.raises(NoWorkFound, match=f"^no DIA sources here are of {asked_for}; {there}"):
        associated([], **settings)


def forced(visit, ids, fluxes, unit="nJy"):
    """Forced sources of one visit."""
    n = len(ids)
    columns = {"diaObjectId": ids, "visit": np.full(n, visit), "midpointMjdTai": np.full(n, 60000.0 + visit)}
    numbers = {"diaForcedSourceId": 100 * visit + np.arange(n), "psfFlux": fluxes, "psfFluxErr": np.ones(n)}
    bands = {"band": np.full(n, "r"), "detector": np.zeros(n, int)}
    return dia_forced_source_table({**columns, **numbers, **bands}, n=n, flux_unit=unit)


def test_light_curves_are_of_the_objects_of_the_patch():
    """An object on two detectors of a visit has both rows, those of other patches none, all on one zero point: the
    original's rows were in counts of their images, and lost where an object came twice (A.7).
    """
    objects = Table({"diaObjectId": [7, 9], "ra": [10.0, 10.1], "dec": [0.0, 0.0]})
    tables = [forced(2, [7, 8], [5.0, 6.0]), forced(1, [9, 7], [1.0, 2.0]), forced(1, [7], [3.0]), forced(3, [], [])]
    task = CombineDiaForcedTask(config=CombineDiaForcedTask.ConfigClass())
    found = task.run(dia_objects(objects), tables).combined
    assert found["diaObjectId"].tolist() == [7, 7, 7, 9]
    assert found["psfFlux"].tolist() == [3.0, 2.0, 5.0, 1.0] or found["psfFlux"].tolist() == [2.0, 3.0, 5.0, 1.0]
    assert found["psfFlux"].unit == "nJy"
    assert len(task.run(dia_objects(objects), []).combined) == 0


def test_a_detector_that_is_given_twice_counts_once():
    """And a table that lacks a column is refused in a sentence."""
    objects = dia_objects(Table({"diaObjectId": [7, 9], "ra": [10.0, 10.1], "dec": [0.0, 0.0]}))
    task, table = CombineDiaForcedTask(config=CombineDiaForcedTask.ConfigClass()), forced(1, [7, 9], [1.0, 2.0])
    assert task.run(objects, [table, table, forced(2, [7], [3.0])]).combined["psfFlux"].tolist() == [1.0, 3.0, 2.0]
    table.remove_column("midpointMjdTai")
    with pytest.raises(InputError, match=r"^a table of forced sources has no column midpointMjdTai; it has"):
        task.run(objects, [table])
    objects.remove_column("diaObjectId")
    with pytest.raises(InputError, match=r"^the table of DIA objects has no column diaObjectId; it has"):
        task.run(objects, [table])


def test_rows_that_come_twice_are_no_rows_of_the_patch():
    """The original searched identifiers as if each came once; an object of another patch that does was taken (A.7)."""
    ids = np.arange(1, 31) * 10**15
    objects = Table({"diaObjectId": ids, "ra": np.linspace(10.0, 10.1, 30), "dec": np.zeros(30)})
    task = CombineDiaForcedTask(config=CombineDiaForcedTask.ConfigClass())
    table = forced(1, [ids[3], 5, 5, ids[7]], [1.0, 2.0, 3.0, 4.0])
    assert task.run(dia_objects(objects), [table]).combined["diaObjectId"].tolist() == [ids[3], ids[7]]


def dia_objects(table):
    """As the association makes them."""
    from diapipe.catalogs.dia_objects import dia_object_table

    columns = {name: np.asarray(table[name]) for name in table.colnames}
    return dia_object_table(columns, n=len(table), bands="r")


@pytest.fixture(scope="module")
def survey(border_survey):
    """The survey with differences of two detectors in a rerun, which the drivers go on from."""
    with open_repository(border_survey.root, writeable=True) as butler:
        butler.collections.register("rerun/inputs", CollectionType.CHAINED)
        butler.collections.redefine_chain("rerun/inputs", ["inputs"])
    words = ["--rerun", "inputs:objects", "--id", "visit=1^2", "detector=0", "--cores", "1"]
    assert drive("imageDifferenceDriver", [str(border_survey.root), *words]) == 0
    return border_survey


def test_the_drivers_run_one_after_the_other(survey, capsys):
    """The commands of the documentation, word by word but for the numbers, in one rerun that goes on reading what it
    read at first: the objects of the new stars have a flux on either detector, and each source one on the template.
    """
    rerun = [str(survey.root), "--rerun", "objects", "--cores", "1"]
    ids = ["--id", "tract=0^1", "filter=u^g^r^i^z^y", "--selectId", "visit=1^2"]
    assert drive("associationDriver", [*rerun, *ids]) == 0
    assert drive("forcedPhotCcdDiaDriver", [*rerun, "--id", "visit=1^2", "detector=0"]) == 0
    assert drive("forcedPhotCoaddDiaSrc", [*rerun, "--id", "visit=1"]) == 0
    assert drive("forcedPhotCoaddDia", [*rerun, "--id", "tract=0", "filter=r"]) == 0
    assert drive("forcedPhotCoaddDiaDriver", [*rerun, "--id", "tract=1", "filter=r"]) == 0
    assert drive("combineDiaForced", [*rerun, "--id", "tract=0^1", "filter=u^g^r^i^z^y"]) == 0
    assert drive("forcedPhotCcdTemplateDia", [*rerun, "--id", "visit=1", "detector=0"]) == 0
    told = capsys.readouterr()
    assert "failed" not in told.out
    others = [str(survey.root), "--rerun", "objects:others", "--cores", "1"]
    assert drive("associationDriver", [*others, "--id", "tract=0^1", "--selectId", "visit=99"]) == 0
    nothing = r"no work: \d+ associate: no DIA sources here are of visit 99; there are those of visit 1"
    assert re.search(nothing, capsys.readouterr().out)
    with open_repository(survey.root) as butler:
        butler = butler.clone(collections="rerun/objects")
        tables = [butler.get(ref) for ref in butler.query_datasets("dia_object")]
        ids = {int(id) for table in tables for id in table["diaObjectId"]}
        for visit, detector in (ACROSS, AGAIN):
            key = {"instrument": INSTRUMENT, "visit": visit, "detector": detector}
            fluxes = butler.get("dia_object_forced_source_detector", key)
            assert set(np.asarray(fluxes["diaObjectId"]).tolist()) <= ids
            assert len(fluxes) >= 2  # each saw a new star, and both see its place
        key = {"instrument": INSTRUMENT, "visit": ACROSS[0], "detector": ACROSS[1]}
        on_template = butler.get("dia_source_forced_template", key)
        sources = butler.get("dia_source", key)
        assert on_template["detect_isPrimary"].sum() == len(sources)
        check_fluxes_on_coadds(butler, tables)
        check_light_curves(butler)
        check_template_on_difference(butler.get("template_object_forced_source", key))


def by_patch(butler, name):
    """Tables by tract and patch."""
    return {(ref.dataId["tract"], ref.dataId["patch"]): butler.get(ref) for ref in butler.query_datasets(name)}


def check_fluxes_on_coadds(butler, dia_objects):
    """Every object of either tract, by either driver, has one row on the template of its patch."""
    on_coadds = by_patch(butler, "dia_object_forced_template")
    assert {tract for tract, _ in on_coadds} == {0, 1}
    ids = [int(id) for table in on_coadds.values() for id in table["diaObjectId"]]
    assert sorted(ids) == sorted(int(id) for table in dia_objects for id in table["diaObjectId"])


def check_light_curves(butler):
    """Those of a patch are the rows of its objects on all detectors, each once; the summary has their mean."""
    detectors = [butler.get(ref) for ref in butler.query_datasets("dia_object_forced_source_detector")]
    rows = {(int(row["diaObjectId"]), int(row["visit"]), int(row["detector"])) for one in detectors for row in one}
    curves, summaries = (by_patch(butler, name) for name in ("dia_object_forced_source", "dia_object_summary"))
    found = []
    for place, objects in by_patch(butler, "dia_object").items():
        assert summaries[place]["diaObjectId"].tolist() == objects["diaObjectId"].tolist()
        curve = curves[place]
        assert set(curve["diaObjectId"].tolist()) <= set(objects["diaObjectId"].tolist())
        found += zip(*(curve[name].tolist() for name in ("diaObjectId", "visit", "detector")), strict=True)
        for row in summaries[place]:
            n = int(((curve["diaObjectId"] == row["diaObjectId"]) & ~curve["psfFlux_flag"]).sum())
            assert row["dp_r_fpFluxNdata"] == n
            assert np.isfinite(row["r_fpFluxMean"]) == (n > 0)
    assert len(found) == len(set(found))
    assert set(found) == rows


def check_template_on_difference(fluxes):
    """Each star of the template on the detector has one primary row, and is not there on the difference: the median
    of n pulls of width 1 is within 4 of its errors, 1.25 / sqrt(n), of nothing.
    """
    primary = fluxes[fluxes["detect_isPrimary"]]
    ra, dec, _ = stars()
    assert len(primary) >= are_on(BOX, wcs_of(*ACROSS), ra=ra, dec=dec).sum() > 10
    assert (primary["template_psfFlux"] > 0).all()
    pulls = np.asarray(primary["psfFlux"] / primary["psfFluxErr"])[~np.asarray(primary["psfFlux_flag"])]
    assert abs(np.median(pulls)) < 4 * 1.25 / np.sqrt(len(pulls))
