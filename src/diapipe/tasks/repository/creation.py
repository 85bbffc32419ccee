"""create_repository: an empty repository that knows diapipe's datasets."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

from lsst.daf.butler import Butler, Config

from diapipe.errors import UsageError, WriteError
from diapipe.tasks.repository.opening import CONFIG_FOLDER
from diapipe.tasks.repository.postgres import prepare_database

_SEEDS = ("storageClasses.yaml", "datastores/fileDatastore.yaml")


def create_repository(root: str | os.PathLike[str], *, db: str | None = None, compress: bool = False) -> Path:
    """Make an empty repository, whole or not at all.

    Parameters
    ----------
    root
        Its folder; it must not exist, or be empty.
    db
        Address of an empty PostgreSQL database (``postgresql://user@host/name``); None is SQLite in the folder itself.
    compress
        Write images Rice-compressed, quantised to 1/16 of the noise: a seventh of the size, many times the time.

    Returns
    -------
    pathlib.Path
        The folder.

    Raises
    ------
    UsageError
        If something is there already, or the address cannot be used as it is.
    InputError
        If the database cannot.
    WriteError
        If the folder cannot be written.
    """
    place = Path(root).absolute()
    _check_free(place)
    if db is not None:
        prepare_database(db)
    aside = place.with_name(f"diapipe-init-{secrets.token_hex(4)}")  # the Butler takes what follows a dot for a format
    try:
        Butler.makeRepo(str(aside), config=seed(db, compress=compress))
        os.replace(aside, place)
    except OSError as error:
        raise WriteError(f"cannot make the repository {place}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return place


def seed(db: str | None = None, *, compress: bool = False) -> Config:
    """What the configuration of a repository of diapipe says beyond the Butler's own."""
    config = Config()
    for name in _SEEDS:
        config.update(Config(str(CONFIG_FOLDER / name)))
    if db is not None:
        config["registry", "db"] = db
    if compress:
        images = {k: v for k, v in config["datastore", "formatters"].toDict().items() if k.startswith("Dia")}
        for kind, formatter in images.items():
            config["datastore", "formatters", kind] = {"formatter": formatter, "parameters": {"compress": True}}
    return config


def _check_free(place: Path) -> None:
    if (place / "butler.yaml").exists():
        raise UsageError(f"{place} is a repository already; choose another folder")
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise UsageError(f"{place} exists and is not an empty folder; a repository needs one of its own")
    if not place.parent.is_dir():
        raise UsageError(f"cannot make the repository {place}: the folder {place.parent} does not exist")
