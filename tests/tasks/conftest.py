"""One small simulated scene of known changes, and runs of the task on it, each configuration once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pytest
from astropy.table import Table
from lsst.pipe.base import Struct
from tests.postgres_server import postgres_server
from tests.tasks.border_survey import BorderSurvey, make_border_survey
from tests.tasks.small_repository import SmallRepository, make_small_repository

import diapipe
from diapipe.images import Exposure
from diapipe.steps.characterize import characterize
from diapipe.tasks import ImageDifferenceConfig, ImageDifferenceTask, image_difference

SIDE = 320
NEW, GONE, MOVED = (60, 250), (140, 162), (200, 250)
FLUX = {NEW: 6000.0, GONE: 6000.0, MOVED: 20_000.0}


@dataclass(frozen=True)
class Scene:
    """A pair with three changes at known whole pixels: a new star, one that is gone, one that moved by a pixel."""

    science: Exposure
    template: Exposure
    reference: Table


def with_stars(exposure: Exposure, psf_at: Callable[[float, float], Any], stars: dict[tuple[int, int], float]):
    """The exposure plus point sources on whole pixels."""
    image = exposure.masked_image.image.copy()
    for (x, y), flux in stars.items():
        stamp = psf_at(x, y)
        half = stamp.shape[0] // 2
        image[y - half : y + half + 1, x - half : x + half + 1] += (flux * stamp).astype(np.float32)
    return replace(exposure, masked_image=replace(exposure.masked_image, image=image))


def catalogue(pair: diapipe.simulate.SimulatedPair) -> Table:
    """A reference catalogue of the pair's stars, every fourth of extreme colour, every fifth variable."""
    found = characterize(pair.science)
    ra, dec = pair.science.wcs.all_pix2world(found.stars.x, found.stars.y, 0)
    n = np.arange(len(ra))
    colour = np.where(n % 4 == 0, 3.5, 0.7)
    return Table(
        {
            "id": n + 1001,
            "ra": ra,
            "dec": dec,
            "r_flux": found.stars.flux,
            "g_flux": found.stars.flux * 10 ** (-0.4 * colour),
            "photometric": n % 5 != 0,
        }
    )


@pytest.fixture(scope="session", autouse=True)
def characterized_once() -> Iterator[None]:
    """What the task measures of an exposure is a function of it alone, and made once for each: half of the time."""
    known: dict[int, tuple[Exposure, Any]] = {}

    def once(exposure: Exposure) -> Any:
        if id(exposure) not in known:
            known[id(exposure)] = exposure, characterize(exposure)
        return known[id(exposure)][1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(image_difference, "characterize", once)
        yield


@pytest.fixture(scope="session")
def scene() -> Scene:
    """The scene; 320 px, some fifty stars."""
    spec = diapipe.PairSpec.small(
        SIDE,
        n_stars=300,
        misregistration_px=0.0,
        n_transients=0,
        n_cosmic_rays=0,
        variable_fraction=0.0,
        template_depth=1.0,
    )
    pair = diapipe.simulate_pair(spec, rng=np.random.default_rng(11))
    x, y = MOVED
    return Scene(
        science=with_stars(pair.science, pair.science_psf_at, {NEW: FLUX[NEW], MOVED: FLUX[MOVED]}),
        template=with_stars(pair.template, pair.template_psf_at, {GONE: FLUX[GONE], (x + 1, y): FLUX[MOVED]}),
        reference=catalogue(pair),
    )


def configured(**settings: Any) -> ImageDifferenceConfig:
    """The documented defaults with some fields set; ``subtract`` names the algorithm, ``a__b`` sets ``a.b``."""
    config = ImageDifferenceConfig()
    for name, value in settings.items():
        holder: Any = config
        *parents, last = name.split("__")
        for parent in parents:
            holder = getattr(holder, parent)
        if last == "subtract":
            config.subtract.name = value
        else:
            setattr(holder, last, value)
    return config


@dataclass(frozen=True)
class Run:
    """A task and what it returned."""

    task: ImageDifferenceTask
    result: Struct

    @property
    def metadata(self) -> Any:
        """Of the main task."""
        return self.task.metadata

    def row_at(self, place: tuple[int, int], *, reach: float = 2.0) -> Any:
        """The nearest source to a place, at most so many pixels away; None without one."""
        table = self.result.diaSources
        distance = np.hypot(table["x"].value - place[0], table["y"].value - place[1])
        return table[int(np.argmin(distance))] if len(table) and distance.min() < reach else None


@pytest.fixture(scope="session")
def run(scene: Scene) -> Callable[..., Run]:
    """Run the task on the scene with some fields set; a configuration is run once."""
    done: dict[str, Run] = {}

    def run(**settings: Any) -> Run:
        key = repr(sorted(settings.items()))
        if key not in done:
            task = ImageDifferenceTask(config=configured(**settings), refCatalog=scene.reference)
            done[key] = Run(task, task.run(scene.science, None, scene.template))
        return done[key]

    return run


@pytest.fixture(scope="session")
def pristine_repository(tmp_path_factory: pytest.TempPathFactory) -> SmallRepository:
    """The small repository, made once: for reading only."""
    return make_small_repository(tmp_path_factory.mktemp("repositories") / "small")


@pytest.fixture
def small_repository(pristine_repository: SmallRepository, tmp_path: Path) -> SmallRepository:
    """A copy of the small repository to write into."""
    copytree(pristine_repository.root, tmp_path / "repository")
    return replace(pristine_repository, root=tmp_path / "repository")


@pytest.fixture(scope="session")
def postgres_address() -> Iterator[str]:
    """A PostgreSQL server of the session's own: the address of its database ``postgres``; skips where none starts."""
    pytest.importorskip("psycopg", reason="no PostgreSQL: psycopg is not installed")
    with postgres_server() as address:
        yield address


@pytest.fixture
def postgres_database(postgres_address: str, request: pytest.FixtureRequest) -> str:
    """Address of an empty database for one test."""
    import psycopg

    name = f"d{abs(hash(request.node.nodeid))}"
    with psycopg.connect(postgres_address, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return postgres_address.replace("/postgres?", f"/{name}?")


@pytest.fixture(scope="session")
def border_survey(tmp_path_factory: pytest.TempPathFactory) -> BorderSurvey:
    """The survey across the border of two tracts, made once; each test writes collections of its own."""
    return make_border_survey(tmp_path_factory.mktemp("surveys") / "border")
