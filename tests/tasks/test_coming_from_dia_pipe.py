"""The page for those who come from dia_pipe: its commands are understood, and ask for what the page says."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import shutil
from pathlib import Path

import pytest
from lsst.daf.butler import Butler

from diapipe.cli.old_drivers import drive
from diapipe.tasks.drive import DRIVERS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "howto" / "coming-from-dia-pipe.md"
TEXT = PAGE.read_text(encoding="utf-8")
PYTHON = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
COMMANDS = re.findall(r"^(\w+)\.py (.*)$", TEXT, re.MULTILINE)

MEANT = {
    "--id visit=431306^431307": "visit IN (431306, 431307)",
    "detector=0..188": "visit IN (431306) AND detector IN (0..188)",
    "patch=1,2": "tract IN (4849) AND (patch.cell_x = 1 AND patch.cell_y = 2)",
    "patch=1,2 filter=r ": " AND band IN ('r')",
}

STEPS = {
    "imageDifferenceDriver": "differences",
    "coaddDriver": "visits, scale, coadds",
    "associationDriver": "associate",
    "forcedPhotCcdTemplateDia": "measureTemplate, forcedPhotCcdTemplateDia",
    "forcedPhotCoaddDiaDriver": "forcedPhotCoaddDia",
}
RETARGETED = {"templateForced.py": STEPS["forcedPhotCcdTemplateDia"], "sourceForced.py": "forcedPhotCoaddDiaSrc"}


def steps_of(name: str, words: str) -> str:
    """What a command runs: its own step where it has one."""
    chosen = [steps for file, steps in RETARGETED.items() if file in words]
    return chosen[0] if chosen else STEPS.get(name, name.removesuffix("Driver"))


@pytest.fixture(scope="module")
def files_of_the_page(tmp_path_factory):
    """A folder with the files that the page writes."""
    folder = tmp_path_factory.mktemp("coming")
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
        for block in PYTHON:
            if "write_text" in block:
                exec(block.replace("Path(", "__import__('pathlib').Path("), {})
    return folder


@pytest.fixture(scope="module")
def repository_of_the_page(border_survey, tmp_path_factory):
    """A copy of a small survey in which the page's reader has made the rerun ``first``."""
    root = tmp_path_factory.mktemp("reruns") / "repo"
    shutil.copytree(border_survey.root, root, symlinks=True)
    with Butler.from_config(str(root), writeable=True) as butler:
        butler.collections.register("rerun/first")
    return root


@pytest.mark.parametrize(("name", "words"), COMMANDS, ids=lambda words: words[:60])
def test_a_command_of_the_page_is_understood(name, words, repository_of_the_page, files_of_the_page, capsys):
    """Its options, its data, its configuration files: all but the run."""
    given = shlex.split(words)
    given[0] = str(repository_of_the_page)
    with contextlib.chdir(files_of_the_page):
        assert drive(name, [*given, "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"would run {steps_of(name, words)} into rerun/")
    assert all(said in told for word, said in MEANT.items() if word in words)


def test_the_page_has_commands_of_all():
    """Else the tests above would try nothing; forcedPhotCcdDia.py is its driver without one."""
    assert {name for name, _ in COMMANDS} == set(DRIVERS) - {"forcedPhotCcdDia"}
