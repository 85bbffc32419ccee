"""The documentation is true: its Python runs, its links lead somewhere, every algorithm is on a page."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import io
import re
import shlex
import tomllib
from pathlib import Path

import numpy as np
import pytest

import diapipe
from diapipe.catalogs import object_schema, schema
from diapipe.cli import main as cli
from diapipe.cli.recipes import recipe_of
from diapipe.steps import associate, calibrate, decorrelate, detect, match, select, subtract, template
from diapipe.steps.coadd import selection
from diapipe.steps.measure.quality import Cuts

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)#]+)[^)]*\)")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture(scope="session")
def folder_with_a_pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a `science.fits` and a `template.fits`, as the pages say."""
    folder = tmp_path_factory.mktemp("docs")
    pair = diapipe.simulate_pair(
        diapipe.PairSpec.small(400, n_stars=60, misregistration_px=0), rng=np.random.default_rng(5)
    )
    diapipe.write_exposure(pair.science, folder / "science.fits")
    diapipe.write_exposure(pair.template, folder / "template.fits")
    return folder


@pytest.mark.parametrize("page", [page for page in PAGES if BLOCK.search(page.read_text())], ids=name_of)
def test_the_python_of_a_page_runs(page, folder_with_a_pair, monkeypatch):
    """All blocks of a page, one after another, as a reader would type them."""
    monkeypatch.chdir(folder_with_a_pair)
    names: dict[str, object] = {}
    for n, block in enumerate(BLOCK.findall(page.read_text()), 1):
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(block, f"{name_of(page)}, block {n}", "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_and_settings_exist(page):
    """Every command and option in a shell block is one of the program's; every TOML block is a recipe."""
    for line in re.findall(r"^(?:\S.*&& )?(?:python -m )?diapipe (.*)$", shell_of(page), re.MULTILINE):
        command, *words = shlex.split(line, comments=True)
        known = cli.cli if command.startswith("-") else cli.cli.commands[command]
        options = {name for parameter in known.params for name in parameter.opts}
        assert {word for word in [command, *words] if word.startswith("-")} <= options, line
    for settings in re.findall(r"^```toml\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        assert recipe_of(tomllib.loads(settings)) != diapipe.Recipe()


def shell_of(page: Path) -> str:
    """Shell blocks of a page, continued lines joined."""
    return "".join(re.findall(r"^```bash\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)).replace("\\\n", " ")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_to_files(page):
    for target in LINK.findall(page.read_text()):
        assert "://" in target or (page.parent / target).exists(), f"{name_of(page)} links to {target}"


def test_every_page_can_be_reached_from_the_index():
    """A page that nothing links to is not read."""
    reached, ahead = set(), [ROOT / "docs" / "index.md"]
    while ahead:
        page = ahead.pop()
        if page in reached or page.suffix != ".md" or not page.exists():
            continue
        reached.add(page)
        ahead += [(page.parent / target).resolve() for target in LINK.findall(page.read_text()) if "://" not in target]
    assert set((ROOT / "docs").rglob("*.md")) <= reached


def test_the_mask_table_is_that_of_the_program():
    """Plane, bit and whether it is left out, row by row."""
    page = (ROOT / "docs" / "conventions.md").read_text()
    for plane in diapipe.MaskPlane:
        if plane.name and not plane.name.endswith("_TEMPLATE"):
            bit = int(plane).bit_length() - 1
            used = "yes" if plane & diapipe.images.UNUSABLE else "no"
            assert re.search(rf"^\| {plane.name} \| {bit} \| .* \| {used} \|$", page, re.MULTILINE), plane.name


def test_columns_that_the_docs_name_exist():
    """Every ``dp_*`` of the pages is a column; every threshold of the default cut is on its page."""
    tables = (schema.DIA_SOURCE, object_schema.DIA_FORCED_SOURCE, object_schema.dia_object_schema(("g",)))
    columns = {column.name for table in tables for column in table}
    for page in PAGES:
        assert set(re.findall(r"`(dp_\w+)`", page.read_text())) <= columns, name_of(page)
    told = (ROOT / "docs" / "algorithms" / "dp_bad.md").read_text()
    for field in dataclasses.fields(Cuts):
        assert f"| `{field.name}` | {field.default:g} |" in told, f"{field.name} is {field.default:g}"


def sentences_of_the_source() -> list[str]:
    """Every string of the program, with "…" for what is filled in."""
    found = []
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = (part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
                found.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return found


def test_the_refusals_of_the_page_are_those_of_the_program():
    """Each message of a table is in the source, word by word between the dots; those for the commonest data too."""
    page = (ROOT / "docs" / "howto" / "troubleshooting.md").read_text()
    rows = [row.split(" | ")[0] for row in page.splitlines() if row.startswith("| `")]
    told = [message for row in rows for message in re.findall(r"`([^`]+)`", row)]
    assert len(told) > 30
    source = sentences_of_the_source()
    for message in told:
        pattern = re.compile(".*".join(map(re.escape, message.split("…"))), re.DOTALL)
        assert any(pattern.search(sentence) for sentence in source), message


def test_the_default_threshold_is_on_its_page():
    page = (ROOT / "docs" / "algorithms" / "detection.md").read_text()
    assert f"|score| > {detect.MatchedFilter().threshold_sigma:g}, both signs" in page


@pytest.mark.parametrize(
    "family",
    [
        template.WARPS,
        template.REGISTERS,
        template.TEMPLATES,
        select.SELECTORS,
        selection.SELECTIONS,
        calibrate.SCALES,
        match.MATCHERS,
        match.CANDIDATES,
        match.REDUCTIONS,
        match.ROUGHNESSES,
        match.STRENGTHS,
        decorrelate.DECORRELATORS,
        subtract.PRECONVOLUTIONS,
        detect.DETECTORS,
        associate.ASSOCIATORS,
    ],
    ids=lambda f: f.verb,
)
def test_every_algorithm_is_on_a_page(family):
    """Members of a family are told of by their class's own name in words, or the page named after it."""
    pages = " ".join(page.read_text() for page in (ROOT / "docs" / "algorithms").glob("*.md")).lower()
    for name, member in family.items():
        words = re.sub(r"(?<=[a-z])(?=[A-Z])", "[- –]", member.__name__).lower()
        assert re.search(words, pages) or name in pages, name
