"""Tables of objects out of a repository."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from tests.forced_tables import forced_table, object_table
from tests.tasks.small_repository import register

from diapipe.cli.main import main
from diapipe.errors import InputError, UsageError
from diapipe.tasks.survey_results import opened_survey
from diapipe.tasks.survey_tables import survey_tables


@pytest.fixture
def tables(rng) -> tuple[Table, Table]:
    """Objects and forced sources."""
    forced = forced_table(rng, n_objects=4)
    return object_table(forced), forced


def put_patches(repository, objects: Table, forced: Table, *, run: str) -> None:
    """The tables as two patches of one tract hold them, in a RUN."""
    with repository.opened(writeable=True) as butler:
        butler.collections.register(run)
        kinds = [
            register(butler, name, ("skymap", "tract", "patch"), "ArrowAstropy") for name in ("dia_object", FORCED)
        ]
        patches = sorted(butler.registry.queryDataIds(["skymap", "tract", "patch"]))[:2]
        for half, data_id in enumerate(patches):
            own = objects[half::2]
            butler.put(own, kinds[0], data_id, run=run)
            butler.put(forced[np.isin(forced["diaObjectId"], own["diaObjectId"])], kinds[1], data_id, run=run)


FORCED = "dia_object_forced_source"


def test_patches_become_one_table(small_repository, tables, tmp_path: Path):
    """All objects of the two patches come back, with units, and the command exports them."""
    put_patches(small_repository, *tables, run="diapipe/mine/1")
    found = survey_tables(str(small_repository.root), output="mine/1")
    assert sorted(found.dia_objects["diaObjectId"]) == sorted(tables[0]["diaObjectId"])
    assert sorted(found.forced_sources["diaForcedSourceId"]) == sorted(tables[1]["diaForcedSourceId"])
    assert found.dia_sources is None
    assert str(found.forced_sources["psfFlux"].unit) == "nJy"
    words = [
        "export",
        str(small_repository.root),
        "--output",
        "mine/1",
        "--format",
        "hats",
        "--out",
        str(tmp_path / "h"),
    ]
    assert main(words) == 0
    assert (tmp_path / "h" / "hats.properties").exists()


def test_an_object_of_two_patches_is_exported_once(small_repository, tables, tmp_path: Path):
    """It moved over the border between the associations of two patches: the patch that knows more sources has it.

    Both had it in their tables: the export refused them, and the page of a survey counted it twice.
    """
    objects, forced = tables
    objects["nDiaSources"] = 3
    moved = objects[:1].copy()
    moved["nDiaSources"] = 2
    put_patches(small_repository, objects, forced, run="diapipe/border/1")
    old = forced[forced["diaObjectId"] == moved["diaObjectId"][0]][:-1]
    with small_repository.opened(writeable=True) as butler:
        last = sorted(butler.registry.queryDataIds(["skymap", "tract", "patch"]))[2]
        butler.put(moved, "dia_object", last, run="diapipe/border/1")
        butler.put(old, FORCED, last, run="diapipe/border/1")
    with opened_survey(str(small_repository.root), output="border/1") as survey:
        on_page = survey.objects_and_fluxes()
    found = survey_tables(str(small_repository.root), output="border/1")
    assert [len(table) for table in on_page] == [len(objects), len(forced)]
    assert sorted(found.dia_objects["diaObjectId"]) == sorted(objects["diaObjectId"])
    assert (found.dia_objects["nDiaSources"] == 3).all()
    assert sorted(found.forced_sources["diaForcedSourceId"]) == sorted(forced["diaForcedSourceId"])


def test_what_is_not_there_is_told(small_repository):
    """An unknown output, and one without tables, each have their sentence."""
    with pytest.raises(UsageError, match="has no output nobody's"):
        survey_tables(str(small_repository.root), output="nobody's")
    with small_repository.opened(writeable=True) as butler:
        butler.collections.register("diapipe/empty")
    with pytest.raises(InputError, match=r"diapipe/empty of .* holds no dia_object"):
        survey_tables(str(small_repository.root), output="empty")
