"""The data file of a list says what the table says; its key holds for the same rows and no others."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from astropy.table import Table

from diapipe.catalogs.dia_sources import dia_source_table
from diapipe.errors import InputError
from diapipe.report.dia_source_list import LISTED, dia_source_list, worst_first
from diapipe.report.page import environment
from diapipe.report.source_list import FlagColumn, Listing, NumberColumn, WordColumn, write_source_list

WORDS = ["positive", "negative", "positive"]
FLAGS = [["edge", "saturated"], [], ["edge"]]


def small_list(**changes):
    given = {
        "caption": "Three sources",
        "order": "as they came",
        "ids": ["11", "12", "9007199254740993"],
        "columns": [
            NumberColumn(
                name="flux",
                label="flux",
                unit="nJy",
                values=np.array([-1.25, np.nan, 3.0]),
                errors=np.array([0.5, 0.5, np.nan]),
                decimals=1,
            ),
            WordColumn(name="kind", label="kind", values=WORDS),
            FlagColumn(name="flags", label="flags", values=FLAGS),
            NumberColumn(name="x", label="x", values=np.array([1.0, 2.0, 3.0]), is_detail=True),
        ],
    }
    return Listing(**(given | changes))


def data_of(folder, name):
    """What the script file hands to the page."""
    text = (folder / "data" / f"{name}.js").read_text(encoding="utf-8")
    name_given, data = re.fullmatch(r"diapipe\.add\((\".*?\"),(.*)\);\n", text).groups()
    assert json.loads(name_given) == name
    return json.loads(data)


def test_the_data_file_has_every_row_of_every_column(tmp_path):
    """Identifiers are words: JavaScript's numbers end at 2^53; what is missing is null."""
    write_source_list(tmp_path, "three", small_list())
    data = data_of(tmp_path, "three")
    assert data["ids"] == ["11", "12", "9007199254740993"]
    flux, kind, flags, x = data["columns"]
    assert flux["values"] == [-1.2, None, 3.0]
    assert flux["errors"] == [0.5, 0.5, None]
    assert [kind["words"][code] for code in kind["values"]] == WORDS
    assert [[flags["words"][code] for code in codes] for codes in flags["values"]] == FLAGS
    assert [column["is_detail"] for column in data["columns"]] == [False, False, False, True]
    assert x["values"] == [1.0, 2.0, 3.0]
    assert sorted(path.name for path in (tmp_path / "assets").iterdir()) == ["page.css", "sources.js", "theme.js"]


def test_cells_have_true_signs_and_dashes():
    flux = small_list().columns[0]
    assert [flux.text(row) for row in range(3)] == ["\u22121.2 ± 0.5", "\u2013", "3.0"]


def test_the_first_rows_stand_in_the_page():
    """Without scripts a reader has them still, and is told that there are more."""
    macro = environment().get_template("source_list.html.jinja").module.source_list
    rows = [f"source {i}" for i in range(120)]
    text = macro(small_list(ids=rows, columns=[WordColumn(name="what", label="what", values=rows)]), "many")
    assert [i for i in range(120) if f">source {i}</td>" in text] == list(range(50))
    assert "the first 50 of 120 sources" in text
    assert "There are no sources to list" in macro(small_list(ids=[], columns=[]), "none")


def test_the_key_is_that_of_the_rows():
    """Another order or another column changes nothing, another place or source does."""
    one, columns = small_list(), small_list().columns
    assert one.key == replace(one, columns=columns[1:]).key
    moved = NumberColumn(name="x", label="x", values=np.array([1.0, 2.0, 4.0]))
    assert one.key != replace(one, columns=[*columns[:-1], moved]).key
    assert one.key != replace(one, ids=["11", "12", "13"]).key


@pytest.mark.parametrize("name", ["", "../up", "a b", "<b>"])
def test_a_list_has_a_name_fit_for_files(tmp_path, name):
    with pytest.raises(InputError, match="letters, digits"):
        write_source_list(tmp_path, name, small_list())


def test_columns_are_as_long_as_the_list():
    with pytest.raises(InputError, match=r"of other lengths: {'kind': 3}"):
        small_list(ids=["1", "2"], columns=[WordColumn(name="kind", label="kind", values=WORDS)])


def sources(**columns):
    n = 4
    table = Table(
        {"diaSourceId": np.arange(n), "snr": [5.0, -50.0, 20.0, np.nan], "dp_bad": [False, False, True, True]}
    )
    for name, values in columns.items():
        table[name] = values
    return table


def test_the_worst_stand_first():
    """What the flags call bad, by significance, then the rest; by reliability where it is told."""
    assert worst_first(sources()).tolist() == [2, 3, 1, 0]
    assert worst_first(sources(reliability=np.float32([0.1, 0.9, 0.5, np.nan]))).tolist() == [0, 2, 1, 3]


def test_reliability_is_listed_where_the_table_has_it():
    without = dia_source_list(sources(), cutouts=None, caption="", flux_unit="nJy")
    assert "reliability" not in [column.name for column in without.columns]
    told = dia_source_list(
        sources(reliability=np.float32([0.1, 0.9, 0.5, np.nan])), cutouts=None, caption="", flux_unit="nJy"
    )
    (column,) = [column for column in told.columns if column.name == "reliability"]
    assert [column.text(row) for row in range(4)] == ["0.10", "0.90", "0.50", "\u2013"]
    assert column.plain()["limits"] == "least most"


def test_what_is_listed_are_the_columns_that_the_list_asks_for(rng):
    """A list of some columns of a table, which is all that a survey reads, is that of the whole table."""
    n = 40
    whole = dia_source_table({}, n=n, flux_unit="nJy")
    for name in whole.colnames:
        kind = whole[name].dtype.kind
        if kind in "fib":
            whole[name] = rng.integers(0, 2 if kind == "b" else 100, n).astype(whole[name].dtype)
    some = whole[[name for name in whole.colnames if name in LISTED]]
    lists = [
        dia_source_list(table[worst_first(table)], cutouts=None, caption="", flux_unit="nJy") for table in (whole, some)
    ]
    assert len(some.colnames) < len(whole.colnames) / 2
    assert lists[0].ids == lists[1].ids
    assert [column.plain() for column in lists[0].columns] == [column.plain() for column in lists[1].columns]
